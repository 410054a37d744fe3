//! Zstandard decoding with the C library.

use std::io::{self, BufRead, BufReader, Read};

use msgvault_verifier::Decompressor;
use msgvault_verifier::format::zstd_frame::FrameHeader;
use zstd::stream::read::Decoder;

/// The largest window that the library can look back, as a power of two.
const MAX_WINDOW_LOG: u32 = 31;

/// The decoder in C, several times as fast as the one in Rust.
#[derive(Debug, Clone, Copy, Default)]
pub struct Zstd;

impl Zstd {
    /// A reader of the output of one frame that was decoded successfully before.
    pub fn reader<R: Read>(frame: R) -> io::Result<Decoder<'static, BufReader<R>>> {
        let mut decoder = Decoder::new(frame)?.single_frame();
        decoder.window_log_max(MAX_WINDOW_LOG)?;
        Ok(decoder)
    }
}

impl Decompressor for Zstd {
    fn decoder<'a>(
        &self,
        header: &FrameHeader,
        frame: &'a mut dyn BufRead,
    ) -> io::Result<Box<dyn Read + 'a>> {
        let mut decoder = Decoder::with_buffer(frame)?.single_frame();
        let window = header.window.max(1 << 10).checked_next_power_of_two();
        decoder.window_log_max(window.map_or(MAX_WINDOW_LOG, u64::ilog2).min(MAX_WINDOW_LOG))?;
        Ok(Box::new(decoder))
    }
}

#[cfg(test)]
mod tests {
    use msgvault_verifier::Ruzstd;
    use msgvault_verifier::format::zstd_frame;

    use super::*;

    /// What a decoder makes of a frame and of the bytes behind it.
    fn decode(
        decompressor: &dyn Decompressor,
        frame: &[u8],
        raw_len: u64,
    ) -> Result<(Vec<u8>, usize), String> {
        let header = zstd_frame::decode_header(frame, raw_len).map_err(|error| error.to_string())?;
        let mut rest = frame;
        let mut raw = Vec::new();
        decompressor
            .decoder(&header, &mut rest)
            .and_then(|mut reader| reader.read_to_end(&mut raw))
            .map_err(|error| error.to_string())?;
        Ok((raw, rest.len()))
    }

    #[test]
    fn both_decoders_stop_where_the_frame_stops() {
        let raw = b"the same words and the same words again ".repeat(9000);
        let raw_len = u64::try_from(raw.len()).unwrap();
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        io::Write::write_all(&mut encoder, &raw).unwrap();
        let streamed = encoder.finish().unwrap();
        let whole = zstd::bulk::compress(&raw, 19).unwrap();
        for frame in [streamed, whole] {
            let followed = [&frame[..], b"more"].concat();
            for decompressor in [&Zstd as &dyn Decompressor, &Ruzstd] {
                let (decoded, left) = decode(decompressor, &followed, raw_len).unwrap();
                assert_eq!((decoded == raw, left), (true, 4));
                assert!(decode(decompressor, &frame[..frame.len() - 1], raw_len).is_err());
            }
        }
    }

    #[test]
    fn both_decoders_check_the_content_checksum() {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        io::Write::write_all(&mut encoder, b"incompressible").unwrap();
        let mut frame = encoder.finish().unwrap();
        let last = frame.len() - 1;
        frame[last] ^= 1;
        for decompressor in [&Zstd as &dyn Decompressor, &Ruzstd] {
            assert!(decode(decompressor, &frame, 14).is_err());
        }
    }
}
