//! How a zstd frame becomes bytes: one small trait, and the implementation in Rust.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::format::zstd_frame::FrameHeader;

mod strict;

pub(crate) use strict::StrictFrame;

/// Decodes zstd frames.
///
/// All implementations give the same verdict on the same bytes: the frame's header was checked before they
/// are asked, and length, left-over input and hash are checked behind them. They check the content checksum
/// of a frame that has one.
pub trait Decompressor: Send + Sync {
    /// A reader of the output of the one frame at the start of `frame`.
    ///
    /// It ends where the frame ends, having consumed exactly the bytes of the frame.
    fn decoder<'a>(&self, header: &FrameHeader, frame: &'a mut dyn BufRead)
    -> io::Result<Box<dyn Read + 'a>>;
}

/// The decoder without C.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ruzstd;

impl Decompressor for Ruzstd {
    fn decoder<'a>(
        &self,
        header: &FrameHeader,
        frame: &'a mut dyn BufRead,
    ) -> io::Result<Box<dyn Read + 'a>> {
        // A frame may state a window below the smallest that the decoder knows.
        let limit = header.window.max(1024);
        let inner = StreamingDecoder::new_with_max_window_size(frame, limit).map_err(io::Error::other)?;
        Ok(Box::new(Checked { inner, finished: false }))
    }
}

/// Compares the content checksum, which the decoder reads and does not compare.
struct Checked<'a> {
    inner: StreamingDecoder<&'a mut dyn BufRead, FrameDecoder>,
    finished: bool,
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() && !self.finished {
            self.finished = true;
            let stated = self.inner.decoder.get_checksum_from_data();
            if stated.is_some() && stated != self.inner.decoder.get_calculated_checksum() {
                return Err(io::Error::other("the content checksum does not match"));
            }
        }
        Ok(count)
    }
}
