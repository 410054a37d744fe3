//! The only source of randomness: a small generator whose output depends only on its seed.

/// `SplitMix64`: a counter that advances by an odd constant, and a mixer that scatters its bits.
///
/// It is not fit for secrets. It is fast, has no bad seeds, and gives the same numbers on every machine.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    /// Each purpose has its own stream, so that one part of an archive can draw more without affecting the
    /// others.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        let mut rng = Self(seed);
        let mut state = rng.next();
        for byte in purpose.bytes() {
            state = mix(state ^ u64::from(byte));
        }
        Self(state)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// A number in `low..=high`; `low` when the range is empty.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low.saturating_add(self.below(high.saturating_sub(low).saturating_add(1)))
    }

    /// A row id in `low..=high`, both positive.
    pub(super) fn id(&mut self, low: i64, high: i64) -> i64 {
        low.saturating_add_unsigned(self.below(high.abs_diff(low).saturating_add(1)))
    }

    pub(super) fn index(&mut self, len: usize) -> usize {
        let product = u128::from(self.next()) * u128::try_from(len).unwrap_or(0);
        usize::try_from(product >> 64).unwrap_or(0)
    }

    /// True once in `n` times on average.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of the items, all equally likely.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }

    /// One of the items, the early ones more often than the late ones, as words are in a language.
    pub(super) fn pick_early<T: Copy>(&mut self, items: &[T]) -> T {
        let one = self.index(items.len());
        let other = self.index(items.len());
        items[one.min(other)]
    }

    /// A size around `mean`: half of the draws are small, a few are much larger.
    pub(super) fn skewed(&mut self, mean: u64) -> u64 {
        match self.below(100) {
            0..50 => self.between(0, mean / 4),
            50..80 => self.between(mean / 4, mean),
            80..97 => self.between(mean, mean.saturating_mul(3)),
            _ => self.between(mean.saturating_mul(3), mean.saturating_mul(12)),
        }
    }

    /// `len` bytes that no compressor can shrink.
    pub(super) fn noise(&mut self, len: usize, into: &mut Vec<u8>) {
        let end = into.len().saturating_add(len);
        into.reserve(len.saturating_add(8));
        while into.len() < end {
            into.extend_from_slice(&self.next().to_le_bytes());
        }
        into.truncate(end);
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_published_ones() {
        // The reference sequence of SplitMix64 for the seed 1234567.
        let mut rng = Rng(1_234_567);
        assert_eq!(rng.next(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn draws_stay_in_their_range() {
        let mut rng = Rng::new(7, "ranges");
        for _ in 0..2000 {
            assert!(rng.below(3) < 3);
            assert!((5..=9).contains(&rng.between(5, 9)));
            assert!((1..=4).contains(&rng.id(1, 4)));
            assert!(rng.index(11) < 11);
        }
        assert_eq!(rng.below(0), 0);
        let mut bytes = vec![1];
        rng.noise(13, &mut bytes);
        assert_eq!(bytes.len(), 14);
    }

    #[test]
    fn purposes_do_not_share_a_stream() {
        assert_ne!(Rng::new(1, "a").next(), Rng::new(1, "b").next());
        assert_ne!(Rng::new(1, "a").next(), Rng::new(2, "a").next());
    }
}
