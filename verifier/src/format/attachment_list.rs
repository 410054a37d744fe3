//! Attachment lists: the content hashes that a snapshot holds (`docs/format.md` §7).

use super::DecodeError;
use super::bytes::Reader;
use super::id::BlobId;
use super::table::{self, TableEntry};

/// One attachment's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attachment {
    /// The SHA-256 of the content, which is also its blob.
    pub id: BlobId,
    /// Bytes of the content.
    pub size: u64,
}

/// Reads a list piece by piece.
pub type ListDecoder = table::TableDecoder<Attachment>;
/// Writes a list piece by piece.
pub type ListEncoder = table::TableEncoder<Attachment>;

impl TableEntry for Attachment {
    const OBJECT: &'static str = "the attachment list";
    const MAGIC: [u8; 4] = *b"MVAL";
    const WIDTH: usize = 40;

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(Self::OBJECT, bytes);
        let id = BlobId::from_bytes(reader.array()?);
        let size = reader.u64()?;
        if size >> 63 != 0 {
            let reason = format!("the size of attachment {id} is out of range");
            return Err(DecodeError::invalid(Self::OBJECT, reason));
        }
        Ok(Self { id, size })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
    }
}

/// Bytes of a list of so many attachments.
pub fn encoded_len(count: u64) -> u64 {
    table::encoded_len::<Attachment>(count)
}

/// Reads a whole list.
pub fn decode(bytes: &[u8]) -> Result<Vec<Attachment>, DecodeError> {
    table::decode(bytes)
}

/// Writes a whole list.
pub fn encode(attachments: &[Attachment]) -> Vec<u8> {
    table::encode(attachments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back_as_it_was_written() {
        let list = [2, 1].map(|fill| Attachment { id: BlobId::from_bytes([fill; 32]), size: fill.into() });
        assert_eq!(decode(&encode(&list)).unwrap(), list);
    }

    #[test]
    fn a_size_of_2_to_the_63_is_refused() {
        let list = [Attachment { id: BlobId::from_bytes([1; 32]), size: 1 << 63 }];
        assert!(decode(&encode(&list)).is_err());
    }
}
