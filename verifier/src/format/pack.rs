//! Packs: sealed containers of stored blobs (`docs/format.md` §3).

use crate::length::to_u32;
use sha2::{Digest, Sha256};

use super::DecodeError;
use super::blob::{MAX_RAW_LEN, MAX_STORED_LEN};
use super::bytes::{Reader, count32, length};
use super::id::BlobId;

const OBJECT: &str = "the pack";
const MAGIC: [u8; 4] = *b"MVPK";
const END_MAGIC: [u8; 4] = *b"KPVM";
const VERSION: u8 = 1;
const PACK_ENCRYPTED: u8 = 1;

/// Bytes of the header; the first blob begins here.
pub const HEADER_LEN: u64 = 6;
/// Bytes of the trailer at the end of a plain pack.
pub const TRAILER_LEN: u64 = 40;
/// A pack is sealed as soon as its length reaches this many bytes.
pub const SEAL_LEN: u64 = 32 << 20;

const ENTRY_LEN: u64 = 61;
const COUNT_LEN: u64 = 4;
const MAX_FOOTER_LEN: u64 = 1 << 30;

/// The header of a plain pack.
pub const HEADER: [u8; 6] = *b"MVPK\x01\x00";

/// How a blob is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// The raw bytes.
    Raw,
    /// One zstd frame.
    Zstd,
}

impl Encoding {
    /// The flag bits of a pack or index entry.
    pub const fn flags(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
        }
    }

    /// Reads the flag bits of an entry of `object`.
    pub(crate) fn from_flags(object: &'static str, flags: u8) -> Result<Self, DecodeError> {
        match flags {
            0 => Ok(Self::Raw),
            1 => Ok(Self::Zstd),
            2 | 3 => Err(DecodeError::Encrypted { object }),
            other => Err(DecodeError::invalid(object, format!("an entry has unknown flags {other:#04x}"))),
        }
    }
}

/// One blob in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackEntry {
    /// The blob.
    pub id: BlobId,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes in the pack.
    pub stored_len: u64,
    /// Bytes of the blob.
    pub raw_len: u64,
    /// How the stored bytes give the raw ones.
    pub encoding: Encoding,
    /// CRC-32C of the stored bytes.
    pub crc32c: u32,
}

/// What the first six bytes of a pack say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// A pack with a plain footer.
    Plain,
    /// A pack whose footer and frames are sealed with a key.
    Encrypted,
}

/// Reads the header.
pub fn decode_header(bytes: &[u8; 6]) -> Result<Header, DecodeError> {
    let mut reader = Reader::new(OBJECT, bytes);
    reader.magic(MAGIC)?;
    match reader.u8()? {
        VERSION => {}
        found => return Err(DecodeError::Version { object: OBJECT, found: found.into() }),
    }
    match reader.u8()? {
        0 => Ok(Header::Plain),
        PACK_ENCRYPTED => Ok(Header::Encrypted),
        other => Err(DecodeError::invalid(OBJECT, format!("unknown header flags {other:#04x}"))),
    }
}

/// Where the footer of a plain pack lies, and its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// Bytes from the start of the file to the footer.
    pub footer_offset: u64,
    /// Bytes of the footer.
    pub footer_len: u32,
    digest: [u8; 32],
}

/// Reads the last 40 bytes of a plain pack of `file_len` bytes.
pub fn decode_trailer(file_len: u64, bytes: &[u8; 40]) -> Result<Trailer, DecodeError> {
    let mut reader = Reader::new(OBJECT, bytes);
    let footer_len = reader.u32()?;
    let digest = reader.array()?;
    if reader.array::<4>()? != END_MAGIC {
        return Err(DecodeError::invalid(OBJECT, "it does not end with its magic bytes"));
    }
    let footer_offset = file_len
        .checked_sub(TRAILER_LEN)
        .and_then(|end| end.checked_sub(footer_len.into()))
        .filter(|start| *start >= HEADER_LEN && u64::from(footer_len) <= MAX_FOOTER_LEN);
    match footer_offset {
        Some(footer_offset) => Ok(Trailer { footer_offset, footer_len, digest }),
        None => Err(DecodeError::invalid(OBJECT, format!("a footer of {footer_len} bytes does not fit"))),
    }
}

/// Reads the footer that a trailer points at from pieces of any length. Keeps the entries alone: a file with
/// holes can have a footer that is longer than anything on its medium.
pub struct FooterDecoder<'t> {
    trailer: &'t Trailer,
    hash: Sha256,
    /// Bytes that are not read yet.
    pending: Vec<u8>,
    /// Entries that are still to come; none before their count was read.
    left: Option<u64>,
    entries: Vec<PackEntry>,
    /// The first rule that is broken, told unless the checksum does not match either.
    fault: Option<DecodeError>,
}

impl<'t> FooterDecoder<'t> {
    /// Nothing yet.
    pub fn new(trailer: &'t Trailer) -> Self {
        let (pending, entries) = (Vec::new(), Vec::new());
        Self { trailer, hash: Sha256::new(), pending, left: None, entries, fault: None }
    }

