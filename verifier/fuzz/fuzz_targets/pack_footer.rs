#![no_main]

use libfuzzer_sys::fuzz_target;
use msgvault_verifier::format::pack::{
    HEADER_LEN, TRAILER_LEN, decode_footer, decode_trailer, encode_footer,
};
use sha2::{Digest, Sha256};

/// Bytes for frames between header and footer.
const FRAMES: u64 = 1 << 20;

fuzz_target!(|footer: &[u8]| {
    // A trailer that fits: only the footer is what somebody made up.
    let empty = encode_footer(&[]);
    let end = empty.last_chunk::<4>().expect("a trailer is longer");
    let len = u32::try_from(footer.len()).expect("inputs are short").to_le_bytes();
    let digest = Sha256::new().chain_update(footer).chain_update(len).finalize();
    let trailer = [&len[..], &digest, end].concat();
    let file_len = HEADER_LEN + FRAMES + footer.len() as u64 + TRAILER_LEN;
    let trailer = trailer.try_into().expect("a trailer has 40 bytes");
    let trailer = decode_trailer(file_len, &trailer).expect("a trailer that fits");
    if let Ok(entries) = decode_footer(&trailer, footer) {
        assert!(encode_footer(&entries).starts_with(footer));
    }
});
