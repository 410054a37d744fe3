//! The database, page by page, each compared with its hash before it is written.

use msgvault_verifier::length::to_u64;
use std::fs::File;

use msgvault_platform as platform;
use msgvault_verifier::format::id::{BlobId, PageHash};
use msgvault_verifier::format::page_map::Run as PageRun;
use msgvault_verifier::snapshot::Maps;

use crate::phase;

use super::Restore;
use super::blobs::{each_blob, stream};
use super::error::{RestoreError, reached};
use super::preflight::Plan;

/// Writes the staged database.
pub(super) fn stage(restore: &Restore<'_>, plan: &Plan) -> Result<(), RestoreError> {
    let observer = restore.context.observer;
    let staging = restore.staging;
    let len = restore.snapshot.manifest.database_bytes();
    observer.begin(phase::DATABASE, len);
    let file = staging.create_file(staging.database())?;
    let failed = |source| staging.failed("write", staging.database(), source);
    file.set_len(len).map_err(failed)?;
    reached(restore.context, "restore.database.created")?;
    restore.workers.each(&plan.pages, |work| {
        each_blob(restore.repository, observer, work, |(start, end), pack, entry| {
            let runs = plan.page_runs.get(*start..*end).unwrap_or_default();
            let mut pages = Pages::new(&restore.snapshot.maps, entry.id, runs);
            stream(restore.repository, observer, pack, entry, |piece| {
                pages.take(piece, |page, bytes| {
                    write_page(&file, restore, page, bytes)?;
                    observer.advance(to_u64(bytes.len()));
                    Ok(())
                })
            })
        })
    })?;
    staging.sync_file(staging.database(), &file)?;
    reached(restore.context, "restore.database.written")
}

fn write_page(file: &File, restore: &Restore<'_>, page: u64, bytes: &[u8]) -> Result<(), RestoreError> {
    let offset = page.saturating_mul(restore.snapshot.maps.pages.page_size.bytes());
    let written = platform::write_all_at(file, offset, bytes);
    Ok(written.map_err(|source| restore.staging.failed("write", restore.staging.database(), source))?)
}

/// Cuts a blob that arrives in pieces into the pages of its runs.
struct Pages<'a> {
    maps: &'a Maps,
    blob: BlobId,
    /// Runs that begin later in the blob, by where they begin.
    ahead: &'a [PageRun],
    /// Runs that have begun and not ended; several may want the same bytes.
    open: Vec<&'a PageRun>,
    /// What arrived and is not a whole page yet.
    rest: Vec<u8>,
    /// Where `rest` begins in the blob.
    offset: u64,
}

impl<'a> Pages<'a> {
    fn new(maps: &'a Maps, blob: BlobId, runs: &'a [PageRun]) -> Self {
        Self { maps, blob, ahead: runs, open: Vec::new(), rest: Vec::new(), offset: 0 }
    }

    /// Hands whole pages to `write`: consecutive ones together, with the number of the first.
    fn take(
        &mut self,
        piece: &[u8],
        mut write: impl FnMut(u64, &[u8]) -> Result<(), RestoreError>,
    ) -> Result<(), RestoreError> {
        let page_size = self.maps.pages.page_size.in_memory();
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend_from_slice(piece);
        let whole = bytes.len() - bytes.len() % page_size;
        let (pages, _) = bytes.split_at(whole);
        let end = self.offset.saturating_add(to_u64(pages.len()));
        self.open_runs(end);
        for run in &self.open {
            let from = run.blob_offset.max(self.offset);
            let to = self.end_of(run).min(end);
            let (Ok(start), Ok(stop)) =
                (usize::try_from(from - self.offset), usize::try_from(to.saturating_sub(self.offset)))
            else {
                continue;
            };
            let wanted = pages.get(start..stop).unwrap_or_default();
            let skipped = (from - run.blob_offset) / self.maps.pages.page_size.bytes();
            let first = run.start_page.saturating_add(skipped);
            self.check(first, wanted)?;
            write(first, wanted)?;
        }
        let (maps, open) = (self.maps, &mut self.open);
        open.retain(|run| run.blob_end(maps.pages.page_size).is_some_and(|run_end| run_end > end));
        bytes.drain(..whole);
        self.rest = bytes;
        self.offset = end;
        Ok(())
    }