    /// Reads on.
    pub fn push(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        if self.fault.is_some() {
            return;
        }
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut reader = Reader::new(OBJECT, &pending);
        self.fault = self.read(&mut reader).err();
        reader.rest().clone_into(&mut self.pending);
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut left = match self.left {
            Some(left) => left,
            None if reader.remaining() < COUNT_LEN => return Ok(()),
            None => {
                let count = u64::from(reader.u32()?);
                let room = u64::from(self.trailer.footer_len).checked_sub(COUNT_LEN);
                if count.checked_mul(ENTRY_LEN) != room {
                    let reason = format!("the footer counts {count} entries and has room for another number");
                    return Err(DecodeError::invalid(OBJECT, reason));
                }
                count
            }
        };
        while left > 0 && reader.remaining() >= ENTRY_LEN {
            self.entries.push(decode_entry(reader, self.trailer.footer_offset)?);
            left = left.saturating_sub(1);
        }
        self.left = Some(left);
        if left == 0 { reader.end() } else { Ok(()) }
    }

    /// The entries, if they are complete and what the checksum in the trailer says.
    pub fn finish(mut self) -> Result<Vec<PackEntry>, DecodeError> {
        self.hash.update(self.trailer.footer_len.to_le_bytes());
        if <[u8; 32]>::from(self.hash.finalize()) != self.trailer.digest {
            return Err(DecodeError::Checksum { object: OBJECT });
        }
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.left != Some(0) {
            let needed = self.left.map_or(COUNT_LEN, |left| left.saturating_mul(ENTRY_LEN));
            return Err(DecodeError::Truncated { object: OBJECT, needed, present: length(&self.pending) });
        }
        if overlap(&self.entries) {
            return Err(DecodeError::invalid(OBJECT, "the frames of two entries overlap"));
        }
        self.entries.shrink_to_fit();
        Ok(self.entries)
    }
}

/// Reads the footer that `trailer` points at and that is in memory as a whole.
pub fn decode_footer(trailer: &Trailer, footer: &[u8]) -> Result<Vec<PackEntry>, DecodeError> {
    let mut decoder = FooterDecoder::new(trailer);
    decoder.push(footer);
    decoder.finish()
}

/// Whether two entries share bytes: then a small file could ask for any amount of work.
fn overlap(entries: &[PackEntry]) -> bool {
    let frames = entries.iter().filter(|entry| entry.stored_len > 0);
    let mut frames: Vec<(u64, u64)> = frames.map(|entry| (entry.offset, entry.stored_len)).collect();
    frames.sort_unstable();
    !frames.is_sorted_by(|(offset, len), (next, _)| offset.saturating_add(*len) <= *next)
}

fn decode_entry(reader: &mut Reader<'_>, footer_offset: u64) -> Result<PackEntry, DecodeError> {
    let id = BlobId::from_bytes(reader.array()?);
    let offset = reader.u64()?;
    let stored_len = reader.u64()?;
    let raw_len = reader.u64()?;
    let encoding = Encoding::from_flags(OBJECT, reader.u8()?)?;
    let crc32c = reader.u32()?;
    let invalid = |what: &str| Err(DecodeError::invalid(OBJECT, format!("the entry of blob {id} {what}")));
    let inside =
        offset >= HEADER_LEN && offset.checked_add(stored_len).is_some_and(|end| end <= footer_offset);
    if !inside {
        return invalid("lies outside the frames");
    }
    if raw_len > MAX_RAW_LEN || stored_len > MAX_STORED_LEN {
        return invalid("is larger than a blob may be");
    }
    if encoding == Encoding::Raw && raw_len != stored_len {
        return invalid("is stored raw with another length");
    }
    Ok(PackEntry { id, offset, stored_len, raw_len, encoding, crc32c })
}

/// Bytes of a pack with so many entries, of so many stored bytes together.
pub fn file_len(entries: u64, stored: u64) -> u64 {
    let footer = entries.saturating_mul(61).saturating_add(4);
    stored.saturating_add(footer).saturating_add(HEADER_LEN + TRAILER_LEN)
}

/// Writes footer and trailer.
pub fn encode_footer(entries: &[PackEntry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len().saturating_mul(61).saturating_add(44));
    out.extend_from_slice(&count32(entries).to_le_bytes());
    for entry in entries {
        out.extend_from_slice(entry.id.as_bytes());
        out.extend_from_slice(&entry.offset.to_le_bytes());
        out.extend_from_slice(&entry.stored_len.to_le_bytes());
        out.extend_from_slice(&entry.raw_len.to_le_bytes());
        out.push(entry.encoding.flags());
        out.extend_from_slice(&entry.crc32c.to_le_bytes());
    }
    let footer_len = to_u32(length(&out)).to_le_bytes();
    let mut hash = Sha256::new();
    hash.update(&out);
    hash.update(footer_len);
    out.extend_from_slice(&footer_len);
    out.extend_from_slice(&hash.finalize());
    out.extend_from_slice(&END_MAGIC);
    out
}

