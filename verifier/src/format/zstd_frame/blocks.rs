//! The blocks of a zstd frame (RFC 8878, 3.1.1.2 and 3.1.1.3).
//!
//! Decoders differ in what they let pass of a block that no encoder makes. What is checked here before any of
//! them sees it is therefore strict, and the same for all.

use super::super::DecodeError;
use super::super::bytes::Reader;
use super::fse::Distribution;
use super::huffman::Code;
use super::{FrameHeader, OBJECT};

/// Bytes of a block's header.
pub(crate) const HEADER_LEN: usize = 3;

const MAX_BLOCK_LEN: u64 = 128 << 10;

/// The least literals that can be shared among four streams.
const MIN_FOR_FOUR: u64 = 6;

/// What the header of a block says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockHeader {
    /// Whether no other block follows.
    pub(crate) last: bool,
    /// Bytes of the frame behind the header.
    pub(crate) len: u64,
    compressed: bool,
}

/// The rules for the blocks of one frame, in their order.
pub(crate) struct Blocks {
    max_len: u64,
    /// The Huffman code of the last block with one.
    code: Code,
    has_code: bool,
    /// Whether a block had sequences, whose tables can be used again.
    tables: bool,
}

impl Blocks {
    pub(crate) fn new(header: &FrameHeader) -> Self {
        Self { max_len: header.window.min(MAX_BLOCK_LEN), code: Code::NONE, has_code: false, tables: false }
    }

    /// Checks the header of the next block.
    pub(crate) fn header(&self, bytes: [u8; HEADER_LEN]) -> Result<BlockHeader, DecodeError> {
        let [first, middle, high] = bytes;
        let header = u32::from_le_bytes([first, middle, high, 0]);
        let size = u64::from(header >> 3);
        if size > self.max_len {
            return Err(invalid("a block is too large"));
        }
        let (len, compressed) = match header >> 1 & 3 {
            0 => (size, false),
            1 => (1, false),
            2 => (size, true),
            _ => return Err(invalid("a block has the reserved type")),
        };
        Ok(BlockHeader { last: header & 1 == 1, len, compressed })
    }

    /// Checks the bytes behind a header.
    pub(crate) fn content(&mut self, header: &BlockHeader, content: &[u8]) -> Result<(), DecodeError> {
        if !header.compressed {
            return Ok(());
        }
        let mut reader = Reader::new(OBJECT, content);
        self.literals(&mut reader)?;
        self.sequences(&mut reader)
    }

    fn literals(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let header = LiteralsHeader::read(reader)?;
        if header.raw_len > self.max_len {
            return Err(invalid("a block has too many literals"));
        }
        let mut stored = reader.take(header.stored_len)?;
        if header.kind < 2 {
            return Ok(());
        }
        if header.kind == 2 {
            let len = self.code.read(stored).ok_or_else(|| invalid("a Huffman table is damaged"))?;
            self.has_code = true;
            stored = stored.get(usize::try_from(len).unwrap_or(usize::MAX)..).unwrap_or_default();
        } else if !self.has_code {
            return Err(invalid("there is no Huffman table to use again"));
        }
        let count = usize::try_from(header.raw_len).unwrap_or(usize::MAX);
        let fit = match header.four_streams {
            true if header.raw_len < MIN_FOR_FOUR => false,
            true => self.code.fit_four(stored, count).unwrap_or(false),
            false => count > 0 && self.code.fit_one(stored, count),
        };
        if fit { Ok(()) } else { Err(invalid("a stream of literals has another length than is stated")) }
    }

    fn sequences(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let count = match reader.u8()? {
            few @ 0..128 => u32::from(few),
            high @ 128..255 => u32::from_be_bytes([0, 0, high & 127, reader.u8()?]),
            // Counted from 0x7f00, and so never 0.
            255 => u32::from(reader.u16()?).saturating_add(0x7f00),
        };
        if count == 0 {
            return reader.end();
        }
        let modes = reader.u8()?;
        if modes & 3 != 0 {
            return Err(invalid("a reserved bit is set"));
        }
        self.table(modes >> 6, 9, 35, reader)?;
        self.table(modes >> 4 & 3, 8, 31, reader)?;
        self.table(modes >> 2 & 3, 9, 52, reader)?;
        self.tables = true;
        match reader.take(reader.remaining())?.last() {
            None | Some(0) => Err(invalid("a stream of sequences has no end")),
            Some(_) => Ok(()),
        }
    }

    /// Checks one of the three tables of sequences.
    fn table(
        &self,
        mode: u8,
        max_log: u32,
        max_symbol: u8,
        reader: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        match mode {
            1 if reader.u8()? > max_symbol => Err(invalid("a code of sequences is out of range")),
            2 => {
                let table = Distribution::read(reader.rest(), max_log, max_symbol);
                reader.take(table.ok_or_else(|| invalid("a table of sequences is damaged"))?.len)?;
                Ok(())
            }
            3 if !self.tables => Err(invalid("there is no table of sequences to use again")),
            _ => Ok(()),
        }
    }
}

/// The header of a block's literals.
struct LiteralsHeader {
    /// 0: as they are, 1: one byte repeated, 2: with a Huffman table, 3: with the table of the block before.
    kind: u8,
    raw_len: u64,
    stored_len: u64,
    four_streams: bool,
}

impl LiteralsHeader {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let first = reader.u8()?;
        let (kind, format) = (first & 3, first >> 2 & 3);
        // Bytes that follow, and where the lengths begin and how many bits they have.
        let (more, start, width) = match (kind, format) {
            (0 | 1, 0 | 2) => (0, 3, 5),
            (0 | 1, 1) => (1, 4, 12),
            (0 | 1, _) => (2, 4, 20),
            (_, 0 | 1) => (2, 4, 10),
            (_, 2) => (3, 4, 14),
            (_, _) => (4, 4, 18),
        };
        let high = reader.take(more)?.iter().rfold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let header = high << 8 | u64::from(first);
        let field = |start: u32| header.wrapping_shr(start) & 1u64.wrapping_shl(width).wrapping_sub(1);
        let raw_len = field(start);
        let stored_len = match kind {
            0 => raw_len,
            1 => 1,
            _ => field(width.saturating_add(start)),
        };
        Ok(Self { kind, raw_len, stored_len, four_streams: kind > 1 && format != 0 })
    }
}

fn invalid(reason: &str) -> DecodeError {
    DecodeError::invalid(OBJECT, reason)
}
