//! Which pages of a blob are wanted, and the hashes that they turn out to have.

use serde::{Deserialize, Serialize};

use crate::format::blob::MAX_RAW_LEN;
use crate::format::id::PageHash;
use crate::format::page_map::Run;
use crate::format::page_size::PageSize;
use crate::length::to_usize;

/// The pages of one blob of which the hash is wanted: a snapshot may want one of a blob of millions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedPages {
    /// The position of the blob in the repository's index.
    pub position: u32,
    /// Bytes per page.
    pub page_size: PageSize,
    /// The pages, counted from the start of the blob.
    pub ranges: PageRanges,
}

/// Ranges of pages, each from its first page to the one behind its last; they ascend and do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRanges(Vec<(u32, u32)>);

impl PageRanges {
    /// Adds the pages of runs that point at the blob. A run that no blob is long enough for adds nothing.
    pub(super) fn add(&mut self, runs: &[Run], page_size: PageSize) {
        let range = |run: &Run| {
            let end = run.blob_end(page_size).filter(|end| *end <= MAX_RAW_LEN)?;
            let page = |offset: u64| u32::try_from(offset / page_size.bytes()).ok();
            Some((page(run.blob_offset)?, page(end)?))
        };
        let new = runs.iter().filter_map(range).filter(|(first, end)| !self.contains(*first, *end));
        let new: Vec<(u32, u32)> = new.collect();
        if new.is_empty() {
            return;
        }
        self.0.extend(new);
        self.0.sort_unstable();
        self.0.dedup_by(|next, kept| {
            let touches = next.0 <= kept.1;
            if touches {
                kept.1 = kept.1.max(next.1);
            }
            touches
        });
    }

    /// The ranges.
    pub(super) fn as_slice(&self) -> &[(u32, u32)] {
        &self.0
    }

    /// How many pages of the first so many of a blob.
    pub(super) fn count_within(&self, pages: u64) -> u64 {
        let last = u32::try_from(pages).unwrap_or(u32::MAX);
        let count = |(first, end): &(u32, u32)| u64::from(last.min(*end).saturating_sub(*first));
        self.0.iter().map(count).sum()
    }

    /// Whether all of these pages are in it.
    fn contains(&self, first: u32, end: u32) -> bool {
        let following = self.0.partition_point(|(start, _)| *start <= first);
        let last = following.checked_sub(1).and_then(|last| self.0.get(last));
        last.is_some_and(|(_, behind)| end <= *behind)
    }
}

/// The hashes of wanted pages.
#[derive(Debug)]
pub(super) struct KnownPages {
    /// Where ranges begin and end, and how many pages come before them.
    ranges: Vec<(u32, u32, u32)>,
    hashes: Vec<PageHash>,
}

impl KnownPages {
    /// The hashes of the pages in `ranges`, one after another; fewer when the blob ends before.
    pub(super) fn new(ranges: &PageRanges, hashes: Vec<PageHash>) -> Self {
        let mut before = 0u32;
        let counted = |(first, end): &(u32, u32)| {
            let range = (*first, *end, before);
            before = before.saturating_add(end.saturating_sub(*first));
            range
        };
        Self { ranges: ranges.0.iter().map(counted).collect(), hashes }
    }

    /// The hashes of the pages of a run, as far as the blob has them; none when they were not wanted.
    pub(super) fn of(&self, run: &Run, page_size: PageSize) -> Option<&[PageHash]> {
        let page = |offset: u64| u32::try_from(offset / page_size.bytes()).ok();
        let (first, end) = (page(run.blob_offset)?, page(run.blob_end(page_size)?)?);
        let following = self.ranges.partition_point(|(start, ..)| *start <= first);
        let (start, behind, before) = *self.ranges.get(following.checked_sub(1)?)?;
        let skipped = to_usize(before.saturating_add(first - start));
        let known = self.hashes.get(skipped..).unwrap_or_default();
        (end <= behind).then(|| known.get(..to_usize(end - first)).unwrap_or(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: PageSize = PageSize::SMALLEST;

    fn run(first: u64, count: u32) -> Run {
        Run { start_page: 0, page_count: count, blob_index: 0, blob_offset: first * 512 }
    }

    fn ranges(runs: &[Run]) -> PageRanges {
        let mut ranges = PageRanges::default();
        ranges.add(runs, SIZE);
        ranges
    }

    #[test]
    fn runs_become_ranges_that_do_not_touch() {
        let mut all = ranges(&[run(7, 2), run(0, 2), run(2, 1), run(8, 3)]);
        assert_eq!(all.as_slice(), [(0, 3), (7, 11)]);
        all.add(&[run(0, 1), run(5, 2), run(u64::from(u32::MAX), 1)], SIZE);
        assert_eq!(all.as_slice(), [(0, 3), (5, 11)]);
        assert_eq!([0, 2, 6, 100].map(|pages| all.count_within(pages)), [0, 2, 4, 9]);
    }

    #[test]
    fn hashes_are_found_by_run() {
        let hash = |fill: u8| PageHash::from_bytes([fill; 16]);
        let known = KnownPages::new(&ranges(&[run(0, 2), run(5, 2)]), (0..4).map(hash).collect());
        assert_eq!(known.of(&run(0, 2), SIZE), Some(&[hash(0), hash(1)][..]));
        assert_eq!(known.of(&run(6, 1), SIZE), Some(&[hash(3)][..]));
        assert_eq!(known.of(&run(1, 2), SIZE), None);
        assert_eq!(known.of(&run(4, 1), SIZE), None);
        let short = KnownPages::new(&ranges(&[run(0, 2), run(5, 2)]), vec![hash(0)]);
        assert_eq!(short.of(&run(0, 2), SIZE), Some(&[hash(0)][..]));
        assert_eq!(short.of(&run(5, 2), SIZE), Some(&[][..]));
    }
}
