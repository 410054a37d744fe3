//! How full the blobs are that hold the pages of a database.
//!
//! Changed pages are collected into shared blobs, and a blob is kept whole as long as one page in it is needed. So the
//! blobs of a snapshot can hold many times the pages that it has.

use std::collections::HashMap;

use crate::format::id::BlobId;
use crate::format::page_map::PageMap;
use crate::repository::Repository;

/// How many pages of a blob a map needs, and how many the blob holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlobUse {
    /// Pages that runs of the map point at.
    pub needed: u64,
    /// Pages in the blob.
    pub held: u64,
}

impl BlobUse {
    /// Whether less than half of it is needed.
    pub fn is_sparse(self) -> bool {
        self.needed.saturating_mul(2) < self.held
    }
}

/// The use of every blob in the table of a map; a blob that no run points at counts for nothing.
///
/// None when the length of a blob that is used is not known.
pub fn blob_use(map: &PageMap, raw_len: impl Fn(&BlobId) -> Option<u64>) -> Option<Vec<BlobUse>> {
    let mut uses = vec![BlobUse::default(); map.blobs.len()];
    for run in &map.runs {
        // Decoding has checked that every run's blob is in the table.
        let place = usize::try_from(run.blob_index).ok();
        if let Some(found) = place.and_then(|place| uses.get_mut(place)) {
            found.needed = found.needed.saturating_add(run.page_count.into());
        }
    }
    for (found, blob) in uses.iter_mut().zip(&map.blobs).filter(|(found, _)| found.needed > 0) {
        found.held = raw_len(blob)? / map.page_size.bytes();
        // Equal pages at two places can lie in one blob once.
        found.needed = found.needed.min(found.held);
    }
    Some(uses)
}

/// Pages that the blobs hold together.
pub fn pages_held(uses: &[BlobUse]) -> u64 {
    uses.iter().fold(0, |sum, found| sum.saturating_add(found.held))
}

/// Lengths of blobs before compression, which only the footers of their packs know.
#[derive(Debug, Default)]
pub struct RawLengths(HashMap<BlobId, u64>);

impl RawLengths {
    /// Reads the footers that know the lengths of these blobs, each of them once. What cannot be read stays unknown.
    pub fn learn<'b>(&mut self, repository: &Repository, blobs: impl IntoIterator<Item = &'b BlobId>) {
        let index = repository.index();
        let unknown = blobs.into_iter().filter(|blob| !self.0.contains_key(*blob));
        let mut wanted: Vec<_> = unknown.filter_map(|blob| index.find(blob)).collect();
        wanted.sort_unstable_by_key(|location| location.pack);
        for of_one_pack in wanted.chunk_by(|a, b| a.pack == b.pack) {
            let Some(pack) = of_one_pack.first().and_then(|first| repository.pack(first.pack).ok()) else {
                continue;
            };
            for location in of_one_pack {
                if let Ok(entry) = location.check(pack.find(&location.id)) {
                    self.0.insert(location.id, entry.raw_len);
                }
            }
        }
    }

    /// The length of a blob that was learned.
    pub fn of(&self, blob: &BlobId) -> Option<u64> {
        self.0.get(blob).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::page_map::Run;
    use crate::format::page_size::PageSize;

    #[test]
    fn a_blob_is_sparse_when_less_than_half_is_needed() {
        let run = |start_page, page_count, blob_index, blob_offset| Run {
            start_page,
            page_count,
            blob_index,
            blob_offset,
        };
        let map = PageMap {
            page_size: PageSize::new(512).unwrap(),
            page_count: 14,
            blobs: (0..4).map(|fill| BlobId::from_bytes([fill; 32])).collect(),
            // The third blob holds one page that is at two places; nothing points at the fourth.
            runs: vec![
                run(0, 4, 0, 0),
                run(4, 3, 1, 512),
                run(7, 1, 2, 0),
                run(8, 1, 0, 8 * 512),
                run(9, 5, 2, 0),
            ],
        };
        let pages = [10, 7, 5, 99];
        let len = |blob: &BlobId| pages.get(usize::from(blob.as_bytes()[0])).map(|pages| pages * 512);
        let uses = blob_use(&map, len).unwrap();
        let expected = [(5, 10, false), (3, 7, true), (5, 5, false), (0, 0, false)];
        let found: Vec<_> = uses.iter().map(|found| (found.needed, found.held, found.is_sparse())).collect();
        assert_eq!(found, expected);
        assert_eq!(pages_held(&uses), 22);
        assert_eq!(blob_use(&map, |blob| len(blob).filter(|len| *len != 7 * 512)), None);
    }
}
