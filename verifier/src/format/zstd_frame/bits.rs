//! Bit streams of zstd (RFC 8878, 3.1.1.3 and 4.1): some are read forwards, most of them backwards.

/// Reads from the lowest bit of the first byte upwards. Behind the end are zeros.
pub(super) struct ForwardBits<'a> {
    bytes: &'a [u8],
    used: usize,
}

impl<'a> ForwardBits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, used: 0 }
    }

    /// The next `count` bits, of at most 16, which are not consumed.
    pub(super) fn peek(&self, count: u32) -> u32 {
        let mut window = [0; 4];
        let rest = self.bytes.get(self.used / 8..).unwrap_or_default();
        window.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let offset = u32::try_from(self.used % 8).unwrap_or(0);
        u32::from_le_bytes(window).wrapping_shr(offset) & 1u32.wrapping_shl(count).wrapping_sub(1)
    }

    pub(super) fn skip(&mut self, count: u32) {
        self.used = self.used.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
    }

    pub(super) fn take(&mut self, count: u32) -> u32 {
        let bits = self.peek(count);
        self.skip(count);
        bits
    }

    /// The bytes of which a bit was consumed; none if there were not so many.
    pub(super) fn bytes_used(&self) -> Option<u64> {
        let used = self.used.div_ceil(8);
        if used <= self.bytes.len() { u64::try_from(used).ok() } else { None }
    }
}

/// Reads from the highest set bit of the last byte, which is a mark, downwards. Before the beginning are zeros.
#[derive(Clone, Copy)]
pub(super) struct BackwardBits<'a> {
    bytes: &'a [u8],
    /// Bits that are not consumed.
    left: usize,
}

impl<'a> BackwardBits<'a> {
    pub(super) const EMPTY: Self = Self { bytes: &[], left: 0 };

    /// None without the mark: for no bytes, and for a last byte of zero.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let mark = bytes.last()?.checked_ilog2()?;
        let below = bytes.len().saturating_sub(1).checked_mul(8)?;
        Some(Self { bytes, left: below.checked_add(usize::try_from(mark).ok()?)? })
    }

    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// The next bits, at least 57 of them, the first in the highest place.
    pub(super) fn window(&self) -> u64 {
        let end = self.left.div_ceil(8);
        let unused = u32::try_from(end.wrapping_mul(8).wrapping_sub(self.left)).unwrap_or(0);
        let head = self.bytes.get(..end).unwrap_or_default();
        let window = head.last_chunk::<8>().copied().unwrap_or_else(|| {
            let mut window = [0; 8];
            window.iter_mut().rev().zip(head.iter().rev()).for_each(|(to, from)| *to = *from);
            window
        });
        u64::from_le_bytes(window).wrapping_shl(unused)
    }

    /// Consumes bits; false if there are not so many.
    #[must_use]
    pub(super) fn skip(&mut self, count: usize) -> bool {
        let left = self.left.checked_sub(count);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}
