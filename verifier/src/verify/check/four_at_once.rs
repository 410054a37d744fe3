//! SHA-256 (FIPS 180-4) of four messages at a time, for WebAssembly, which has wide words and no instruction
//! for it.

#![expect(clippy::inline_always, reason = "a call would take the words out of their registers")]

/// Whether this is faster here than one page after another with the processor's own instructions.
pub(super) const IS_FASTER: bool = cfg!(all(target_arch = "wasm32", target_feature = "simd128"));

/// The bytes of a block; messages here are whole blocks.
const BLOCK: usize = 64;

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
type Native = core::arch::wasm32::v128;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
type Native = [u32; 4];

/// The digests of four messages of one length, of which only whole blocks are looked at.
pub(super) fn digests(messages: [&[u8]; 4]) -> [[u8; 32]; 4] {
    let mut state: [Native; 8] = INITIAL.map(|word| Native::of([word; 4]));
    let [a, b, c, d] = messages.map(|message| message.as_chunks().0);
    for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
        compress(&mut state, [a, b, c, d]);
    }
    let mut padding = [0; BLOCK];
    let bits = 8 * (a.len() * BLOCK) as u64;
    padding[0] = 0x80;
    padding[BLOCK - 8..].copy_from_slice(&bits.to_be_bytes());
    compress(&mut state, [&padding; 4]);
    let words = state.map(Lanes::words);
    [0, 1, 2, 3].map(|lane| {
        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word[lane].to_be_bytes();
        }
        digest
    })
}

/// Four words, one of each message.
trait Lanes: Copy {
    fn of(words: [u32; 4]) -> Self;
    fn words(self) -> [u32; 4];
    fn add(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn shl(self, bits: u32) -> Self;
    fn shr(self, bits: u32) -> Self;

    #[inline(always)]
    fn rotr(self, bits: u32) -> Self {
        self.shr(bits).xor(self.shl(32 - bits))
    }
}

fn compress<L: Lanes>(state: &mut [L; 8], blocks: [&[u8; BLOCK]; 4]) {
    let blocks = blocks.map(|block| block.as_chunks().0);
    let mut schedule: [L; 16] =
        std::array::from_fn(|word| L::of(blocks.map(|block| u32::from_be_bytes(block[word]))));
    let mut working = *state;
    // Written out: in loops this has a fifth less speed.
    macro_rules! rounds {
        ($constants:expr, $prepare:ident) => {
            rounds!($constants, $prepare, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
        };
        ($constants:expr, $prepare:ident, $($i:literal)*) => { $(
            $prepare(&mut schedule, $i);
            working = round(working, schedule[$i], $constants[$i]);
        )* };
    }
    let [first, others @ ..] = &CONSTANTS;
    rounds!(first, keep);
    for constants in others {
        rounds!(constants, extend);
    }
    for (word, change) in state.iter_mut().zip(working) {
        *word = word.add(change);
    }
}

#[inline(always)]
fn keep<L: Lanes>(_: &mut [L; 16], _: usize) {}

/// Replaces the word that is 16 rounds old.
#[inline(always)]
fn extend<L: Lanes>(schedule: &mut [L; 16], i: usize) {
    let [old, near, far] = [1, 14, 9].map(|distance| schedule[(i + distance) % 16]);
    let old = old.rotr(7).xor(old.rotr(18)).xor(old.shr(3));
    let near = near.rotr(17).xor(near.rotr(19)).xor(near.shr(10));
    schedule[i] = schedule[i].add(far).add(old).add(near);
}

#[inline(always)]
#[expect(clippy::many_single_char_names, reason = "as the standard names them")]
fn round<L: Lanes>([a, b, c, d, e, f, g, h]: [L; 8], word: L, constant: u32) -> [L; 8] {
    let choice = g.xor(e.and(f.xor(g)));
    let majority = b.xor(a.xor(b).and(b.xor(c)));
    let t = h.add(L::of([constant; 4])).add(word).add(choice);
    let t = t.add(e.rotr(6).xor(e.rotr(11)).xor(e.rotr(25)));
    [t.add(majority).add(a.rotr(2).xor(a.rotr(13)).xor(a.rotr(22))), a, b, c, d.add(t), e, f, g]
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
impl Lanes for core::arch::wasm32::v128 {
    #[inline(always)]
    fn of([a, b, c, d]: [u32; 4]) -> Self {
        core::arch::wasm32::u32x4(a, b, c, d)
    }

    #[inline(always)]
    fn words(self) -> [u32; 4] {
        use core::arch::wasm32::u32x4_extract_lane as lane;
        [lane::<0>(self), lane::<1>(self), lane::<2>(self), lane::<3>(self)]
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        core::arch::wasm32::u32x4_add(self, other)
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        core::arch::wasm32::v128_xor(self, other)
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        core::arch::wasm32::v128_and(self, other)
    }

    #[inline(always)]
    fn shl(self, bits: u32) -> Self {
        core::arch::wasm32::u32x4_shl(self, bits)
    }

    #[inline(always)]
    fn shr(self, bits: u32) -> Self {
        core::arch::wasm32::u32x4_shr(self, bits)
    }
}

/// The same without wide words, so that every machine can test the rest.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
impl Lanes for [u32; 4] {
    fn of(words: [u32; 4]) -> Self {
        words
    }

    fn words(self) -> [u32; 4] {
        self
    }

    fn add(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane].wrapping_add(other[lane]))
    }

    fn xor(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] ^ other[lane])
    }

    fn and(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] & other[lane])
    }

    fn shl(self, bits: u32) -> Self {
        self.map(|word| word << bits)
    }

    fn shr(self, bits: u32) -> Self {
        self.map(|word| word >> bits)
    }
}

/// The first 32 bits of the fractional parts of the square roots of the first 8 primes.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
#[rustfmt::skip]
const CONSTANTS: [[u32; 16]; 4] = [
    [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    ],
    [
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    ],
    [
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    ],
    [
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ],
];
