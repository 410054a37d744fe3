//! Reads a page map piece by piece, and keeps no more of it than its own counts justify.

use super::super::DecodeError;
use super::super::bytes::{Reader, SealedReader, length};
use super::super::id::BlobId;
use super::super::page_size::PageSize;
use super::{DELTA, KEYFRAME, MapKind, OBJECT, PageMap, Run};

/// Bytes of a map without blobs and runs.
pub(super) const EMPTY_LEN: u64 = 58;
const BLOB_LEN: u64 = 32;
const RUN_LEN: u64 = 24;
/// Bytes before the table of blobs.
const HEADER_LEN: u64 = 22;

/// Reads a page map from pieces of any length.
///
/// A map names hardly more blobs than it has runs, and the runs of a map are not alike, so that a frame of some
/// kilobytes cannot unfold into gigabytes of either.
pub struct MapDecoder {
    sealed: SealedReader,
    parts: MapParts,
}

/// What was read so far.
struct MapParts {
    len: u64,
    spare_blobs: u64,
    kind: Option<MapKind>,
    map: PageMap,
    blobs_left: u64,
    /// None before the table of blobs is complete.
    runs_left: Option<u64>,
    /// The page behind the last run.
    next_page: u64,
}

impl MapDecoder {
    /// Of a map of `len` bytes that may name so many blobs which no run points at.
    pub fn new(len: u64, spare_blobs: u64) -> Self {
        let map =
            PageMap { page_size: PageSize::SMALLEST, page_count: 0, blobs: Vec::new(), runs: Vec::new() };
        let parts =
            MapParts { len, spare_blobs, kind: None, map, blobs_left: 0, runs_left: None, next_page: 0 };
        Self { sealed: SealedReader::new(OBJECT), parts }
    }

    /// Reads on.
    pub fn push(&mut self, bytes: &[u8]) {
        self.sealed.push(bytes, |reader| self.parts.read(reader));
    }

    /// The map, if it is complete and what its checksum says.
    pub fn finish(self) -> Result<(MapKind, PageMap), DecodeError> {
        let present = self.sealed.finish()?;
        let MapParts { kind, map, blobs_left, runs_left, .. } = self.parts;
        let needed = match (kind, runs_left) {
            (None, _) => HEADER_LEN,
            (_, None) => blobs_left.saturating_mul(BLOB_LEN).saturating_add(4),
            (_, Some(left)) => left.saturating_mul(RUN_LEN),
        };
        let Some(kind) = kind.filter(|_| needed == 0) else {
            return Err(DecodeError::Truncated { object: OBJECT, needed, present });
        };
        if kind == MapKind::Keyframe && !map.is_complete() {
            return Err(DecodeError::invalid(OBJECT, "it is a keyframe with a gap"));
        }
        Ok((kind, map))
    }
}

impl MapParts {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if self.kind.is_none() {
            if reader.remaining() < HEADER_LEN {
                return Ok(());
            }
            self.kind = Some(self.read_header(reader)?);
        }
        while self.blobs_left > 0 && reader.remaining() >= BLOB_LEN {
            self.map.blobs.push(BlobId::from_bytes(reader.array()?));
            self.blobs_left = self.blobs_left.saturating_sub(1);
        }
        if self.blobs_left > 0 {
            return Ok(());
        }
        if self.runs_left.is_none() {
            if reader.remaining() < 4 {
                return Ok(());
            }
            let count = u64::from(reader.u32()?);
            if Some(count) != runs_beside(self.len, length(&self.map.blobs)) {
                let reason = format!("its length is not that of {count} runs");
                return Err(DecodeError::invalid(OBJECT, reason));
            }
            self.runs_left = Some(count);
        }
        let mut left = self.runs_left.unwrap_or(0);
        while left > 0 && reader.remaining() >= RUN_LEN {
            let run = read_run(reader)?;
            self.map.check_run(&run, self.next_page)?;
            self.next_page = run.end_page();
            self.map.runs.push(run);
            left = left.saturating_sub(1);
        }
        self.runs_left = Some(left);
        if left == 0 { reader.end() } else { Ok(()) }
    }

    fn read_header(&mut self, reader: &mut Reader<'_>) -> Result<MapKind, DecodeError> {
        let kind = match reader.array::<4>()? {
            KEYFRAME => MapKind::Keyframe,
            DELTA => MapKind::Delta,
            _ => return Err(DecodeError::Magic { object: OBJECT }),
        };
        reader.version_one()?;
        self.map.page_size = PageSize::decode(OBJECT, reader.u32()?)?;
        self.map.page_count = reader.u64()?;
        let blobs = u64::from(reader.u32()?);
        let Some(runs) = runs_beside(self.len, blobs) else {
            let present = self.len.saturating_sub(HEADER_LEN);
            return Err(DecodeError::Truncated {
                object: OBJECT,
                needed: blobs.saturating_mul(BLOB_LEN),
                present,
            });
        };
        if runs > self.map.page_count {
            let reason = format!("it has {runs} runs for {} pages", self.map.page_count);
            return Err(DecodeError::invalid(OBJECT, reason));
        }
        if blobs > runs.saturating_add(self.spare_blobs) {
            let reason = format!("it names {blobs} blobs, and only {runs} runs point at any");
            return Err(DecodeError::invalid(OBJECT, reason));
        }
        self.blobs_left = blobs;
        // Without it the room grows as they come.
        let _ = usize::try_from(blobs).map(|count| self.map.blobs.try_reserve_exact(count));
        let _ = usize::try_from(runs).map(|count| self.map.runs.try_reserve_exact(count));
        Ok(kind)
    }
}

/// How many runs there are in a map of `len` bytes that names so many blobs.
fn runs_beside(len: u64, blobs: u64) -> Option<u64> {
    len.checked_sub(EMPTY_LEN)?.checked_sub(blobs.saturating_mul(BLOB_LEN))?.checked_div(RUN_LEN)
}

fn read_run(reader: &mut Reader<'_>) -> Result<Run, DecodeError> {
    Ok(Run {
        start_page: reader.u64()?,
        page_count: reader.u32()?,
        blob_index: reader.u32()?,
        blob_offset: reader.u64()?,
    })
}
