//! Page maps: which blob holds every page of the database (`docs/format.md` §6).

use std::collections::HashMap;

use super::DecodeError;
use super::bytes::{count32, length, seal};
use super::id::BlobId;
use super::page_size::PageSize;

mod decoder;

pub use decoder::MapDecoder;

const OBJECT: &str = "the page map";
const KEYFRAME: [u8; 4] = *b"MVMK";
const DELTA: [u8; 4] = *b"MVMD";

/// Consecutive pages that lie back to back in one blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first page.
    pub start_page: u64,
    /// How many pages; never 0.
    pub page_count: u32,
    /// The blob, as a position in the table.
    pub blob_index: u32,
    /// Bytes from the start of the blob to the first page.
    pub blob_offset: u64,
}

impl Run {
    /// The page after the last; decoding has checked that it does not wrap.
    pub fn end_page(&self) -> u64 {
        self.start_page.saturating_add(self.page_count.into())
    }

    /// Bytes in the blob from its start to the end of the run, unless that wraps.
    pub fn blob_end(&self, page_size: PageSize) -> Option<u64> {
        u64::from(self.page_count).checked_mul(page_size.bytes())?.checked_add(self.blob_offset)
    }

    /// The part from `start` to `end`, which lie inside the run.
    fn part(&self, start: u64, end: u64, page_size: PageSize) -> Self {
        let cut = start.saturating_sub(self.start_page).saturating_mul(page_size.bytes());
        Self {
            start_page: start,
            page_count: u32::try_from(end.saturating_sub(start)).unwrap_or(self.page_count),
            blob_index: self.blob_index,
            blob_offset: self.blob_offset.saturating_add(cut),
        }
    }
}

/// Pages and the blobs that hold them: all pages, or those that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageMap {
    /// Bytes a page.
    pub page_size: PageSize,
    /// Pages of the database.
    pub page_count: u64,
    /// The blobs that runs point at.
    pub blobs: Vec<BlobId>,
    /// Runs, ascending by page, not overlapping.
    pub runs: Vec<Run>,
}

/// Whether a stored map stands for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapKind {
    /// Every page, without a gap.
    Keyframe,
    /// The pages that changed since the parent.
    Delta,
}

/// The most bytes of a map of so many pages that names so many blobs: no run is empty.
pub fn max_len(page_count: u64, blob_count: u64) -> u64 {
    let runs = page_count.saturating_mul(24);
    blob_count.saturating_mul(32).saturating_add(runs).saturating_add(decoder::EMPTY_LEN)
}

/// Reads a keyframe or a delta that is in memory as a whole.
pub fn decode(bytes: &[u8]) -> Result<(MapKind, PageMap), DecodeError> {
    let mut decoder = MapDecoder::new(length(bytes), u64::MAX);
    decoder.push(bytes);
    decoder.finish()
}

impl PageMap {
    /// Writes the map.
    pub fn encode(&self, kind: MapKind) -> Vec<u8> {
        let runs = self.runs.len().saturating_mul(24);
        let blobs = self.blobs.len().saturating_mul(32);
        let mut out = Vec::with_capacity(runs.saturating_add(blobs).saturating_add(58));
        out.extend_from_slice(match kind {
            MapKind::Keyframe => &KEYFRAME,
            MapKind::Delta => &DELTA,
        });
        out.extend_from_slice(&1u16.to_le_bytes());
        out.extend_from_slice(&self.page_size.get().to_le_bytes());
        out.extend_from_slice(&self.page_count.to_le_bytes());
        out.extend_from_slice(&count32(&self.blobs).to_le_bytes());
        for blob in &self.blobs {
            out.extend_from_slice(blob.as_bytes());
        }
        out.extend_from_slice(&count32(&self.runs).to_le_bytes());
        for run in &self.runs {
            out.extend_from_slice(&run.start_page.to_le_bytes());
            out.extend_from_slice(&run.page_count.to_le_bytes());
            out.extend_from_slice(&run.blob_index.to_le_bytes());
            out.extend_from_slice(&run.blob_offset.to_le_bytes());
        }
        seal(out)
    }

