#![no_main]

use libfuzzer_sys::fuzz_target;
use msgvault_fuzz::round_trip;
use msgvault_verifier::format::index::{decode, encode};

fuzz_target!(|data: &[u8]| round_trip(data, decode, |entries| encode(entries)));
