#![no_main]

use libfuzzer_sys::fuzz_target;
use msgvault_fuzz::round_trip;
use msgvault_verifier::format::attachment_list::{decode, encode};

fuzz_target!(|data: &[u8]| round_trip(data, decode, |list| encode(list)));