    /// The blob that a run points at.
    pub fn blob(&self, run: &Run) -> Option<&BlobId> {
        self.blobs.get(usize::try_from(run.blob_index).ok()?)
    }

    /// Whether the runs cover every page without a gap.
    pub fn is_complete(&self) -> bool {
        let mut next = 0;
        for run in &self.runs {
            if run.start_page != next {
                return false;
            }
            next = run.end_page();
        }
        next == self.page_count
    }

    /// The map with `delta` laid over it.
    ///
    /// The delta's pages replace this map's, and what lies past the new page count is dropped. The blob
    /// table of the result holds the blobs that are still used, in order of first use.
    pub fn apply(&self, delta: &Self) -> Result<Self, DecodeError> {
        if delta.page_size != self.page_size {
            return Err(DecodeError::invalid(OBJECT, "its page size is another than its parent's"));
        }
        let mut result = Self {
            page_size: self.page_size,
            page_count: delta.page_count,
            blobs: Vec::new(),
            runs: Vec::with_capacity(self.runs.len().saturating_add(delta.runs.len())),
        };
        let mut table = TableUnion::default();
        let (mut lower, mut upper) = (Layer::of(self), Layer::of(delta));
        let mut over = delta.runs.iter().peekable();
        for base in &self.runs {
            let mut start = base.start_page;
            let end = base.end_page().min(delta.page_count);
            // Cut every run of the delta out of this one; a run that reaches past it stays for the next.
            while start < end {
                let Some(cut) = over.peek() else { break };
                if cut.start_page >= end {
                    break;
                }
                if cut.start_page > start {
                    result.push(&base.part(start, cut.start_page, self.page_size), &mut lower, &mut table);
                }
                start = start.max(cut.end_page());
                if cut.end_page() <= end {
                    result.push(cut, &mut upper, &mut table);
                    over.next();
                } else {
                    break;
                }
            }
            if start < end {
                result.push(&base.part(start, end, self.page_size), &mut lower, &mut table);
            }
        }
        for run in over {
            result.push(run, &mut upper, &mut table);
        }
        Ok(result)
    }

    fn push(&mut self, run: &Run, from: &mut Layer<'_>, table: &mut TableUnion) {
        let place = usize::try_from(run.blob_index).ok();
        let Some((blob, known)) = place.and_then(|n| from.blobs.get(n).zip(from.known.get_mut(n))) else {
            return;
        };
        let blob_index = *known.get_or_insert_with(|| table.position(*blob, &mut self.blobs));
        self.runs.push(Run { blob_index, ..*run });
    }

    /// Checks a run that follows others, which end before `next`.
    fn check_run(&self, run: &Run, next: u64) -> Result<(), DecodeError> {
        let invalid = |what: &str| {
            Err(DecodeError::invalid(OBJECT, format!("the run at page {} {what}", run.start_page)))
        };
        if run.page_count == 0 {
            return invalid("is empty");
        }
        if run.start_page < next {
            return invalid("overlaps the one before it or is out of order");
        }
        // By subtraction, since an addition can wrap.
        let room = self.page_count.checked_sub(run.start_page);
        if room.is_none_or(|room| u64::from(run.page_count) > room) {
            return invalid("reaches past the end of the database");
        }
        if u64::from(run.blob_index) >= length(&self.blobs) {
            return invalid("names a blob that is not in the table");
        }
        if run.blob_end(self.page_size).is_none() {
            return invalid("lies past the end of any blob");
        }
        Ok(())
    }
}

/// The blobs of a map that is laid over another or under it, and their positions in the result once they are
/// known.
struct Layer<'a> {
    blobs: &'a [BlobId],
    known: Vec<Option<u32>>,
}

impl<'a> Layer<'a> {
    fn of(map: &'a PageMap) -> Self {
        Self { blobs: &map.blobs, known: vec![None; map.blobs.len()] }
    }
}

/// Positions of blobs in a table that grows in order of first use.
#[derive(Default)]
struct TableUnion(HashMap<BlobId, u32>);

