#![no_main]

use libfuzzer_sys::fuzz_target;
use msgvault_verifier::format::sums::Sums;

fuzz_target!(|data: &[u8]| {
    if let Ok(sums) = Sums::decode(data) {
        assert_eq!(sums.encode().as_bytes(), data);
    }
});
