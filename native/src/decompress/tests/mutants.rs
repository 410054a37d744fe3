//! Both decoders on valid frames, and on frames with faults whose checksums fit.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use msgvault_verifier::format::id::{BlobId, PackId};
use msgvault_verifier::format::pack::{Encoding, HEADER, PackEntry, encode_footer};
use msgvault_verifier::format::zstd_frame::decode_header;
use msgvault_verifier::store::{MemoryStore, Store};
use msgvault_verifier::{Decompressor, FrameError, Pack, Ruzstd};

use super::super::Zstd;

/// Longer output of a mutant is not looked at.
const MAX_OUTPUT: u64 = 1 << 20;

/// Numbers that look random and are the same in every run.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Content of a kind that makes an encoder use the parts of the format: text, skewed bytes, runs, noise, records.
pub(super) fn content(random: &mut Random, len: usize) -> Vec<u8> {
    let words: [&[u8]; 6] = [b"the ", b"message ", b"of ", b"archive\n", b"From: ", b"<a@example.org> "];
    let kind = random.below(7);
    let mut bytes = Vec::with_capacity(len + 64);
    while bytes.len() < len {
        match kind {
            0 => bytes.extend_from_slice(words[random.below(words.len())]),
            1 => {
                let skewed = random.byte() & random.byte() & random.byte();
                bytes.push(b'a'.wrapping_add(skewed));
            }
            2 => {
                let (byte, count) = (random.byte() & 3, 1 + random.below(40));
                bytes.resize(bytes.len() + count, byte);
            }
            3 => bytes.push(random.byte()),
            4 => {
                let number = bytes.len() / 7;
                bytes.extend_from_slice(&number.to_le_bytes()[..4]);
            }
            5 if random.below(9) == 0 && bytes.len() > 40 => {
                let start = random.below(bytes.len() - 32);
                bytes.extend_from_within(start..start + 4 + random.below(28));
            }
            _ => bytes.push(b' ' + (random.byte() & random.byte() & 63)),
        }
    }
    bytes.truncate(len);
    bytes
}

/// A frame as encoders make them, with its content: all levels, flushes, content size or not, checksum or not.
pub(super) fn valid_frame(random: &mut Random, len: usize) -> (Vec<u8>, Vec<u8>) {
    let level = i32::try_from(random.below(27)).unwrap() - 7;
    let raw = content(random, len);
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), level).unwrap();
    encoder.include_checksum(random.below(8) == 0).unwrap();
    let choice = random.below(4);
    if choice < 2 {
        encoder.set_pledged_src_size(Some(u64::try_from(len).unwrap())).unwrap();
        encoder.include_contentsize(random.below(2) == 0).unwrap();
    } else if choice == 2 {
        encoder.window_log(10 + u32::try_from(random.below(12)).unwrap()).unwrap();
    }
    if random.below(8) == 0 {
        encoder.long_distance_matching(true).unwrap();
    }
    let flush_every = [usize::MAX, usize::MAX, 1 + len / 2, 1 + len / 9][random.below(4)];
    for piece in raw.chunks(flush_every.min(len.max(1))) {
        encoder.write_all(piece).unwrap();
        if flush_every < len {
            encoder.flush().unwrap();
        }
    }
    (encoder.finish().unwrap(), raw)
}

/// Changes a little of a frame, most often near its beginning, where its tables are.
fn mutate(random: &mut Random, frame: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        let end = if random.below(2) == 0 { frame.len().min(48) } else { frame.len() };
        if end < 6 {
            return;
        }
        let at = 4 + random.below(end - 4);
        match random.below(8) {
            0..=3 => frame[at] ^= 1 << random.below(8),
            4 => frame[at] = random.byte(),
            5 => frame[at] = [0, 1, 0x7f, 0x80, 0xff, 0x10, 0x55][random.below(7)],
            6 => {
                frame.remove(at);
            }
            _ => frame.insert(at, random.byte()),
        }
    }
}

/// What a decoder says without any rule before it: the output and the bytes that it left.
fn alone(decompressor: &dyn Decompressor, frame: &[u8], raw_len: u64) -> Option<Vec<u8>> {
    let header = decode_header(frame, raw_len).ok()?;
    let decode = || {
        let mut rest = frame;
        let mut raw = Vec::new();
        let reader = decompressor.decoder(&header, &mut rest).ok()?;
        reader.take(MAX_OUTPUT + 1).read_to_end(&mut raw).ok()?;
        rest.is_empty().then_some(raw)
    };
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or(None)
}

/// What a program says of a blob that is this frame and whose checksum fits; of its name, the hash would decide.
pub(super) fn verdict(
    decompressor: &dyn Decompressor,
    frame: &[u8],
    raw_len: u64,
) -> Result<Vec<u8>, FrameError> {
    let entry = PackEntry {
        id: BlobId::of(b""),
        offset: 6,
        stored_len: u64::try_from(frame.len()).unwrap(),
        raw_len,
        encoding: Encoding::Zstd,
        crc32c: crc32c::crc32c(frame),
    };
    let mut store = MemoryStore::default();
    let id = PackId::from_parts(1, 1);
    store.insert(id.path(), [&HEADER[..], frame, &encode_footer(&[entry])].concat());
    let pack = Pack::new(store.open(&id.path()).unwrap(), decompressor).unwrap();
    let mut raw = Vec::new();
    let _unproven = pack.stream_unproven(&pack.entries()[0], &mut |piece| {
        raw.extend_from_slice(piece);
        ControlFlow::Continue(())
    })?;
    Ok(raw)
}

