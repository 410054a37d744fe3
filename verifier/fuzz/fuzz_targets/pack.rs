#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use msgvault_verifier::format::pack::decode_encrypted_trailer;
use msgvault_verifier::store::{MemoryStore, Store};
use msgvault_verifier::{Pack, Ruzstd};

fuzz_target!(|data: &[u8]| {
    if let Some(trailer) = data.last_chunk() {
        let _ = decode_encrypted_trailer(data.len() as u64, trailer);
    }
    let mut store = MemoryStore::default();
    store.insert("pack", data);
    let file = store.open("pack").expect("it was put there");
    let Ok(pack) = Pack::new(file, &Ruzstd) else { return };
    for entry in pack.entries().iter().filter(|entry| entry.raw_len < 1 << 24) {
        let mut len = 0;
        let streamed = pack.stream(entry, &mut |piece| {
            len += piece.len() as u64;
            ControlFlow::Continue(())
        });
        assert!(streamed.is_err() || len == entry.raw_len);
    }
});
