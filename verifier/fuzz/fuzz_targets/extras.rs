#![no_main]

use libfuzzer_sys::fuzz_target;
use msgvault_verifier::format::extras::{decode, encode};

fuzz_target!(|data: &[u8]| {
    if let Ok(files) = decode(data) {
        assert_eq!(decode(&encode(&files)).expect("what was written can be read"), files);
    }
});
