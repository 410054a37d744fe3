//! The reserved bits inside of zstd blocks, which this decoder ignores and others refuse (RFC 8878,
//! 3.1.1.3.2.1).

use std::io::{self, BufRead, Read};

/// Passes a frame on, and fails where a block has a reserved bit set.
pub(super) struct ReservedBits<'a> {
    frame: &'a mut dyn BufRead,
    /// Bytes that need no look.
    skip: u64,
    /// What comes behind them.
    next: Field,
    /// The bytes of that field that have come.
    field: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    /// The header of a block.
    Block,
    /// The header of its literals; so many bytes of the block are left.
    Literals(u64),
    /// The header of its sequences; so many bytes of the block are left.
    Sequences(u64),
    /// Nothing that this can follow; the decoder knows what is wrong.
    End,
}

impl<'a> ReservedBits<'a> {
    /// Of a frame whose header has `header_len` bytes.
    pub(super) fn new(frame: &'a mut dyn BufRead, header_len: u64) -> Self {
        Self { frame, skip: header_len, next: Field::Block, field: Vec::new() }
    }

    fn look(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while self.next != Field::End || self.skip > 0 {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= skipped as u64;
            let Some((first, rest)) = bytes.get(skipped..).and_then(<[u8]>::split_first) else { break };
            bytes = rest;
            self.field.push(*first);
            let step = match self.next {
                Field::Block => block(&self.field),
                Field::Literals(left) => literals(&self.field, left),
                Field::Sequences(left) => sequences(&self.field, left)?,
                Field::End => break,
            };
            if let Some((skip, next)) = step {
                (self.skip, self.next) = (skip, next);
                self.field.clear();
            }
        }
        Ok(())
    }
}

// Behind the last block come at most the four bytes of a checksum, which are too few to be taken for
// sequences.

/// What a whole field says: how many bytes to skip, and what comes then. `None` as long as bytes of it are
/// missing.
type Step = Option<(u64, Field)>;

fn block(field: &[u8]) -> Step {
    let header = number(field, 3)?;
    let (last, kind, size) = (header & 1 == 1, header >> 1 & 3, header >> 3);
    match (kind, last) {
        (2, _) => Some((0, Field::Literals(size))),
        (_, true) => Some((0, Field::End)),
        (0, false) => Some((size, Field::Block)),
        (_, false) => Some((1, Field::Block)),
    }
}

fn literals(field: &[u8], left: u64) -> Step {
    let first = u64::from(*field.first()?);
    let (kind, format) = (first & 3, first >> 2 & 3);
    // Bytes of the header, and where in it the stored size begins.
    let (len, shift) = match (kind, format) {
        (0 | 1, 0 | 2) => (1, 3),
        (0 | 1, 1) => (2, 4),
        (0 | 1, _) => (3, 4),
        (_, 0 | 1) => (3, 14),
        (_, 2) => (4, 18),
        (_, _) => (5, 22),
    };
    let header = number(field, len)?;
    // One byte that is repeated has a size of one.
    let size = if kind == 1 { 1 } else { header >> shift };
    match left.checked_sub(len as u64).and_then(|left| left.checked_sub(size)) {
        Some(left) => Some((size, Field::Sequences(left))),
        None => Some((0, Field::End)),
    }
}

/// Fails when the two lowest bits of the compression modes are set.
fn sequences(field: &[u8], left: u64) -> io::Result<Step> {
    let len = match field {
        [0, ..] | [128, 0, ..] => return Ok(Some((left.saturating_sub(field.len() as u64), Field::Block))),
        [1..=127, ..] => 2,
        [255, ..] => 4,
        _ => 3,
    };
    match field.get(len - 1) {
        None => Ok(None),
        Some(modes) if modes & 3 != 0 => Err(io::Error::other("a reserved bit is set")),
        Some(_) => Ok(Some((left.saturating_sub(len as u64), Field::Block))),
    }
}

/// The first `len` bytes as a number, once they are there.
fn number(field: &[u8], len: usize) -> Option<u64> {
    let bytes = field.get(..len)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

impl Read for ReservedBits<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.frame.read(buffer)?;
        self.look(buffer.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}
