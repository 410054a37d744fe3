//! Changed pages into blobs.
//!
//! A range of at least [`OWN_BLOB_PAGES`] pages becomes blobs of its own, cut at [`BLOB_PAGES`]; shorter
//! ranges are collected into shared blobs, so that scattered changes do not mean a blob each.

use msgvault_verifier::format::page_size::PageSize;
use msgvault_verifier::length::{to_u64, to_usize};

/// A range of so many pages becomes blobs of its own.
const OWN_BLOB_PAGES: u64 = 256;
/// No blob holds more pages.
const BLOB_PAGES: u64 = 1024;

/// Consecutive pages and where they were put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlannedRun<T> {
    /// The first page.
    pub(super) start_page: u64,
    /// How many pages.
    pub(super) page_count: u64,
    /// What the blob was handed over as.
    pub(super) blob: T,
    /// Bytes from the start of the blob.
    pub(super) offset: u64,
}

/// Takes changed pages in order and gives blobs.
pub(super) struct Planner<T, F> {
    page_size: PageSize,
    emit: F,
    /// Pages of the range that is open, not yet in a blob.
    range: Vec<u8>,
    range_start: u64,
    /// Pages of the range that is open, those already in blobs included.
    range_pages: u64,
    /// The blob that short ranges share, and its ranges: first page, pages, offset.
    shared: Vec<u8>,
    shared_ranges: Vec<(u64, u64, u64)>,
    runs: Vec<PlannedRun<T>>,
}

impl<T: Copy, E, F: FnMut(Vec<u8>) -> Result<T, E>> Planner<T, F> {
    /// Hands blobs to `emit`.
    pub(super) fn new(page_size: PageSize, emit: F) -> Self {
        Self {
            page_size,
            emit,
            range: Vec::new(),
            range_start: 0,
            range_pages: 0,
            shared: Vec::new(),
            shared_ranges: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Takes changed pages; `bytes` are whole pages, behind all that were taken before.
    pub(super) fn changed(&mut self, start_page: u64, mut bytes: &[u8]) -> Result<(), E> {
        let end = self.range_start + self.pages(self.range.len());
        if self.range_pages > 0 && start_page != end {
            self.end_range()?;
        }
        if self.range_pages == 0 {
            self.range_start = start_page;
        }
        let limit = to_usize(BLOB_PAGES) * self.page_size.in_memory();
        while !bytes.is_empty() {
            let room = limit.saturating_sub(self.range.len()).min(bytes.len());
            let (head, rest) = bytes.split_at(room);
            self.range.extend_from_slice(head);
            self.range_pages += self.pages(head.len());
            bytes = rest;
            if self.range.len() >= limit {
                self.own_blob()?;
            }
        }
        Ok(())
    }

    /// The runs, ascending by page, once all blobs were handed over.
    pub(super) fn finish(mut self) -> Result<Vec<PlannedRun<T>>, E> {
        self.end_range()?;
        self.shared_blob()?;
        self.runs.sort_unstable_by_key(|run| run.start_page);
        Ok(self.runs)
    }

    fn end_range(&mut self) -> Result<(), E> {
        if self.range_pages >= OWN_BLOB_PAGES {
            self.own_blob()?;
        } else if !self.range.is_empty() {
            if self.pages(self.shared.len() + self.range.len()) > BLOB_PAGES {
                self.shared_blob()?;
            }
            let offset = to_u64(self.shared.len());
            self.shared_ranges.push((self.range_start, self.pages(self.range.len()), offset));
            self.shared.append(&mut self.range);
        }
        self.range_pages = 0;
        Ok(())
    }

    fn own_blob(&mut self) -> Result<(), E> {
        let page_count = self.pages(self.range.len());
        if page_count > 0 {
            let blob = (self.emit)(std::mem::take(&mut self.range))?;
            self.runs.push(PlannedRun { start_page: self.range_start, page_count, blob, offset: 0 });
            self.range_start += page_count;
        }
        Ok(())
    }

    fn shared_blob(&mut self) -> Result<(), E> {
        if self.shared.is_empty() {
            return Ok(());
        }
        let blob = (self.emit)(std::mem::take(&mut self.shared))?;
        let ranges = self.shared_ranges.drain(..);
        self.runs.extend(ranges.map(|(start_page, page_count, offset)| PlannedRun {
            start_page,
            page_count,
            blob,
            offset,
        }));
        Ok(())
    }

    fn pages(&self, bytes: usize) -> u64 {
        to_u64(bytes / self.page_size.in_memory())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::ops::Range;

    use super::*;

    /// Plans these pages, handed over in pieces, and returns the runs and the pages of every blob.
    fn plan(ranges: &[Range<u64>], piece: u64) -> (Vec<PlannedRun<usize>>, Vec<usize>) {
        let page_size = PageSize::new(512).unwrap();
        let mut blobs: Vec<Vec<u8>> = Vec::new();
        let mut planner = Planner::new(page_size, |blob| {
            blobs.push(blob);
            Ok::<_, Infallible>(blobs.len() - 1)
        });
        let page = |number: u64| [&number.to_le_bytes()[..], &[0; 504]].concat();
        for range in ranges {
            let mut start = range.start;
            while start < range.end {
                // Pieces end where chunks of the file end.
                let end = range.end.min((start / piece + 1) * piece);
                let bytes: Vec<u8> = (start..end).flat_map(page).collect();
                planner.changed(start, &bytes).unwrap();
                start = end;
            }
        }
        let runs = planner.finish().unwrap();
        for run in &runs {
            for number in 0..run.page_count {
                let at = usize::try_from(run.offset + number * 512).unwrap();
                assert_eq!(blobs[run.blob][at..at + 512], page(run.start_page + number));
            }
        }
        assert!(blobs.iter().all(|blob| blob.len() <= 1024 * 512));
        let covered: u64 = runs.iter().map(|run| run.page_count).sum();
        assert_eq!(covered, ranges.iter().map(|range| range.end - range.start).sum::<u64>());
        (runs, blobs.iter().map(|blob| blob.len() / 512).collect())
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "one range is meant")]
    fn long_ranges_get_blobs_of_their_own_and_short_ones_share() {
        let table: [(&[Range<u64>], &[usize]); 8] = [
            (&[], &[]),
            (&[0..1], &[1]),
            (&[5..7, 9..10, 100..200], &[103]),
            (&[0..255, 300..556], &[256, 255]),
            (&[0..2500], &[1024, 1024, 452]),
            (&[0..1024], &[1024]),
            (&[0..1025], &[1024, 1]),
            (&[0..255, 300..555, 600..855, 900..1155, 1200..1455], &[1020, 255]),
        ];
        for (ranges, blobs) in table {
            for piece in [1, 7, 64, 1024, 5000] {
                assert_eq!(plan(ranges, piece).1, blobs, "{ranges:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn runs_ascend_though_shared_blobs_come_late() {
        let (runs, _) = plan(&[0..1, 10..1000, 2000..2001], 64);
        assert!(runs.is_sorted_by_key(|run| run.start_page));
        assert_eq!(runs.iter().map(|run| run.blob).collect::<Vec<_>>(), [1, 0, 1]);
    }
}
