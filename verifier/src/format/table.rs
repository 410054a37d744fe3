//! Tables of entries of one width, between a header and a checksum (`docs/format.md` §4 and §7).
//!
//! They have an entry a blob, so they are read and written piece by piece: a large one never needs to be in
//! memory whole.

use crate::length::to_u64;
use std::marker::PhantomData;

use sha2::{Digest, Sha256};

use super::DecodeError;
use super::bytes::{Reader, SealedReader};

/// Bytes before the first entry: magic, version, count.
const HEADER_LEN: u64 = 10;
/// Bytes behind the last entry.
const DIGEST_LEN: u64 = 32;

/// A kind of entry, and of the table that holds it.
pub trait TableEntry: Copy {
    /// What the table is, for messages.
    const OBJECT: &'static str;
    /// What it begins with.
    const MAGIC: [u8; 4];
    /// Bytes an entry.
    const WIDTH: usize;

    /// Reads one from `WIDTH` bytes.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;

    /// Appends its `WIDTH` bytes.
    fn encode(&self, out: &mut Vec<u8>);

    /// Whether it may stand behind `last`.
    fn may_follow(&self, last: &Self) -> bool {
        let _ = last;
        true
    }
}

/// Writes a table: its bytes are what `take` gives again and again, and `finish` at last.
pub struct TableEncoder<E> {
    hash: Sha256,
    bytes: Vec<u8>,
    entries: PhantomData<E>,
}

impl<E: TableEntry> TableEncoder<E> {
    /// Begins a table of `count` entries, all of which must be pushed.
    pub fn new(count: u32) -> Self {
        let mut bytes = E::MAGIC.to_vec();
        bytes.extend_from_slice(&1u16.to_le_bytes());
        bytes.extend_from_slice(&count.to_le_bytes());
        Self { hash: Sha256::new(), bytes, entries: PhantomData }
    }

    /// Appends an entry.
    pub fn push(&mut self, entry: &E) {
        entry.encode(&mut self.bytes);
    }

    /// Bytes that are not taken yet.
    pub fn pending(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the bytes so far.
    pub fn take(&mut self) -> Vec<u8> {
        self.hash.update(&self.bytes);
        std::mem::take(&mut self.bytes)
    }

    /// The last bytes, checksum included.
    pub fn finish(mut self) -> Vec<u8> {
        self.hash.update(&self.bytes);
        self.bytes.extend_from_slice(&self.hash.finalize());
        self.bytes
    }
}

/// Reads a table from pieces of any length.
///
/// Entries are handed on before the checksum was seen: they are worth nothing unless `finish` returns `Ok`.
pub struct TableDecoder<E> {
    sealed: SealedReader,
    entries: Entries<E>,
}

/// How far a table was read.
struct Entries<E> {
    /// Entries that are still to come; none before the header was read.
    left: Option<u64>,
    last: Option<E>,
}

impl<E: TableEntry> Default for TableDecoder<E> {
    fn default() -> Self {
        Self { sealed: SealedReader::new(E::OBJECT), entries: Entries { left: None, last: None } }
    }
}

impl<E: TableEntry> TableDecoder<E> {
    /// Reads on, and hands every whole entry to `each`.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(E)) {
        self.sealed.push(bytes, |reader| self.entries.read(reader, each));
    }

    /// The rule that is broken by what was read so far; or else its checksum is wrong.
    pub fn fault(&self) -> Option<&DecodeError> {
        self.sealed.fault()
    }

    /// Checks that the table is complete and what its checksum says.
    pub fn finish(self) -> Result<(), DecodeError> {
        let present = self.sealed.finish()?;
        let missing = self.entries.left.map_or(HEADER_LEN, |left| left.saturating_mul(width::<E>()));
        if missing > 0 {
            return Err(DecodeError::Truncated { object: E::OBJECT, needed: missing, present });
        }
        Ok(())
    }
}

impl<E: TableEntry> Entries<E> {
    fn read(&mut self, reader: &mut Reader<'_>, each: &mut dyn FnMut(E)) -> Result<(), DecodeError> {
        let mut left = match self.left {
            Some(left) => left,
            None if reader.remaining() < HEADER_LEN => return Ok(()),
            None => {
                reader.magic(E::MAGIC)?;
                reader.version_one()?;
                reader.u32()?.into()
            }
        };
        while left > 0 && reader.remaining() >= width::<E>() {
            let entry = E::decode(reader.take(width::<E>())?)?;
            if self.last.is_some_and(|last| !entry.may_follow(&last)) {
                return Err(DecodeError::invalid(E::OBJECT, "its entries are not in ascending order"));
            }
            self.last = Some(entry);
            each(entry);
            left = left.saturating_sub(1);
        }
        self.left = Some(left);
        if left == 0 { reader.end() } else { Ok(()) }
    }
}

