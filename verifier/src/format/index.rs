//! Index files: which pack holds a blob (`docs/format.md` §4).

use super::DecodeError;
use super::bytes::Reader;
use super::id::{BlobId, PackId};
use super::pack::Encoding;
use super::table::{self, TableEntry};

/// Bytes an entry.
pub const ENTRY_LEN: usize = 65;

/// One blob and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// The blob.
    pub id: BlobId,
    /// The pack that holds it.
    pub pack: PackId,
    /// Bytes from the start of the pack.
    pub offset: u64,
    /// Bytes in the pack.
    pub stored_len: u64,
    /// How it is stored.
    pub encoding: Encoding,
}

/// Reads an index file piece by piece.
pub type IndexDecoder = table::TableDecoder<IndexEntry>;
/// Writes an index file piece by piece; entries ascend by blob ID.
pub type IndexEncoder = table::TableEncoder<IndexEntry>;

impl TableEntry for IndexEntry {
    const OBJECT: &'static str = "the index";
    const MAGIC: [u8; 4] = *b"MVIX";
    const WIDTH: usize = ENTRY_LEN;

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(Self::OBJECT, bytes);
        Ok(Self {
            id: BlobId::from_bytes(reader.array()?),
            pack: PackId::from_bytes(reader.array()?),
            offset: reader.u64()?,
            stored_len: reader.u64()?,
            encoding: Encoding::from_flags(Self::OBJECT, reader.u8()?)?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&self.pack.to_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.stored_len.to_le_bytes());
        out.push(self.encoding.flags());
    }

    fn may_follow(&self, last: &Self) -> bool {
        last.id < self.id
    }
}

/// Reads a whole index file; its entries ascend by blob ID.
pub fn decode(bytes: &[u8]) -> Result<Vec<IndexEntry>, DecodeError> {
    table::decode(bytes)
}

/// Writes a whole index file; `entries` ascend by blob ID.
pub fn encode(entries: &[IndexEntry]) -> Vec<u8> {
    debug_assert!(entries.is_sorted_by(|a, b| a.id < b.id));
    table::encode(entries)
}

#[cfg(test)]
mod tests {
    use super::super::bytes::seal;
    use super::*;

    fn entry(fill: u8) -> IndexEntry {
        IndexEntry {
            id: BlobId::from_bytes([fill; 32]),
            pack: PackId::from_parts(1, 2),
            offset: 6,
            stored_len: 9,
            encoding: Encoding::Zstd,
        }
    }

    #[test]
    fn an_index_comes_back_as_it_was_written() {
        let entries = vec![entry(1), entry(2)];
        assert_eq!(decode(&encode(&entries)).unwrap(), entries);
        assert_eq!(decode(&encode(&[])).unwrap(), []);
    }

    #[test]
    fn unsorted_duplicate_and_overlong_are_refused() {
        let sealed = |count: u32, entries: &[IndexEntry]| {
            let bytes = encode(&[]);
            let mut out = bytes[..6].to_vec();
            out.extend_from_slice(&count.to_le_bytes());
            for entry in entries {
                let one = encode(&[*entry]);
                out.extend_from_slice(&one[10..75]);
            }
            seal(out)
        };
        assert!(decode(&sealed(2, &[entry(1), entry(2)])).is_ok());
        assert!(decode(&sealed(2, &[entry(2), entry(1)])).is_err());
        assert!(decode(&sealed(2, &[entry(1), entry(1)])).is_err());
        assert!(decode(&sealed(1, &[entry(1), entry(2)])).is_err());
        assert!(decode(&sealed(u32::MAX, &[entry(1)])).is_err());
    }
}
