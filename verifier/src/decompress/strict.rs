//! A frame on its way to a decoder, which sees no block that breaks the rules.

use std::io::{self, BufRead, Read};

use crate::format::zstd_frame::FrameHeader;
use crate::format::zstd_frame::blocks::{BlockHeader, Blocks, HEADER_LEN};

/// Passes one frame on, block by block, each after a look at it, and ends where the frame ends.
pub(crate) struct StrictFrame<'a> {
    frame: &'a mut dyn BufRead,
    blocks: Blocks,
    checksum: bool,
    /// Whether the last block was looked at.
    last: bool,
    /// A block that `frame` did not have in one piece, and how much of it was passed on.
    gathered: Vec<u8>,
    position: usize,
    /// So many bytes of `frame` come behind it and may be passed on.
    ready: usize,
}

impl<'a> StrictFrame<'a> {
    /// The frame at the start of `frame`, whose header was checked.
    pub(crate) fn new(header: &FrameHeader, frame: &'a mut dyn BufRead) -> Self {
        let blocks = Blocks::new(header);
        let ready = usize::try_from(header.len).unwrap_or(usize::MAX);
        let checksum = header.checksum;
        Self { frame, blocks, checksum, last: false, gathered: Vec::new(), position: 0, ready }
    }

    /// Whether the frame came to its end and everything of it was passed on.
    pub(crate) fn is_finished(&self) -> bool {
        self.last && self.ready == 0 && self.position == self.gathered.len()
    }

    fn look_at_block(&mut self) -> io::Result<()> {
        let piece = self.frame.fill_buf()?;
        if let Some((header, rest)) = piece.split_first_chunk::<HEADER_LEN>() {
            let header = self.blocks.header(*header).map_err(io::Error::other)?;
            let len = usize::try_from(header.len).unwrap_or(usize::MAX);
            if let Some(content) = rest.get(..len) {
                self.blocks.content(&header, content).map_err(io::Error::other)?;
                self.ready = HEADER_LEN + len;
                self.pass(&header);
                return Ok(());
            }
        }
        self.gather_block()
    }

    fn gather_block(&mut self) -> io::Result<()> {
        let mut header = [0; HEADER_LEN];
        self.frame.read_exact(&mut header)?;
        self.gathered.clear();
        self.position = 0;
        self.gathered.extend_from_slice(&header);
        let header = self.blocks.header(header).map_err(io::Error::other)?;
        // The length was checked: it is at most 128 KiB.
        Read::take(&mut *self.frame, header.len).read_to_end(&mut self.gathered)?;
        let content = self.gathered.get(HEADER_LEN..).unwrap_or_default();
        if content.len() as u64 != header.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.blocks.content(&header, content).map_err(io::Error::other)?;
        self.pass(&header);
        Ok(())
    }

    fn pass(&mut self, header: &BlockHeader) {
        self.last = header.last;
        if self.last && self.checksum {
            self.ready += 4;
        }
    }
}

impl Read for StrictFrame<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for StrictFrame<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.gathered.len() && self.ready == 0 && !self.last {
            self.look_at_block()?;
        }
        if self.position < self.gathered.len() {
            return Ok(self.gathered.get(self.position..).unwrap_or_default());
        }
        if self.ready == 0 {
            return Ok(&[]);
        }
        let piece = self.frame.fill_buf()?;
        Ok(piece.get(..self.ready).unwrap_or(piece))
    }

    fn consume(&mut self, count: usize) {
        if self.position < self.gathered.len() {
            self.position = self.position.saturating_add(count).min(self.gathered.len());
        } else {
            let count = count.min(self.ready);
            self.ready -= count;
            self.frame.consume(count);
        }
    }
}
