//! Reads page hashes piece by piece, and keeps nothing but the hashes.

use super::super::DecodeError;
use super::super::bytes::{Reader, SealedReader, length};
use super::super::id::PageHash;
use super::super::page_size::PageSize;
use super::{DELTA, KEYFRAME, OBJECT, PageHashDelta, PageHashObject, PageHashes};

/// Bytes of a keyframe without hashes.
const EMPTY_KEYFRAME_LEN: u64 = 50;
/// Bytes of a delta without pages.
const EMPTY_DELTA_LEN: u64 = 54;
/// Bytes before the hashes of a keyframe.
const HEADER_LEN: u64 = 18;
const HASH_LEN: u64 = 16;
const NUMBER_LEN: u64 = 8;

/// Reads a page-hash object from pieces of any length.
pub struct PageHashDecoder {
    sealed: SealedReader,
    parts: HashParts,
}

/// What was read so far.
struct HashParts {
    len: u64,
    header: Option<HashHeader>,
    pages: Vec<u64>,
    hashes: Vec<PageHash>,
    /// Page numbers and hashes that are still to come.
    pages_left: u64,
    hashes_left: u64,
}

#[derive(Clone, Copy)]
struct HashHeader {
    is_delta: bool,
    page_size: PageSize,
    page_count: u64,
}

/// Bytes of a keyframe of so many pages.
pub fn keyframe_len(page_count: u64) -> u64 {
    page_count.saturating_mul(HASH_LEN).saturating_add(EMPTY_KEYFRAME_LEN)
}

/// Bytes of a delta of so many pages.
pub(super) fn delta_len(pages: u64) -> u64 {
    pages.saturating_mul(NUMBER_LEN.saturating_add(HASH_LEN)).saturating_add(EMPTY_DELTA_LEN)
}

impl PageHashDecoder {
    /// Of an object of `len` bytes.
    pub fn new(len: u64) -> Self {
        let parts = HashParts {
            len,
            header: None,
            pages: Vec::new(),
            hashes: Vec::new(),
            pages_left: 0,
            hashes_left: 0,
        };
        Self { sealed: SealedReader::new(OBJECT), parts }
    }

    /// Reads on.
    pub fn push(&mut self, bytes: &[u8]) {
        self.sealed.push(bytes, |reader| self.parts.read(reader));
    }

    /// The object, if it is complete and what its checksum says.
    pub fn finish(self) -> Result<PageHashObject, DecodeError> {
        let present = self.sealed.finish()?;
        let HashParts { header, pages, hashes, pages_left, hashes_left, .. } = self.parts;
        let needed =
            pages_left.saturating_mul(NUMBER_LEN).saturating_add(hashes_left.saturating_mul(HASH_LEN));
        match header {
            Some(HashHeader { is_delta, page_size, page_count }) if needed == 0 => Ok(if is_delta {
                PageHashObject::Delta(PageHashDelta { page_size, page_count, pages, hashes })
            } else {
                PageHashObject::Keyframe(PageHashes { page_size, hashes })
            }),
            _ => Err(DecodeError::Truncated { object: OBJECT, needed: needed.max(HEADER_LEN), present }),
        }
    }
}

impl HashParts {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let header = match self.header {
            Some(header) => header,
            None if reader.remaining() < HEADER_LEN => return Ok(()),
            None => match self.read_header(reader)? {
                Some(header) => *self.header.insert(header),
                None => return Ok(()),
            },
        };
        while self.pages_left > 0 && reader.remaining() >= NUMBER_LEN {
            let page = reader.u64()?;
            if page >= header.page_count || self.pages.last().is_some_and(|last| *last >= page) {
                return Err(DecodeError::invalid(
                    OBJECT,
                    "its page numbers do not ascend inside the database",
                ));
            }
            self.pages.push(page);
            self.pages_left = self.pages_left.saturating_sub(1);
        }
        while self.pages_left == 0 && self.hashes_left > 0 && reader.remaining() >= HASH_LEN {
            self.hashes.push(PageHash::from_bytes(reader.array()?));
            self.hashes_left = self.hashes_left.saturating_sub(1);
        }
        if self.pages_left == 0 && self.hashes_left == 0 { reader.end() } else { Ok(()) }
    }

    /// The header; none when not all of it is there.
    fn read_header(&mut self, reader: &mut Reader<'_>) -> Result<Option<HashHeader>, DecodeError> {
        let mut ahead = Reader::new(OBJECT, reader.rest());
        let is_delta = match ahead.array::<4>()? {
            KEYFRAME => false,
            DELTA => true,
            _ => return Err(DecodeError::Magic { object: OBJECT }),
        };
        ahead.version_one()?;
        let page_size = PageSize::decode(OBJECT, ahead.u32()?)?;
        let page_count = ahead.u64()?;
        let count = match is_delta {
            false => page_count,
            true if ahead.remaining() < 4 => return Ok(None),
            true => ahead.u32()?.into(),
        };
        reader.take(length(reader.rest()).saturating_sub(ahead.remaining()))?;
        let needed = if is_delta { delta_len(count) } else { keyframe_len(count) };
        if needed > self.len {
            return Err(DecodeError::Truncated { object: OBJECT, needed, present: self.len });
        }
        // Without it the room grows as they come.
        let room = usize::try_from(count).unwrap_or(0);
        if is_delta {
            self.pages_left = count;
            let _ = self.pages.try_reserve_exact(room);
        }
        self.hashes_left = count;
        let _ = self.hashes.try_reserve_exact(room);
        Ok(Some(HashHeader { is_delta, page_size, page_count }))
    }
}