    /// Moves the runs that begin before `end` to the open ones.
    fn open_runs(&mut self, end: u64) {
        let begun = self.ahead.partition_point(|run| run.blob_offset < end);
        let (begun, ahead) = self.ahead.split_at(begun);
        self.open.extend(begun);
        self.ahead = ahead;
    }

    fn end_of(&self, run: &PageRun) -> u64 {
        run.blob_end(self.maps.pages.page_size).unwrap_or(u64::MAX)
    }

    fn check(&self, first: u64, bytes: &[u8]) -> Result<(), RestoreError> {
        let pages = bytes.chunks(self.maps.pages.page_size.in_memory());
        for (page, bytes) in (first..).zip(pages) {
            let expected = usize::try_from(page).ok().and_then(|page| self.maps.hashes.hashes.get(page));
            if expected != Some(&PageHash::of(bytes)) {
                return Err(RestoreError::Page { page, blob: self.blob });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use msgvault_verifier::format::page_hash::PageHashes;
    use msgvault_verifier::format::page_map::PageMap;
    use msgvault_verifier::format::page_size::PageSize;

    use super::*;

    /// A blob of four pages, and runs that want them out of order, twice, and not at all.
    fn sample() -> (Vec<u8>, Maps) {
        let page_size = PageSize::new(512).unwrap();
        let page = |fill: u8| vec![fill; 512];
        let blob = [page(0), page(1), page(2), page(3)].concat();
        let run = |start_page, page_count, blob_page: u64| PageRun {
            start_page,
            page_count,
            blob_index: 0,
            blob_offset: blob_page * 512,
        };
        let runs = vec![run(2, 2, 1), run(0, 1, 1), run(4, 1, 2), run(1, 1, 3)];
        let hashes = [1, 3, 1, 2, 2].map(|fill| PageHash::of(&page(fill))).to_vec();
        let maps = Maps {
            pages: PageMap { page_size, page_count: 5, blobs: vec![BlobId::of(&blob)], runs },
            hashes: PageHashes { page_size, hashes },
        };
        (blob, maps)
    }

    fn write_in_pieces(blob: &[u8], maps: &Maps, piece_len: usize) -> Result<Vec<u8>, RestoreError> {
        let mut runs = maps.pages.runs.clone();
        runs.sort_by_key(|run| (run.blob_index, run.blob_offset));
        let mut pages = Pages::new(maps, BlobId::of(blob), &runs);
        let mut database = vec![0xff; 5 * 512];
        for piece in blob.chunks(piece_len) {
            pages.take(piece, |page, bytes| {
                let start = usize::try_from(page).unwrap() * 512;
                database[start..start + bytes.len()].copy_from_slice(bytes);
                Ok(())
            })?;
        }
        assert!(pages.ahead.is_empty() && pages.open.is_empty());
        Ok(database)
    }

    #[test]
    fn pages_find_their_places_however_the_blob_arrives() {
        let (blob, maps) = sample();
        let expected: Vec<u8> = [1u8, 3, 1, 2, 2].iter().flat_map(|fill| [*fill; 512]).collect();
        for piece_len in [1, 7, 511, 512, 513, 1000, 1536, 4096] {
            assert!(write_in_pieces(&blob, &maps, piece_len).unwrap() == expected, "{piece_len}");
        }
    }

    #[test]
    fn a_page_with_another_hash_is_not_written() {
        let (blob, mut maps) = sample();
        maps.hashes.hashes[3] = PageHash::default();
        let refused = write_in_pieces(&blob, &maps, 100);
        assert!(matches!(refused, Err(RestoreError::Page { page: 3, .. })));
    }
}
