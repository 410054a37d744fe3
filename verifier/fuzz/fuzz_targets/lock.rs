#![no_main]

use libfuzzer_sys::fuzz_target;
use msgvault_verifier::format::lock::{LockName, LockRecord};

fuzz_target!(|data: &[u8]| {
    if let Some(record) = LockRecord::decode(data) {
        assert_eq!(LockRecord::decode(record.encode().as_bytes()), Some(record));
    }
    if let Ok(name) = std::str::from_utf8(data) {
        let _ = LockName::of(name);
    }
});
