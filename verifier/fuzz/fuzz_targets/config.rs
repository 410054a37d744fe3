#![no_main]

use libfuzzer_sys::fuzz_target;
use msgvault_verifier::format::config::RepoConfig;

fuzz_target!(|data: &[u8]| {
    if let Ok(config) = RepoConfig::decode(data) {
        assert_eq!(
            RepoConfig::decode(config.encode().as_bytes()).expect("what was written can be read"),
            config
        );
    }
});
