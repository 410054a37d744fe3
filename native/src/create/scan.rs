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
    /// Pages that are stored again even though they did not change, ascending.
    pub(super) again: &'a [Range<u64>],
    pub(super) jobs: usize,
    pub(super) observer: SharedObserver<'a>,
}

/// What a scan found.
pub(super) struct Scanned<T> {
    /// The hashes of all pages.
    pub(super) hashes: Vec<PageHash>,
    /// Where the changed and the lost pages are.
    pub(super) changed: Vec<PlannedRun<T>>,
    /// Where those are that are stored again.
    pub(super) again: Vec<PlannedRun<T>>,
}

/// What becomes of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Captured,
    StoredAgain,
}

/// Pages that changed are likely to change again, and those that are stored again are not: each have blobs of their
/// own.
struct Planners<T, F> {
    changed: Planner<T, F>,
    again: Planner<T, F>,
}

struct Chunk {
    start_page: u64,
    bytes: Vec<u8>,
}

impl Scan<'_> {
    /// Scans all pages; blobs of those to be stored are handed to `emit`.
    pub(super) fn run<T: Copy, E: Into<CreateError>>(
        &self,
        emit: impl Fn(Vec<u8>) -> Result<T, E>,
    ) -> Result<Scanned<T>, CreateError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(self.jobs)
            .build()
            .map_err(|error| CreateError::Threads(error.to_string()))?;
        let planner = || Planner::new(self.page_size, &emit);
        let mut planners = Planners { changed: planner(), again: planner() };
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
                self.plan(&chunk, hashes.get(first..).unwrap_or_default(), &mut planners)
                    .map_err(Into::into)?;
                self.observer.advance(to_u64(chunk.bytes.len()));
                // Nobody wants it any more after the last chunk.
                let _ = used.try_send(chunk.bytes);
            }
            Ok(())
        })?;
        let changed = planners.changed.finish().map_err(Into::into)?;
        let again = planners.again.finish().map_err(Into::into)?;
        Ok(Scanned { hashes, changed, again })
    }

    /// Reads pages once more, which must still hash to `hashes`, and hands blobs of them to `emit`.
    pub(super) fn read_again<T: Copy, E: Into<CreateError>>(
        &self,
        ranges: &[Range<u64>],
        hashes: &[PageHash],
        emit: impl Fn(Vec<u8>) -> Result<T, E>,
    ) -> Result<Vec<PlannedRun<T>>, CreateError> {
        let mut planner = Planner::new(self.page_size, emit);
        let mut bytes = Vec::new();
        for range in ranges {
            let mut start_page = range.start;
            while start_page < range.end {
                if self.observer.cancelled() {
                    return Err(CreateError::Cancelled);
                }
                let pages = self.chunk_pages().min(range.end - start_page);
                self.read(start_page, pages, &mut bytes)?;
                let expected = hashes.get(to_usize(start_page)..).unwrap_or_default();
                let read = bytes.chunks(self.page_size.in_memory()).map(PageHash::of);
                if !read.zip(expected).all(|(found, expected)| found == *expected) {
                    return Err(self.unreadable(start_page, io::Error::other("it changed while it was read")));
                }
                planner.changed(start_page, &bytes).map_err(Into::into)?;
                self.observer.advance(to_u64(bytes.len()));
                start_page += pages;
            }
        }
        planner.finish().map_err(Into::into)
    }

    /// Reads chunk after chunk until the end, an error, or until nobody listens.
    fn read_all(&self, full: &SyncSender<Result<Chunk, CreateError>>, empty: &Receiver<Vec<u8>>) {
        let mut start_page = 0;
        while start_page < self.page_count {
            let pages = self.chunk_pages().min(self.page_count - start_page);
            let mut bytes = empty.try_recv().unwrap_or_default();
            let read = self.read(start_page, pages, &mut bytes);
            let failed = read.is_err();
            if full.send(read.map(|()| Chunk { start_page, bytes })).is_err() || failed {
                return;
            }
            start_page += pages;
        }
    }

    /// Pages that are read at once.
    fn chunk_pages(&self) -> u64 {
        to_u64(CHUNK / self.page_size.in_memory())
    }

    fn read(&self, start_page: u64, pages: u64, bytes: &mut Vec<u8>) -> Result<(), CreateError> {
        bytes.resize(to_usize(pages * self.page_size.bytes()), 0);
        platform::read_exact_at(self.file, start_page * self.page_size.bytes(), bytes)
            .map_err(|source| self.unreadable(start_page, at_end(source)))
    }

    fn unreadable(&self, page: u64, source: io::Error) -> CreateError {
        CreateError::ReadPages { path: self.path.to_owned(), page, source }
    }

    fn hash(&self, pool: &ThreadPool, bytes: &[u8], hashes: &mut Vec<PageHash>) {
        let pages = bytes.par_chunks(self.page_size.in_memory());
        pool.install(|| hashes.par_extend(pages.map(PageHash::of)));
    }

    /// Hands every stretch of pages that are to be stored to its planner.
    fn plan<T: Copy, E>(
        &self,
        chunk: &Chunk,
        hashes: &[PageHash],
        planners: &mut Planners<T, impl Fn(Vec<u8>) -> Result<T, E>>,
    ) -> Result<(), E> {
        let first = to_usize(chunk.start_page);
        let old = self.old.get(first..).unwrap_or_default();
        let fate = |position: usize| {
            let page = chunk.start_page + to_u64(position);
            if old.get(position) != hashes.get(position) || is_in(self.lost, page) {
                Fate::Captured
            } else if is_in(self.again, page) {
                Fate::StoredAgain
            } else {
                Fate::Kept
            }
        };
        let size = self.page_size.in_memory();
        let mut position = 0;
        while position < hashes.len() {
            let this = fate(position);
            let end = (position + 1..hashes.len()).find(|at| fate(*at) != this).unwrap_or(hashes.len());
            let bytes = chunk.bytes.get(position * size..end * size).unwrap_or_default();
            let start_page = chunk.start_page + to_u64(position);
            match this {
                Fate::Kept => {}
                Fate::Captured => planners.changed.changed(start_page, bytes)?,
                Fate::StoredAgain => planners.again.changed(start_page, bytes)?,
            }
            position = end;
        }
        Ok(())
    }
}

/// Whether one of the ranges, which ascend, has the page.
fn is_in(ranges: &[Range<u64>], page: u64) -> bool {
    let at = ranges.partition_point(|range| range.end <= page);
    ranges.get(at).is_some_and(|range| range.contains(&page))
}

fn at_end(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the file ends before its last page"),
        _ => error,
    }
}