/// How two verdicts differ.
fn difference(rust: Option<&[u8]>, c: Option<&[u8]>) -> &'static str {
    match (rust, c) {
        (Some(rust), Some(c)) if rust == c => "both take it",
        (Some(_), Some(_)) => "both take it, with other bytes",
        (Some(_), None) => "only Rust takes it",
        (None, Some(_)) => "only C takes it",
        (None, None) => "both refuse it",
    }
}

/// Counts, for so many mutants, how the decoders differ alone and behind the rule.
fn tally(seed: u64, mutants: usize) -> BTreeMap<(&'static str, &'static str), usize> {
    let mut random = Random::new(seed);
    let mut counts = BTreeMap::new();
    let mut original = (Vec::new(), 0);
    for n in 0..mutants {
        if n % 50 == 0 {
            let len = [25, 90, 400, 1500, 5000, 20_000, 300_000][n / 50 % 97 * 7 / 97];
            let (frame, raw) = valid_frame(&mut random, len);
            original = (frame, u64::try_from(raw.len()).unwrap());
        }
        let (mut frame, mut raw_len) = original.clone();
        mutate(&mut random, &mut frame);
        let stated = decode_header(&frame, raw_len).is_ok_and(|header| header.content_size.is_some());
        let decoders: [&dyn Decompressor; 2] = [&Ruzstd, &Zstd];
        let [mut rust, mut c] = decoders.map(|decoder| alone(decoder, &frame, raw_len));
        // A forger states the length that a decoder gives.
        if let (false, Some(raw)) = (stated, c.as_ref().or(rust.as_ref())) {
            raw_len = u64::try_from(raw.len()).unwrap();
        }
        for raw in [&mut rust, &mut c] {
            raw.take_if(|raw| u64::try_from(raw.len()).unwrap() != raw_len);
        }
        *counts.entry(("alone", difference(rust.as_deref(), c.as_deref()))).or_default() += 1;
        if raw_len > MAX_OUTPUT {
            continue;
        }
        let [rust, c] = decoders.map(|decoder| {
            catch_unwind(AssertUnwindSafe(|| verdict(decoder, &frame, raw_len).ok())).unwrap_or(None)
        });
        let name = difference(rust.as_deref(), c.as_deref());
        *counts.entry(("behind the rule", name)).or_default() += 1;
    }
    counts
}

/// Mutants per million on which the verdicts of the two programs may differ.
const MAX_DIFFERENT: usize = 1000;

fn assert_one_verdict(seed: u64, mutants: usize) {
    let counts = tally(seed, mutants);
    let different: usize = counts
        .iter()
        .filter(|((place, name), _)| {
            *place == "behind the rule" && !matches!(*name, "both take it" | "both refuse it")
        })
        .map(|(_, count)| count)
        .sum();
    assert!(different * 1_000_000 <= MAX_DIFFERENT * mutants, "{counts:#?}");
    println!("{counts:#?}");
}

#[test]
fn both_decoders_give_one_verdict_on_mutants() {
    assert_one_verdict(1, 5000);
}

#[test]
#[ignore = "takes a quarter of an hour; --nocapture shows the counts"]
fn both_decoders_give_one_verdict_on_a_million_mutants() {
    for seed in 2..12 {
        assert_one_verdict(seed, 100_000);
    }
}

#[test]
fn every_valid_frame_passes_the_rule() {
    let mut random = Random::new(3);
    for n in 0..600 {
        let len = [25, 90, 400, 1500, 5000, 20_000, 300_000][n % 97 * 7 / 97];
        let (frame, raw) = valid_frame(&mut random, len);
        // Encoders may choose a window that the length does not justify, which is another rule's matter.
        if decode_header(&frame, u64::try_from(raw.len()).unwrap()).is_err() {
            continue;
        }
        for decompressor in [&Zstd as &dyn Decompressor, &Ruzstd] {
            let decoded = verdict(decompressor, &frame, u64::try_from(raw.len()).unwrap());
            assert!(decoded.as_ref() == Ok(&raw), "frame {n}: {:?}", decoded.err());
        }
    }
}

#[test]
fn a_frame_that_only_one_decoder_takes_is_refused_by_both() {
    let frame = [
        0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x19, 0x9d, 0x00, 0x00, 0x92, 0xc1, 0x03, 0x07, 0xf0, 0x39, 0xa4, 0x6b,
        0xc9, 0x5c, 0x52, 0x00, 0xf0, 0xff, 0x6b, 0x54, 0xab, 0xa8, 0x00,
    ];
    assert!(alone(&Ruzstd, &frame, 25).is_some());
    assert!(alone(&Zstd, &frame, 25).is_none());
    for decompressor in [&Zstd as &dyn Decompressor, &Ruzstd] {
        assert!(verdict(decompressor, &frame, 25).is_err());
    }
}
