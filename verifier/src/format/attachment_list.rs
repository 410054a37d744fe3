//! Attachment lists: the content hashes that a snapshot holds (`docs/format.md` §7).

use super::DecodeError;
use super::bytes::{Reader, count32, seal, unseal};
use super::id::BlobId;

const OBJECT: &str = "the attachment list";
const MAGIC: [u8; 4] = *b"MVAL";

/// One attachment's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attachment {
    /// The SHA-256 of the content, which is also its blob.
    pub id: BlobId,
    /// Bytes of the content.
    pub size: u64,
}

/// Reads a list.
pub fn decode(bytes: &[u8]) -> Result<Vec<Attachment>, DecodeError> {
    let mut reader = Reader::new(OBJECT, unseal(OBJECT, bytes)?);
    reader.magic(MAGIC)?;
    reader.version_one()?;
    let count = reader.u32()?;
    let items = reader.items::<40>(count.into())?;
    reader.end()?;
    items.iter().map(decode_entry).collect()
}

fn decode_entry(item: &[u8; 40]) -> Result<Attachment, DecodeError> {
    let mut reader = Reader::new(OBJECT, item);
    let id = BlobId::from_bytes(reader.array()?);
    let size = reader.u64()?;
    if size >> 63 != 0 {
        return Err(DecodeError::invalid(OBJECT, format!("the size of attachment {id} is out of range")));
    }
    Ok(Attachment { id, size })
}

/// Writes a list.
pub fn encode(attachments: &[Attachment]) -> Vec<u8> {
    let mut out = Vec::with_capacity(attachments.len().saturating_mul(40).saturating_add(42));
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&1u16.to_le_bytes());
    out.extend_from_slice(&count32(attachments).to_le_bytes());
    for attachment in attachments {
        out.extend_from_slice(attachment.id.as_bytes());
        out.extend_from_slice(&attachment.size.to_le_bytes());
    }
    seal(out)
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