/// Writes a whole table.
pub(super) fn encode<E: TableEntry>(entries: &[E]) -> Vec<u8> {
    let mut encoder = TableEncoder::new(super::bytes::count32(entries));
    encoder.bytes.reserve_exact(entries.len().saturating_mul(E::WIDTH).saturating_add(32));
    for entry in entries {
        encoder.push(entry);
    }
    encoder.finish()
}

/// Reads a whole table.
pub(super) fn decode<E: TableEntry>(bytes: &[u8]) -> Result<Vec<E>, DecodeError> {
    let mut entries = Vec::with_capacity(bytes.len().checked_div(E::WIDTH).unwrap_or(0));
    let mut decoder = TableDecoder::default();
    decoder.push(bytes, &mut |entry| entries.push(entry));
    decoder.finish()?;
    Ok(entries)
}

/// Bytes of a table of so many entries.
pub(super) fn encoded_len<E: TableEntry>(count: u64) -> u64 {
    count.saturating_mul(width::<E>()).saturating_add(HEADER_LEN).saturating_add(DIGEST_LEN)
}

fn width<E: TableEntry>() -> u64 {
    to_u64(E::WIDTH)
}

#[cfg(test)]
mod tests {
    use super::super::attachment_list::Attachment;
    use super::super::bytes::{length, seal};
    use super::super::id::BlobId;
    use super::*;

    fn list(fills: &[u8]) -> Vec<Attachment> {
        fills.iter().map(|fill| Attachment { id: BlobId::from_bytes([*fill; 32]), size: 7 }).collect()
    }

    fn in_pieces(bytes: &[u8], piece: usize) -> Result<Vec<Attachment>, DecodeError> {
        let mut entries = Vec::new();
        let mut decoder = TableDecoder::default();
        bytes.chunks(piece).for_each(|piece| decoder.push(piece, &mut |entry| entries.push(entry)));
        decoder.finish().map(|()| entries)
    }

    #[test]
    fn a_table_is_the_same_whatever_the_pieces() {
        for fills in [&[][..], &[1], &[1, 2, 3, 4, 5]] {
            let whole = encode(&list(fills));
            for piece in [1, 7, 31, 32, 33, 40, 41, 1000] {
                assert_eq!(in_pieces(&whole, piece).unwrap(), list(fills), "pieces of {piece}");
            }
            let mut encoder = TableEncoder::new(u32::try_from(fills.len()).unwrap());
            let mut taken = Vec::new();
            for entry in list(fills) {
                encoder.push(&entry);
                assert!(encoder.pending() > 0);
                taken.append(&mut encoder.take());
            }
            taken.append(&mut encoder.finish());
            assert_eq!(taken, whole);
            assert_eq!(encoded_len::<Attachment>(length(fills)), length(&whole));
        }
    }

    #[test]
    fn every_fault_is_told_whatever_the_pieces() {
        let body = |bytes: &[u8]| bytes[..bytes.len() - 32].to_vec();
        let whole = body(&encode(&list(&[1, 2])));
        let with = |position: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[position] = byte;
            seal(bytes)
        };
        let mut unsealed = seal(whole.clone());
        unsealed[20] ^= 1;
        let table: [(Vec<u8>, &str); 9] = [
            (Vec::new(), "cut short: 32 bytes needed, 0 present"),
            (vec![0; 31], "cut short: 32 bytes needed, 31 present"),
            (unsealed, "does not match its own checksum"),
            (seal(whole[..9].to_vec()), "cut short: 10 bytes needed, 9 present"),
            (with(0, b'X'), "does not begin with its magic bytes"),
            (with(4, 2), "has version 2"),
            (with(6, 3), "cut short: 40 bytes needed, 0 present"),
            (with(6, 1), "bytes follow its end"),
            (seal(whole[..80].to_vec()), "cut short: 40 bytes needed, 30 present"),
        ];
        for (bytes, expected) in table {
            for piece in [1, 40, 1000] {
                let error = in_pieces(&bytes, piece).unwrap_err().to_string();
                assert!(error.contains(expected), "{error}, not {expected}");
            }
        }
    }
}
