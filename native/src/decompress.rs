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
mod tests;
