//! Page hashes: what every page of the database must hash to (`docs/format.md` §5).

use super::DecodeError;
use super::bytes::{count32, length, seal};
use super::id::PageHash;
use super::page_size::PageSize;

mod decoder;

pub use decoder::{PageHashDecoder, keyframe_len};

const OBJECT: &str = "the page-hash object";
const KEYFRAME: [u8; 4] = *b"MVHK";
const DELTA: [u8; 4] = *b"MVHD";

/// The hashes of all pages, in page order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageHashes {
    /// Bytes a page.
    pub page_size: PageSize,
    /// One hash a page; 16 bytes each.
    pub hashes: Vec<PageHash>,
}

/// The hashes that changed since another snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageHashDelta {
    /// Bytes a page.
    pub page_size: PageSize,
    /// Pages of the database after the change.
    pub page_count: u64,
    /// Page numbers, strictly ascending.
    pub pages: Vec<u64>,
    /// The hash of each of `pages`.
    pub hashes: Vec<PageHash>,
}

/// A page-hash object as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageHashObject {
    /// All hashes.
    Keyframe(PageHashes),
    /// What changed.
    Delta(PageHashDelta),
}

/// The most bytes of an object for so many pages: a delta that changes them all.
pub fn max_len(page_count: u64) -> u64 {
    decoder::delta_len(page_count)
}

/// Reads a keyframe or a delta that is in memory as a whole.
pub fn decode(bytes: &[u8]) -> Result<PageHashObject, DecodeError> {
    let mut decoder = PageHashDecoder::new(length(bytes));
    decoder.push(bytes);
    decoder.finish()
}

impl PageHashes {
    /// Writes a keyframe.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.hashes.len().saturating_mul(16).saturating_add(50));
        begin(&mut out, KEYFRAME, self.page_size, length(&self.hashes));
        for hash in &self.hashes {
            out.extend_from_slice(hash.as_bytes());
        }
        seal(out)
    }

    /// Pages of the database.
    pub fn page_count(&self) -> u64 {
        length(&self.hashes)
    }

    /// Applies a delta in place.
    ///
    /// Fails without a change when the page size differs or when growth is not covered: every page from
    /// the old count to the new one must have an entry.
    pub fn apply(&mut self, delta: &PageHashDelta) -> Result<(), DecodeError> {
        if delta.page_size != self.page_size {
            return Err(DecodeError::invalid(OBJECT, "its page size is another than its parent's"));
        }
        let old_count = self.page_count();
        let grown = delta.page_count.saturating_sub(old_count);
        let new_entries = length(&delta.pages).saturating_sub(
            u64::try_from(delta.pages.partition_point(|page| *page < old_count)).unwrap_or(0),
        );
        if new_entries != grown {
            return Err(DecodeError::invalid(
                OBJECT,
                "it does not cover the pages that the database grew by",
            ));
        }
        let Ok(new_len) = usize::try_from(delta.page_count) else {
            return Err(DecodeError::invalid(OBJECT, "the database is too large for this machine"));
        };
        self.hashes.resize(new_len, PageHash::default());
        for (page, hash) in delta.pages.iter().zip(&delta.hashes) {
            if let Some(slot) = usize::try_from(*page).ok().and_then(|page| self.hashes.get_mut(page)) {
                *slot = *hash;
            }
        }
        Ok(())
    }
}

impl PageHashDelta {
    /// Writes a delta.
    pub fn encode(&self) -> Vec<u8> {
        debug_assert_eq!(self.pages.len(), self.hashes.len());
        let mut out = Vec::with_capacity(self.pages.len().saturating_mul(24).saturating_add(54));
        begin(&mut out, DELTA, self.page_size, self.page_count);
        out.extend_from_slice(&count32(&self.pages).to_le_bytes());
        for page in &self.pages {
            out.extend_from_slice(&page.to_le_bytes());
        }
        for hash in &self.hashes {
            out.extend_from_slice(hash.as_bytes());
        }
        seal(out)
    }
}

fn begin(out: &mut Vec<u8>, magic: [u8; 4], page_size: PageSize, page_count: u64) {
    out.extend_from_slice(&magic);
    out.extend_from_slice(&1u16.to_le_bytes());
    out.extend_from_slice(&page_size.get().to_le_bytes());
    out.extend_from_slice(&page_count.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size() -> PageSize {
        PageSize::new(4096).unwrap()
    }

    fn hashes(fills: &[u8]) -> Vec<PageHash> {
        fills.iter().map(|fill| PageHash::from_bytes([*fill; 16])).collect()
    }

    fn delta(page_count: u64, changes: &[(u64, u8)]) -> PageHashDelta {
        PageHashDelta {
            page_size: size(),
            page_count,
            pages: changes.iter().map(|(page, _)| *page).collect(),
            hashes: changes.iter().map(|(_, fill)| PageHash::from_bytes([*fill; 16])).collect(),
        }
    }

    #[test]
    fn objects_come_back_as_they_were_written() {
        let keyframe = PageHashes { page_size: size(), hashes: hashes(&[1, 2, 3]) };
        assert_eq!(decode(&keyframe.encode()), Ok(PageHashObject::Keyframe(keyframe)));
        let delta = delta(4, &[(1, 9), (3, 8)]);
        assert_eq!(decode(&delta.encode()), Ok(PageHashObject::Delta(delta)));
    }

    #[test]
    fn a_delta_patches_grows_and_shrinks() {
        let base = PageHashes { page_size: size(), hashes: hashes(&[1, 2, 3]) };
        let table: [(PageHashDelta, Option<&[u8]>); 7] = [
            (delta(3, &[]), Some(&[1, 2, 3])),
            (delta(3, &[(1, 9)]), Some(&[1, 9, 3])),
            (delta(5, &[(0, 7), (3, 8), (4, 9)]), Some(&[7, 2, 3, 8, 9])),
            (delta(1, &[(0, 5)]), Some(&[5])),
            (delta(5, &[(4, 9)]), None),
            (delta(u64::MAX, &[(3, 9)]), None),
            (PageHashDelta { page_size: PageSize::new(512).unwrap(), ..delta(3, &[]) }, None),
        ];
        for (delta, expected) in table {
            let mut actual = base.clone();
            let applied = actual.apply(&delta);
            match expected {
                Some(fills) => assert_eq!(actual.hashes, hashes(fills), "{delta:?}"),
                None => assert!(applied.is_err() && actual == base, "{delta:?}"),
            }
        }
    }

    #[test]
    fn an_object_is_the_same_whatever_the_pieces() {
        let keyframe = PageHashes { page_size: size(), hashes: hashes(&[1, 2, 3]) }.encode();
        for whole in [keyframe, delta(4, &[(1, 9), (3, 8)]).encode()] {
            for piece in [1, 17, 18, 19, 33, 1000] {
                let mut decoder = PageHashDecoder::new(length(&whole));
                whole.chunks(piece).for_each(|piece| decoder.push(piece));
                assert_eq!(decoder.finish(), decode(&whole), "pieces of {piece}");
            }
            for len in 0..whole.len() {
                assert!(decode(&whole[..len]).is_err(), "{len} bytes");
            }
        }
    }

    #[test]
    fn pages_outside_or_out_of_order_are_refused() {
        for bad in [delta(3, &[(3, 1)]), delta(3, &[(1, 1), (1, 2)]), delta(3, &[(2, 1), (1, 2)])] {
            assert!(decode(&bad.encode()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused() {
        let mut out = Vec::new();
        begin(&mut out, KEYFRAME, size(), u64::MAX);
        assert!(decode(&seal(out)).is_err());
    }
}
