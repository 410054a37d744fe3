//! What the targets share: getting past checksums, which no fuzzer guesses.

use sha2::{Digest, Sha256};

/// The bytes with the SHA-256 that objects of the format end with.
pub fn sealed(body: &[u8]) -> Vec<u8> {
    let mut object = body.to_vec();
    object.extend_from_slice(&Sha256::digest(body));
    object
}

/// Decodes the bytes as they are, and again as the body of an object whose checksum is right. What can be
/// read must be written so that it reads the same.
pub fn round_trip<T: PartialEq + std::fmt::Debug, E: std::fmt::Debug>(
    data: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, E>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    for bytes in [data.to_vec(), sealed(data)] {
        if let Ok(value) = decode(&bytes) {
            assert_eq!(decode(&encode(&value)).expect("what was written can be read"), value);
        }
    }
}
