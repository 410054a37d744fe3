//! Reads the pages of the pinned database once, in order, and hashes them on all cores.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use msgvault_platform as platform;
use msgvault_platform::context::SharedObserver;
use msgvault_verifier::format::id::PageHash;
use msgvault_verifier::format::page_size::PageSize;
use msgvault_verifier::length::{to_u64, to_usize};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::CreateError;
use super::plan::{PlannedRun, Planner};

/// Bytes that are read at once, a multiple of every page size.
const CHUNK: usize = 4 << 20;
/// Chunks that are read ahead.
const AHEAD: usize = 2;

/// What is scanned.
pub(super) struct Scan<'a> {
    pub(super) file: &'a File,
    pub(super) path: &'a Path,
    pub(super) page_size: PageSize,
    pub(super) page_count: u64,
    /// The hashes of the parent's pages, of which those that are equal are not captured.
    pub(super) old: &'a [PageHash],
    /// Pages that are captured in any case, ascending.
    pub(super) lost: &'a [Range<u64>],
    pub(super) jobs: usize,
    pub(super) observer: SharedObserver<'a>,
}

/// What a scan found.
pub(super) struct Scanned<T> {
    /// The hashes of all pages.
    pub(super) hashes: Vec<PageHash>,
    /// Where the captured pages are.
    pub(super) runs: Vec<PlannedRun<T>>,
}

struct Chunk {
    start_page: u64,
    bytes: Vec<u8>,
}

impl Scan<'_> {
    /// Scans all pages; blobs of changed ones are handed to `emit`.
    pub(super) fn run<T: Copy, E: Into<CreateError>>(
        &self,
        emit: impl FnMut(Vec<u8>) -> Result<T, E>,
    ) -> Result<Scanned<T>, CreateError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(self.jobs)
            .build()
            .map_err(|error| CreateError::Threads(error.to_string()))?;
        let mut planner = Planner::new(self.page_size, emit);
        let mut hashes = Vec::with_capacity(to_usize(self.page_count));
        let (full, chunks) = sync_channel(AHEAD);
        let (used, empty) = sync_channel(AHEAD + 2);
        thread::scope(|scope| {
            thread::Builder::new()
                .spawn_scoped(scope, move || self.read_all(&full, &empty))
                .map_err(|error| CreateError::Threads(error.to_string()))?;
            for chunk in chunks {
                let chunk = chunk?;
                if self.observer.cancelled() {
                    return Err(CreateError::Cancelled);
                }
                let first = hashes.len();
                self.hash(&pool, &chunk.bytes, &mut hashes);
                self.plan(&chunk, hashes.get(first..).unwrap_or_default(), &mut planner)
                    .map_err(Into::into)?;
                self.observer.advance(to_u64(chunk.bytes.len()));
                // Nobody wants it any more after the last chunk.
                let _ = used.try_send(chunk.bytes);
            }
            Ok(())
        })?;
        let runs = planner.finish().map_err(Into::into)?;
        Ok(Scanned { hashes, runs })
    }

    /// Reads chunk after chunk until the end, an error, or until nobody listens.
    fn read_all(&self, full: &SyncSender<Result<Chunk, CreateError>>, empty: &Receiver<Vec<u8>>) {
        let chunk_pages = to_u64(CHUNK / self.page_size.in_memory());
        let mut start_page = 0;
        while start_page < self.page_count {
            let pages = chunk_pages.min(self.page_count - start_page);
            let len = to_usize(pages * self.page_size.bytes());
            let mut bytes = empty.try_recv().unwrap_or_default();
            bytes.resize(len, 0);
            let read = platform::read_exact_at(self.file, start_page * self.page_size.bytes(), &mut bytes);
            let failed = read.is_err();
            let chunk = read.map(|()| Chunk { start_page, bytes }).map_err(|source| CreateError::ReadPages {
                path: self.path.to_owned(),
                page: start_page,
                source: at_end(source),
            });
            if full.send(chunk).is_err() || failed {
                return;
            }
            start_page += pages;
        }
    }

    fn hash(&self, pool: &ThreadPool, bytes: &[u8], hashes: &mut Vec<PageHash>) {
        let pages = bytes.par_chunks(self.page_size.in_memory());
        pool.install(|| hashes.par_extend(pages.map(PageHash::of)));
    }

    /// Hands every stretch of changed pages to the planner.
    fn plan<T: Copy, E>(
        &self,
        chunk: &Chunk,
        hashes: &[PageHash],
        planner: &mut Planner<T, impl FnMut(Vec<u8>) -> Result<T, E>>,
    ) -> Result<(), E> {
        let first = to_usize(chunk.start_page);
        let old = self.old.get(first..).unwrap_or_default();
        let is_changed = |position: usize| {
            old.get(position) != hashes.get(position) || self.is_lost(chunk.start_page, position)
        };
        let mut position = 0;
        while position < hashes.len() {
            let end = (position..hashes.len()).find(|at| !is_changed(*at)).unwrap_or(hashes.len());
            if end > position {
                let size = self.page_size.in_memory();
                let bytes = chunk.bytes.get(position * size..end * size).unwrap_or_default();
                planner.changed(chunk.start_page + to_u64(position), bytes)?;
            }
            position = end + 1;
        }
        Ok(())
    }

    fn is_lost(&self, start_page: u64, position: usize) -> bool {
        if self.lost.is_empty() {
            return false;
        }
        let page = start_page + to_u64(position);
        let at = self.lost.partition_point(|range| range.end <= page);
        self.lost.get(at).is_some_and(|range| range.contains(&page))
    }
}

fn at_end(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the file ends before its last page"),
        _ => error,
    }
}
