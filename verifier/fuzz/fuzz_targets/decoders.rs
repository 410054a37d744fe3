//! The decoders of both programs behind the same checks: what both take has the same bytes. A forged frame that only one
//! takes is no fault of this target's: there the hash decides, and the worst is a false alarm.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use msgvault::decompress::Zstd;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::pack::{Encoding, HEADER, PackEntry, encode_footer};
use msgvault_verifier::store::{MemoryStore, Store};
use msgvault_verifier::{Decompressor, Pack, Ruzstd};

/// Longer blobs take too long for a fuzzer.
const MAX_LEN: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    // The length that the entry states, then the frame.
    let Some((raw_len, frame)) = data.split_first_chunk::<4>() else { return };
    let raw_len = u64::from(u32::from_le_bytes(*raw_len));
    if raw_len > MAX_LEN || frame.is_empty() {
        return;
    }
    let decoders: [&dyn Decompressor; 2] = [&Ruzstd, &Zstd];
    if let [Some(rust), Some(c)] = decoders.map(|decoder| decoded(decoder, frame, raw_len)) {
        assert!(rust == c, "the decoders take one frame for two contents");
    }
});

/// What a program makes of a blob that is this frame and whose checksum fits.
fn decoded(decompressor: &dyn Decompressor, frame: &[u8], raw_len: u64) -> Option<Vec<u8>> {
    let entry = PackEntry {
        id: BlobId::of(b""),
        offset: HEADER.len() as u64,
        stored_len: frame.len() as u64,
        raw_len,
        encoding: Encoding::Zstd,
        crc32c: crc32c::crc32c(frame),
    };
    let mut store = MemoryStore::default();
    store.insert("pack", [&HEADER[..], frame, &encode_footer(&[entry])].concat());
    let pack = Pack::new(store.open("pack").ok()?, decompressor).ok()?;
    let mut raw = Vec::new();
    let _unproven = pack
        .stream_unproven(pack.entries().first()?, &mut |piece| {
            raw.extend_from_slice(piece);
            ControlFlow::Continue(())
        })
        .ok()?;
    Some(raw)
}
