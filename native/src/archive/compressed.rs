//! Loose attachments that are compressed: `<path>.zst` in place of `<path>`.
//!
//! A header of 16 bytes, and then one zstd frame. The header: `KPLZ`, the version 1, three zero bytes, and the
//! length of the content as a 64-bit little-endian number.

use std::fs::File;
use std::io::{self, Read};

use crate::decompress::Zstd;

/// What the name of such a file ends in.
pub(super) const SUFFIX: &str = ".zst";
const HEADER: [u8; 8] = *b"KPLZ\x01\0\0\0";

/// The length that the header states, and the content. Nothing is proven until it has been hashed.
pub(super) fn open(mut file: File) -> io::Result<(u64, Box<dyn Read + Send>)> {
    let (mut header, mut len) = ([0; 8], [0; 8]);
    let read = file.read_exact(&mut header).and_then(|()| file.read_exact(&mut len));
    match read {
        Ok(()) if header == HEADER => {}
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        _ => {
            let reason = "it is not a compressed attachment of a version that is known here";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
    }
    Ok((u64::from_le_bytes(len), Box::new(Zstd::reader(file)?)))
}
