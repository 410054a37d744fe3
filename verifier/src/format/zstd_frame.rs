//! A zstd frame, as far as a reader must check it before it decompresses (`docs/format.md` §3): here its header,
//! below it the blocks.

use super::DecodeError;
use super::blob::{MAX_RAW_LEN, MAX_STREAM_WINDOW};
use super::bytes::{Reader, length};

mod bits;
pub(crate) mod blocks;
mod fse;
mod huffman;

const OBJECT: &str = "the zstd frame";
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The longest header a frame can have, in bytes.
pub const MAX_HEADER_LEN: u64 = 18;

const MAX_WINDOW: u64 = 1 << 31;

/// What the header of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of the header itself.
    pub len: u64,
    /// Bytes of output that the decoder must be able to look back.
    pub window: u64,
    /// The stated length of the output, if stated.
    pub content_size: Option<u64>,
    /// Whether a content checksum follows the last block.
    pub checksum: bool,
}

/// Reads the header at the start of `frame` and checks it against the blob's length.
///
/// The window must be one that `raw_len` justifies: at most the next power of two, times two for
/// encoders that round up; eight MiB, which streaming encoders use, are always allowed, and more than
/// two GiB never, which is what decoders can look back.
pub fn decode_header(frame: &[u8], raw_len: u64) -> Result<FrameHeader, DecodeError> {
    let mut reader = Reader::new(OBJECT, frame);
    reader.magic(MAGIC)?;
    let descriptor = reader.u8()?;
    if descriptor & 0x08 != 0 {
        return Err(DecodeError::invalid(OBJECT, "a reserved bit is set"));
    }
    let single_segment = descriptor & 0x20 != 0;
    let window = if single_segment { None } else { Some(window_size(reader.u8()?)) };
    let dictionary = match descriptor & 0x03 {
        0 => 0,
        1 => reader.u8()?.into(),
        2 => reader.u16()?.into(),
        _ => reader.u32()?,
    };
    if dictionary != 0 {
        return Err(DecodeError::invalid(OBJECT, "it needs a dictionary"));
    }
    let content_size = match (descriptor >> 6, single_segment) {
        (0, false) => None,
        (0, true) => Some(reader.u8()?.into()),
        (1, _) => Some(u64::from(reader.u16()?).saturating_add(256)),
        (2, _) => Some(reader.u32()?.into()),
        (_, _) => Some(reader.u64()?),
    };
    if content_size.is_some_and(|size| size != raw_len) {
        return Err(DecodeError::invalid(OBJECT, "it states another length than its entry"));
    }
    let window = window.or(content_size).unwrap_or(0);
    if window > allowed_window(raw_len) {
        let reason = format!("a window of {window} bytes is too large for {raw_len} bytes");
        return Err(DecodeError::invalid(OBJECT, reason));
    }
    let len = length(frame).saturating_sub(reader.remaining());
    Ok(FrameHeader { len, window, content_size, checksum: descriptor & 0x04 != 0 })
}

fn window_size(descriptor: u8) -> u64 {
    let exponent = u32::from(descriptor >> 3).saturating_add(10);
    let base = 1u64.checked_shl(exponent).unwrap_or(u64::MAX);
    let step = base >> 3;
    base.saturating_add(step.saturating_mul(u64::from(descriptor & 0x07)))
}

fn allowed_window(raw_len: u64) -> u64 {
    let justified = raw_len.min(MAX_RAW_LEN).next_power_of_two().saturating_mul(2);
    justified.clamp(MAX_STREAM_WINDOW, MAX_WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(rest: &[u8]) -> Vec<u8> {
        [&MAGIC, rest].concat()
    }

    #[test]
    fn headers_are_read() {
        // Single segment, one byte of content size.
        let header = decode_header(&frame(&[0x20, 100]), 100).unwrap();
        assert_eq!(header, FrameHeader { len: 6, window: 100, content_size: Some(100), checksum: false });
        // Window of 8 MiB, no content size, checksum.
        let header = decode_header(&frame(&[0x04, 13 << 3]), 5).unwrap();
        assert_eq!(header, FrameHeader { len: 6, window: 8 << 20, content_size: None, checksum: true });
        // Two bytes of content size count from 256.
        let header = decode_header(&frame(&[0x60, 0, 1]), 512).unwrap();
        assert_eq!(header.content_size, Some(512));
    }

    #[test]
    fn headers_that_promise_too_much_are_refused() {
        let bad: [&[u8]; 7] = [
            &[],
            &[0x20],
            &[0x20, 99],
            &[0x28, 100],
            &[0x21, 7, 100],
            &[0x00, 31 << 3],
            &[0x00, (14 << 3) | 1],
        ];
        for rest in bad {
            assert!(decode_header(&frame(rest), 100).is_err(), "{rest:?}");
        }
        assert!(decode_header(b"\x50\x2a\x4d\x18\x00", 100).is_err(), "a skippable frame");
    }
}
