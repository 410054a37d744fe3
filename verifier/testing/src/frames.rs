//! Zstd frames made by hand, which unfold into far more than they have.

use msgvault_verifier::format::id::BlobId;
use sha2::{Digest, Sha256};

/// The most that one block gives.
const BLOCK: usize = 128 << 10;

/// What a frame unfolds into.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// So many zeros: 4 stored bytes for every 128 KiB.
    Zeros(usize),
}

/// Content that is never in memory as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Unfolding<'a>(pub &'a [Part<'a>]);

impl Unfolding<'_> {
    /// Bytes that it has.
    pub fn raw_len(&self) -> u64 {
        let len = |part: &Part<'_>| match part {
            Part::Bytes(bytes) => bytes.len(),
            Part::Zeros(count) => *count,
        };
        self.0.iter().map(len).sum::<usize>() as u64
    }

    /// Its name.
    pub fn id(&self) -> BlobId {
        BlobId::from_bytes(self.digest(self.raw_len()))
    }

    /// The SHA-256 of its first bytes.
    pub fn digest(&self, len: u64) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut left = usize::try_from(len).unwrap();
        let zeros = vec![0; BLOCK];
        self.each_block(|bytes, count, _| {
            let count = count.min(left);
            left -= count;
            hash.update(if bytes.is_empty() { &zeros[..count] } else { &bytes[..count] });
        });
        hash.finalize().into()
    }

    /// The frame, with this window; without one, the decoder must look back at everything.
    pub fn frame(&self, window_log: Option<u8>) -> Vec<u8> {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd];
        match window_log {
            Some(log) => frame.extend([0xc0, (log - 10) << 3]),
            None => frame.push(0xe0),
        }
        frame.extend(self.raw_len().to_le_bytes());
        self.each_block(|bytes, count, is_last| {
            let kind = u32::from(bytes.is_empty());
            let header = u32::try_from(count).unwrap() << 3 | kind << 1 | u32::from(is_last);
            frame.extend(&header.to_le_bytes()[..3]);
            frame.extend(if bytes.is_empty() { &[0][..] } else { bytes });
        });
        frame
    }

    /// Calls `each` with the bytes of every block, none where they are zeros, with their number, and with whether
    /// it is the last.
    fn each_block(&self, mut each: impl FnMut(&[u8], usize, bool)) {
        let last = self.0.len().saturating_sub(1);
        for (number, part) in self.0.iter().enumerate() {
            let (bytes, len) = match part {
                Part::Bytes(bytes) => (*bytes, bytes.len()),
                Part::Zeros(count) => (&[][..], *count),
            };
            for start in (0..len).step_by(BLOCK) {
                let end = len.min(start + BLOCK);
                each(bytes.get(start..end).unwrap_or_default(), end - start, number == last && end == len);
            }
        }
    }
}
