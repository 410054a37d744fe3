#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use msgvault_verifier::format::zstd_frame::decode_header;
use msgvault_verifier::{Decompressor, Ruzstd};

/// Longer blobs take too long for a fuzzer.
const MAX_LEN: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    // The length that the entry states, then the frame.
    let Some((raw_len, mut frame)) = data.split_first_chunk::<4>() else { return };
    let raw_len = u32::from_le_bytes(*raw_len).into();
    let Ok(header) = decode_header(frame, raw_len) else { return };
    if raw_len > MAX_LEN {
        return;
    }
    if let Ok(decoder) = Ruzstd.decoder(&header, &mut frame) {
        let _ = decoder.take(raw_len + 1).read_to_end(&mut Vec::new());
    }
});
