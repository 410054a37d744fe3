//! Index files: which pack holds a blob (`docs/format.md` §4).

use super::DecodeError;
use super::bytes::{Reader, count32, seal, unseal};
use super::id::{BlobId, PackId};
use super::pack::Encoding;

const OBJECT: &str = "the index";
const MAGIC: [u8; 4] = *b"MVIX";

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

/// Reads an index file; its entries ascend by blob ID.
pub fn decode(bytes: &[u8]) -> Result<Vec<IndexEntry>, DecodeError> {
    let mut reader = Reader::new(OBJECT, unseal(OBJECT, bytes)?);
    reader.magic(MAGIC)?;
    reader.version_one()?;
    let count = reader.u32()?;
    let items = reader.items::<65>(count.into())?;
    reader.end()?;
    let entries = items.iter().map(decode_entry).collect::<Result<Vec<_>, _>>()?;
    if !entries.is_sorted_by(|a, b| a.id < b.id) {
        return Err(DecodeError::invalid(OBJECT, "its entries are not in ascending order"));
    }
    Ok(entries)
}

fn decode_entry(item: &[u8; 65]) -> Result<IndexEntry, DecodeError> {
    let mut reader = Reader::new(OBJECT, item);
    Ok(IndexEntry {
        id: BlobId::from_bytes(reader.array()?),
        pack: PackId::from_bytes(reader.array()?),
        offset: reader.u64()?,
        stored_len: reader.u64()?,
        encoding: Encoding::from_flags(OBJECT, reader.u8()?)?,
    })
}

/// Writes an index file; `entries` ascend by blob ID.
pub fn encode(entries: &[IndexEntry]) -> Vec<u8> {
    debug_assert!(entries.is_sorted_by(|a, b| a.id < b.id));
    let mut out = Vec::with_capacity(entries.len().saturating_mul(65).saturating_add(42));
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&1u16.to_le_bytes());
    out.extend_from_slice(&count32(entries).to_le_bytes());
    for entry in entries {
        out.extend_from_slice(entry.id.as_bytes());
        out.extend_from_slice(&entry.pack.to_bytes());
        out.extend_from_slice(&entry.offset.to_le_bytes());
        out.extend_from_slice(&entry.stored_len.to_le_bytes());
        out.push(entry.encoding.flags());
    }
    seal(out)
}

#[cfg(test)]
mod tests {
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
