//! Dense keyframes: pages that lie in blobs of mostly dead pages are stored again.
//!
//! One page that never changes keeps a blob of up to 1024 alive, so without this the newest snapshot would need more
//! and more of what the old ones wrote. A page is stored again only when its blob is less than half in use, and so
//! never more pages than were changed before.

use std::collections::HashMap;
use std::ops::Range;

use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::page_map::PageMap;
use msgvault_verifier::format::page_size::PageSize;
use msgvault_verifier::snapshot::density::{BlobUse, blob_use, pages_held};

use super::known::KnownBlobs;
use super::parent::Parent;
use crate::home::Dense;

/// What decides whether a snapshot is a dense keyframe.
pub(super) struct DenseRule<'a> {
    pub(super) dense: Dense,
    /// When the snapshot is made, RFC 3339.
    pub(super) created_at: &'a str,
    pub(super) known: &'a KnownBlobs<'a>,
}

/// The blobs that a run hands over, and their lengths: a map of it alone uses them to the last page.
#[derive(Default)]
pub(super) struct NewLens(HashMap<BlobId, u64>);

impl NewLens {
    pub(super) fn add(&mut self, map: &PageMap) {
        for run in &map.runs {
            if let Some((blob, end)) = map.blob(run).zip(run.blob_end(map.page_size)) {
                let len = self.0.entry(*blob).or_default();
                *len = end.max(*len);
            }
        }
    }

    /// Pages in all of them.
    pub(super) fn pages(&self, page_size: PageSize) -> u64 {
        self.0.values().map(|len| len / page_size.bytes()).sum()
    }
}

impl DenseRule<'_> {
    /// Whether a keyframe is due by what is known before the scan.
    pub(super) fn is_due(&self, parent: &Parent) -> bool {
        let Ok(keyframe) = &parent.keyframe else { return true };
        let month: String = self.created_at.chars().filter(char::is_ascii_digit).take(6).collect();
        self.dense == Dense::Monthly && !keyframe.as_str().starts_with(&month)
    }

    /// Whether a keyframe is due because the blobs of a map hold more than twice the pages that are needed.
    pub(super) fn is_due_by(&self, map: &PageMap, uses: &[BlobUse]) -> bool {
        self.dense != Dense::Off && pages_held(uses) > map.page_count.saturating_mul(2)
    }

    /// The pages of a map that a keyframe stores again, ascending.
    pub(super) fn to_store_again(&self, map: &PageMap, uses: &[BlobUse]) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        if self.dense == Dense::Off {
            return ranges;
        }
        for run in &map.runs {
            let place = usize::try_from(run.blob_index).ok();
            if !place.and_then(|place| uses.get(place)).is_some_and(|found| found.is_sparse()) {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if last.end == run.start_page => last.end = run.end_page(),
                _ => ranges.push(run.start_page..run.end_page()),
            }
        }
        ranges
    }

    /// The use of every blob of a map; of none when one of them cannot be looked at, which is stored anew anyway.
    pub(super) fn blob_use(&self, map: &PageMap, new: &NewLens) -> Vec<BlobUse> {
        let raw_len = |blob: &BlobId| new.0.get(blob).copied().or_else(|| self.known.raw_len(blob));
        blob_use(map, raw_len).unwrap_or_default()
    }
}
