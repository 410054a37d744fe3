//! Huffman tables and streams of literals (RFC 8878, 4.2): whether they are whole, not what they say.

use super::bits::BackwardBits;
use super::fse::{self, Distribution};

/// The longest code in bits.
const MAX_BITS: u32 = 11;
const MAX_BITS_USIZE: usize = 11;

/// The most symbols but the last, whose weight is implied.
const MAX_WEIGHTS: usize = 255;

/// So many codes always lie in one window of bits.
const CODES_IN_WINDOW: usize = 5;

/// A Huffman code: the length of the code word at the start of each number of `MAX_BITS` bits.
pub(super) struct Code([u8; 1 << MAX_BITS]);

impl Code {
    pub(super) const NONE: Self = Self([0; 1 << MAX_BITS]);

    /// Takes over the table at the start of `bytes`; gives its length in bytes.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Option<u64> {
        let (&first, rest) = bytes.split_first()?;
        let len = if first < 128 { first.into() } else { usize::from(first).checked_sub(126)? / 2 };
        let described = rest.get(..len)?;
        let weights = if first < 128 {
            compressed_weights(described)?
        } else {
            let count = usize::from(first).checked_sub(127)?;
            described.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(count).collect()
        };
        self.assign(&weights)?;
        u64::try_from(len).ok()?.checked_add(1)
    }

    /// A code word of weight w is `max_bits` + 1 - w bits long, and 2^(w - 1) of the numbers begin with it; the words
    /// of the lowest weight come first. The last symbol has what is missing to a power of two.
    fn assign(&mut self, weights: &[u8]) -> Option<()> {
        let mut ranks = [0u32; MAX_BITS_USIZE + 1];
        let mut sum = 0u32;
        for weight in weights {
            let rank = ranks.get_mut(usize::from(*weight))?;
            *rank = rank.checked_add(1)?;
            sum = sum.checked_add(share(u32::from(*weight))?)?;
        }
        let max_bits = sum.checked_ilog2()?.checked_add(1).filter(|bits| *bits <= MAX_BITS)?;
        let missing = 1u32.checked_shl(max_bits)?.checked_sub(sum).filter(|rest| rest.is_power_of_two())?;
        let last = ranks.get_mut(usize::try_from(missing.ilog2()).ok()?.checked_add(1)?)?;
        *last = last.checked_add(1)?;
        if !ranks.get(1).is_some_and(|count| *count >= 2 && count % 2 == 0) {
            return None;
        }
        let mut free = self.0.as_mut_slice();
        for (weight, count) in (0u32..).zip(ranks).skip(1).filter(|(_, count)| *count > 0) {
            let numbers = share(weight)?.checked_mul(count)?.checked_shl(MAX_BITS.checked_sub(max_bits)?)?;
            let (those, rest) = free.split_at_mut_checked(usize::try_from(numbers).ok()?)?;
            those.fill(u8::try_from(max_bits.checked_add(1)?.checked_sub(weight)?).ok()?);
            free = rest;
        }
        Some(())
    }

    /// The length of the first code in a window.
    fn len(&self, window: u64) -> u8 {
        let number = usize::try_from(window >> (u64::BITS - MAX_BITS)).unwrap_or(0);
        self.0.get(number).copied().unwrap_or(0)
    }

    /// Whether a stream has exactly so many codes.
    fn fit(&self, mut bits: BackwardBits<'_>, mut count: usize) -> bool {
        while count > 0 {
            let mut window = bits.window();
            let codes = count.min(CODES_IN_WINDOW);
            for _ in 0..codes {
                let len = self.len(window);
                if !bits.skip(len.into()) {
                    return false;
                }
                window = window.wrapping_shl(len.into());
            }
            count = count.saturating_sub(codes);
        }
        bits.left() == 0
    }

    /// Whether `bytes` is a stream of exactly `count` codes.
    pub(super) fn fit_one(&self, bytes: &[u8], count: usize) -> bool {
        BackwardBits::new(bytes).is_some_and(|bits| self.fit(bits, count))
    }

    /// Whether `bytes` is a jump table and four streams that share `count` codes.
    pub(super) fn fit_four(&self, bytes: &[u8], count: usize) -> Option<bool> {
        let (table, mut rest) = bytes.split_first_chunk::<6>()?;
        let (lens, _) = table.as_chunks::<2>();
        let mut streams = [BackwardBits::EMPTY; 4];
        let [first @ .., fourth] = &mut streams;
        for (stream, len) in first.iter_mut().zip(lens) {
            let (bytes, behind) = rest.split_at_checked(u16::from_le_bytes(*len).into())?;
            *stream = BackwardBits::new(bytes)?;
            rest = behind;
        }
        *fourth = BackwardBits::new(rest)?;
        let each = count.div_ceil(4);
        let of_fourth = count.checked_sub(each.checked_mul(3)?)?;
        // Side by side as long as none can end, which is several times as fast as one after another.
        let mut done = 0usize;
        while done.saturating_add(CODES_IN_WINDOW) <= of_fourth
            && streams.iter().all(|bits| bits.left() >= 64)
        {
            let mut windows = streams.map(|bits| bits.window());
            let mut used = [0usize; 4];
            for _ in 0..CODES_IN_WINDOW {
                for (window, used) in windows.iter_mut().zip(&mut used) {
                    let len = self.len(*window);
                    *window = window.wrapping_shl(len.into());
                    *used = used.wrapping_add(len.into());
                }
            }
            for (bits, used) in streams.iter_mut().zip(used) {
                if !bits.skip(used) {
                    return Some(false);
                }
            }
            done = done.saturating_add(CODES_IN_WINDOW);
        }
        let [first @ .., fourth] = streams;
        let fit = |bits, count: usize| self.fit(bits, count.saturating_sub(done));
        Some(first.into_iter().all(|bits| fit(bits, each)) && fit(fourth, of_fourth))
    }
}

/// The numbers that begin with a code of this weight, as long as the longest codes are one.
fn share(weight: u32) -> Option<u32> {
    match weight.checked_sub(1) {
        None => Some(0),
        Some(power) => 1u32.checked_shl(power),
    }
}

/// Decodes weights: two states take turns until the bits do not suffice.
fn compressed_weights(bytes: &[u8]) -> Option<Vec<u8>> {
    let distribution = Distribution::read(bytes, 6, u8::try_from(MAX_BITS).ok()?)?;
    let states = fse::states(&distribution)?;
    let mut bits = BackwardBits::new(bytes.get(usize::try_from(distribution.len).ok()?..)?)?;
    let mut turn = take(&mut bits, distribution.accuracy_log)?;
    let mut other = take(&mut bits, distribution.accuracy_log)?;
    let mut weights = Vec::with_capacity(MAX_WEIGHTS);
    while weights.len() < MAX_WEIGHTS {
        let state = states.get(turn)?;
        weights.push(state.symbol);
        let Some(add) = take(&mut bits, state.bits) else {
            weights.push(states.get(other)?.symbol);
            return Some(weights).filter(|weights| weights.len() <= MAX_WEIGHTS);
        };
        (turn, other) = (other, usize::try_from(state.base).ok()?.checked_add(add)?);
    }
    None
}

/// The next `count` bits, if there are so many.
fn take(bits: &mut BackwardBits<'_>, count: u32) -> Option<usize> {
    let window = bits.window();
    let number = window.checked_shr(u64::BITS.checked_sub(count)?).unwrap_or(0);
    if bits.skip(usize::try_from(count).ok()?) { usize::try_from(number).ok() } else { None }
}
