#![no_main]

use libfuzzer_sys::fuzz_target;
use msgvault_verifier::format::manifest::{Manifest, ManifestError};

fuzz_target!(|data: &[u8]| {
    let name = "20261123T133558Z-00000000000000000000000000000000".parse().expect("a snapshot ID");
    let Err(ManifestError::WrongId { computed, .. }) = Manifest::decode(&name, data) else { return };
    // The same under its own name.
    let Ok(name) = computed.parse() else { return };
    let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    value["snapshot_id"] = computed.into();
    if let Ok(manifest) = Manifest::decode(&name, value.to_string().as_bytes()) {
        let text = manifest.encode();
        let again = Manifest::decode(&name, text.as_bytes()).expect("what was written can be read");
        assert_eq!(again.encode(), text);
    }
});
