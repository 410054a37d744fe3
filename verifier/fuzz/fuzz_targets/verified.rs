#![no_main]

use libfuzzer_sys::fuzz_target;
use msgvault_verifier::format::verified::Verified;

fuzz_target!(|data: &[u8]| {
    if let Some(hint) = Verified::decode(data) {
        let again = Verified::decode(hint.encode().as_bytes()).expect("what was written can be read");
        assert_eq!(again, hint);
    }
});
