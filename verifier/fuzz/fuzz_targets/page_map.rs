#![no_main]

use libfuzzer_sys::fuzz_target;
use msgvault_fuzz::{round_trip, sealed};
use msgvault_verifier::format::page_map::{MapKind, decode};

fuzz_target!(|data: &[u8]| {
    round_trip(data, decode, |(kind, map)| map.encode(*kind));
    // Two maps, one behind the other, so that a delta meets a parent.
    let Some((at, maps)) = data.split_first_chunk::<2>() else { return };
    let Some((parent, delta)) = maps.split_at_checked(u16::from_le_bytes(*at).into()) else { return };
    if let (Ok((MapKind::Keyframe, parent)), Ok((MapKind::Delta, delta))) =
        (decode(&sealed(parent)), decode(&sealed(delta)))
        && let Ok(applied) = parent.apply(&delta)
    {
        assert!(applied.is_complete());
        let written = applied.encode(MapKind::Keyframe);
        assert_eq!(decode(&written).expect("a map that is complete is a keyframe").1, applied);
    }
});