impl TableUnion {
    fn position(&mut self, blob: BlobId, blobs: &mut Vec<BlobId>) -> u32 {
        *self.0.entry(blob).or_insert_with(|| {
            let position = count32(blobs);
            blobs.push(blob);
            position
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(start_page: u64, page_count: u32, blob_index: u32, blob_offset: u64) -> Run {
        Run { start_page, page_count, blob_index, blob_offset }
    }

    fn map(page_count: u64, blobs: &[u8], runs: &[Run]) -> PageMap {
        PageMap {
            page_size: PageSize::new(512).unwrap(),
            page_count,
            blobs: blobs.iter().map(|fill| BlobId::from_bytes([*fill; 32])).collect(),
            runs: runs.to_vec(),
        }
    }

    #[test]
    fn maps_come_back_as_they_were_written() {
        let full = map(10, &[1, 2], &[run(0, 4, 0, 0), run(4, 6, 1, 1024)]);
        assert_eq!(decode(&full.encode(MapKind::Keyframe)), Ok((MapKind::Keyframe, full.clone())));
        let sparse = map(10, &[3], &[run(2, 1, 0, 0), run(9, 1, 0, 512)]);
        assert_eq!(decode(&sparse.encode(MapKind::Delta)), Ok((MapKind::Delta, sparse.clone())));
        assert!(decode(&sparse.encode(MapKind::Keyframe)).is_err(), "a keyframe with gaps");
    }

    #[test]
    fn a_map_is_the_same_whatever_the_pieces() {
        let full = map(10, &[1, 2], &[run(0, 4, 0, 0), run(4, 6, 1, 1024)]).encode(MapKind::Keyframe);
        for piece in [1, 21, 22, 23, 31, 33, 1000] {
            let mut decoder = MapDecoder::new(length(&full), 0);
            full.chunks(piece).for_each(|piece| decoder.push(piece));
            assert_eq!(decoder.finish(), decode(&full), "pieces of {piece}");
        }
        for len in 0..full.len() {
            let mut decoder = MapDecoder::new(length(&full), 0);
            decoder.push(&full[..len]);
            assert!(decoder.finish().is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_map_names_hardly_more_blobs_than_runs_point_at() {
        let bytes = map(1, &[0; 100], &[run(0, 1, 0, 0)]).encode(MapKind::Keyframe);
        for (spare, is_read) in [(99, true), (98, false), (0, false)] {
            let mut decoder = MapDecoder::new(length(&bytes), spare);
            decoder.push(&bytes);
            assert_eq!(decoder.finish().is_ok(), is_read, "{spare}");
        }
    }

    #[test]
    fn runs_that_break_a_rule_are_refused() {
        let bad = [
            map(10, &[1], &[run(0, 0, 0, 0)]),
            map(10, &[1], &[run(0, 11, 0, 0)]),
            map(10, &[1], &[run(u64::MAX, 2, 0, 0)]),
            map(10, &[1], &[run(5, 2, 0, 0), run(6, 2, 0, 0)]),
            map(10, &[1], &[run(5, 2, 0, 0), run(0, 2, 0, 0)]),
            map(10, &[1], &[run(0, 2, 1, 0)]),
            map(10, &[1], &[run(0, 2, 0, u64::MAX - 1)]),
        ];
        for map in bad {
            assert!(decode(&map.encode(MapKind::Delta)).is_err(), "{map:?}");
        }
    }

    #[test]
    fn a_delta_splits_runs_and_moves_their_offsets() {
        let base = map(10, &[1], &[run(0, 10, 0, 512)]);
        let delta = map(12, &[2], &[run(3, 2, 0, 0), run(9, 3, 0, 1024)]);
        let expected = map(
            12,
            &[1, 2],
            &[run(0, 3, 0, 512), run(3, 2, 1, 0), run(5, 4, 0, 512 + 5 * 512), run(9, 3, 1, 1024)],
        );
        assert_eq!(base.apply(&delta).unwrap(), expected);
    }
}