/// Where the sealed footer of an encrypted pack lies; nothing reads further yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncryptedTrailer {
    /// Bytes from the start of the file to the sealed footer.
    pub footer_offset: u64,
    /// Bytes of the sealed footer.
    pub footer_stored_len: u64,
}

/// Bytes of the trailer of an encrypted pack.
pub const ENCRYPTED_TRAILER_LEN: u64 = 20;

/// Reads the last 20 bytes of an encrypted pack of `file_len` bytes.
pub fn decode_encrypted_trailer(file_len: u64, bytes: &[u8; 20]) -> Result<EncryptedTrailer, DecodeError> {
    let mut reader = Reader::new(OBJECT, bytes);
    let footer_offset = reader.u64()?;
    let footer_stored_len = reader.u64()?;
    if reader.array::<4>()? != END_MAGIC {
        return Err(DecodeError::invalid(OBJECT, "it does not end with its magic bytes"));
    }
    let end = footer_offset.checked_add(footer_stored_len);
    let fits = footer_offset >= HEADER_LEN
        && end.is_some_and(|end| file_len.checked_sub(ENCRYPTED_TRAILER_LEN) == Some(end))
        && footer_stored_len <= MAX_FOOTER_LEN;
    if !fits {
        return Err(DecodeError::invalid(OBJECT, "its sealed footer does not fit"));
    }
    Ok(EncryptedTrailer { footer_offset, footer_stored_len })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fill: u8) -> PackEntry {
        PackEntry {
            id: BlobId::from_bytes([fill; 32]),
            offset: HEADER_LEN,
            stored_len: 10,
            raw_len: 10,
            encoding: Encoding::Raw,
            crc32c: 7,
        }
    }

    fn decode(file_len: u64, tail: &[u8]) -> Result<Vec<PackEntry>, DecodeError> {
        let (footer, trailer) = tail.split_last_chunk::<40>().unwrap();
        decode_footer(&decode_trailer(file_len, trailer)?, footer)
    }

    #[test]
    fn a_footer_comes_back_as_it_was_written() {
        let empty = PackEntry { offset: 16, stored_len: 0, raw_len: 0, ..entry(3) };
        let second = PackEntry { offset: 16, raw_len: 99, encoding: Encoding::Zstd, ..entry(2) };
        let entries = vec![entry(1), empty, second];
        let tail = encode_footer(&entries);
        assert_eq!(decode(26 + length(&tail), &tail).unwrap(), entries);
        assert_eq!(encode_footer(&decode(26 + length(&tail), &tail).unwrap()), tail);
    }

    #[test]
    fn entries_that_share_bytes_are_refused() {
        for offset in [6, 7, 15] {
            let tail = encode_footer(&[entry(1), PackEntry { offset, ..entry(2) }]);
            assert!(decode(26 + length(&tail), &tail).is_err(), "{offset}");
        }
    }

    #[test]
    fn every_flipped_bit_of_a_footer_is_noticed() {
        let tail = encode_footer(&[entry(1)]);
        for bit in 0..tail.len() * 8 {
            let mut bad = tail.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(16 + length(&bad), &bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn entries_that_break_a_rule_are_refused() {
        let breaks = [
            PackEntry { offset: 5, ..entry(1) },
            PackEntry { offset: u64::MAX, ..entry(1) },
            PackEntry { stored_len: 11, raw_len: 11, ..entry(1) },
            PackEntry { raw_len: 11, ..entry(1) },
            PackEntry { raw_len: MAX_RAW_LEN + 1, encoding: Encoding::Zstd, ..entry(1) },
        ];
        for bad in breaks {
            let tail = encode_footer(&[bad]);
            assert!(decode(16 + length(&tail), &tail).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn flags_are_known_or_refused() {
        assert!(matches!(Encoding::from_flags(OBJECT, 2), Err(DecodeError::Encrypted { .. })));
        assert!(matches!(Encoding::from_flags(OBJECT, 4), Err(DecodeError::Invalid { .. })));
        assert_eq!(decode_header(&HEADER), Ok(Header::Plain));
        assert_eq!(decode_header(b"MVPK\x01\x01"), Ok(Header::Encrypted));
        assert!(decode_header(b"MVPK\x01\x02").is_err());
        assert!(decode_header(b"MVPK\x02\x00").is_err());
        assert!(decode_header(b"MVPX\x01\x00").is_err());
    }

    #[test]
    fn an_encrypted_trailer_must_fit() {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&6u64.to_le_bytes());
        bytes[8..16].copy_from_slice(&50u64.to_le_bytes());
        bytes[16..].copy_from_slice(&END_MAGIC);
        let trailer = decode_encrypted_trailer(76, &bytes).unwrap();
        assert_eq!((trailer.footer_offset, trailer.footer_stored_len), (6, 50));
        assert!(decode_encrypted_trailer(75, &bytes).is_err());
    }
}
