#![no_main]

use libfuzzer_sys::fuzz_target;
use msgvault_fuzz::{round_trip, sealed};
use msgvault_verifier::format::page_hash::{PageHashObject, decode};

fuzz_target!(|data: &[u8]| {
    round_trip(data, decode, |object| match object {
        PageHashObject::Keyframe(hashes) => hashes.encode(),
        PageHashObject::Delta(delta) => delta.encode(),
    });
    // Two objects, one behind the other, so that a delta meets a parent.
    let Some((at, objects)) = data.split_first_chunk::<2>() else { return };
    let Some((parent, delta)) = objects.split_at_checked(u16::from_le_bytes(*at).into()) else { return };
    if let (Ok(PageHashObject::Keyframe(mut hashes)), Ok(PageHashObject::Delta(delta))) =
        (decode(&sealed(parent)), decode(&sealed(delta)))
        && hashes.apply(&delta).is_ok()
    {
        assert_eq!(hashes.page_count(), delta.page_count);
    }
});
