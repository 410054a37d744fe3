//! FSE tables (RFC 8878, 4.1): their descriptions, and as much of decoding as Huffman weights need.

use super::bits::ForwardBits;

/// What the description of a table says.
pub(super) struct Distribution {
    /// The table has two to the power of this many states.
    pub(super) accuracy_log: u32,
    /// How many states each symbol has, beginning with symbol 0; -1 is a single one at the end of the table.
    pub(super) counts: Vec<i16>,
    /// Bytes of the description.
    pub(super) len: u64,
}

impl Distribution {
    /// Reads a description at the start of `bytes`, of a table for symbols up to `max_symbol`.
    pub(super) fn read(bytes: &[u8], max_log: u32, max_symbol: u8) -> Option<Self> {
        let mut bits = ForwardBits::new(bytes);
        let accuracy_log = bits.take(4).checked_add(5).filter(|log| *log <= max_log)?;
        let symbols = usize::from(max_symbol).checked_add(1)?;
        let mut counts = Vec::with_capacity(symbols);
        let mut left = 1u32.checked_shl(accuracy_log)?;
        while left > 0 {
            let count = count(&mut bits, left)?;
            counts.push(count);
            left = left.checked_sub(count.unsigned_abs().into())?;
            let mut more = count == 0;
            while more {
                let zeros = bits.take(2);
                counts.resize(counts.len().checked_add(usize::try_from(zeros).ok()?)?, 0);
                more = zeros == 3 && counts.len() <= symbols;
            }
            if counts.len() > symbols {
                return None;
            }
        }
        Some(Self { accuracy_log, counts, len: bits.bytes_used()? })
    }
}

/// Reads one number of states, of which `left` are not given away: 0 to `left` + 1 less one, in as few bits as fit.
fn count(bits: &mut ForwardBits<'_>, left: u32) -> Option<i16> {
    let width = left.checked_add(1)?.ilog2().checked_add(1)?;
    let half = 1u32.checked_shl(width.checked_sub(1)?)?;
    // So many of the values are one bit shorter than the others.
    let short = half.checked_mul(2)?.checked_sub(left)?.checked_sub(2)?;
    let value = bits.peek(width);
    let low = value & half.checked_sub(1)?;
    let value = if low < short {
        bits.skip(width.checked_sub(1)?);
        low
    } else {
        bits.skip(width);
        if value < half { value } else { value.checked_sub(short)? }
    };
    i16::try_from(value).ok()?.checked_sub(1)
}

/// One state of a decoding table.
#[derive(Clone, Copy, Default)]
pub(super) struct State {
    pub(super) symbol: u8,
    /// The next state is `base` plus the number that the next `bits` bits make.
    pub(super) bits: u32,
    pub(super) base: u32,
}

/// The decoding table of a distribution.
pub(super) fn states(distribution: &Distribution) -> Option<Vec<State>> {
    let size = 1usize.checked_shl(distribution.accuracy_log)?;
    let symbols = || (0..=u8::MAX).zip(distribution.counts.iter().copied());
    let mut states = vec![State::default(); size];
    let mut spread = size;
    for (symbol, _) in symbols().filter(|(_, count)| *count < 0) {
        spread = spread.checked_sub(1)?;
        states.get_mut(spread)?.symbol = symbol;
    }
    let step = (size / 2).checked_add(size / 8)?.checked_add(3)?;
    let mut position = 0usize;
    for (symbol, count) in symbols() {
        for _ in 0..count {
            states.get_mut(position)?.symbol = symbol;
            position = position.checked_add(step)?.checked_rem(size)?;
            while position >= spread {
                position = position.checked_add(step)?.checked_rem(size)?;
            }
        }
    }
    let mut next: Vec<u32> = distribution.counts.iter().map(|count| count.unsigned_abs().into()).collect();
    for state in &mut states {
        let number = next.get_mut(usize::from(state.symbol))?;
        state.bits = distribution.accuracy_log.checked_sub(number.checked_ilog2()?)?;
        state.base = number.checked_shl(state.bits)?.checked_sub(u32::try_from(size).ok()?)?;
        *number = number.checked_add(1)?;
    }
    Some(states)
}
