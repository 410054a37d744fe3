//! The door to packs: reading blobs out of one (`docs/format.md` §3).

use crate::length::{to_u64, to_usize};
use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use sha2::{Digest, Sha256};

use crate::decompress::{Decompressor, StrictFrame};
use crate::format::DecodeError;
use crate::format::id::{BlobId, PackId};
use crate::format::pack::{self, Encoding, FooterDecoder, Header, PackEntry};
use crate::format::zstd_frame;
use crate::memory::{Memory, TooLargeHere};
use crate::store::{Store, StoreError, StoreFile};

const READ_LEN: usize = 256 << 10;

/// Opens the packs of a repository, for those who know from elsewhere where its blobs are.
///
/// A [`Repository`](crate::repository::Repository) has one; so has whoever checks packs away from its index.
pub struct PackReader {
    store: Box<dyn Store>,
    decompressor: Box<dyn Decompressor>,
    memory: Memory,
}

impl PackReader {
    /// Reads packs from `store`, and compressed blobs with `decompressor`.
    pub fn new(store: impl Store + 'static, decompressor: impl Decompressor + 'static) -> Self {
        Self { store: Box::new(store), decompressor: Box::new(decompressor), memory: Memory::unlimited() }
    }

    /// The same, with a limit to the memory that it takes.
    #[must_use]
    pub fn within(self, memory: Memory) -> Self {
        Self { memory, ..self }
    }

    /// The limit to what objects may take.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The files of the repository.
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// Opens a pack and reads its footer.
    pub fn open(&self, id: PackId) -> Result<Pack<'_>, ReadError> {
        let pack = Pack::new(self.store.open(&id.path())?, self.decompressor.as_ref())?;
        Ok(pack.within(&self.memory))
    }

    /// Opens a pack whose footer was read before.
    pub fn open_with_footer(&self, id: PackId, footer: Arc<Vec<PackEntry>>) -> Result<Pack<'_>, StoreError> {
        let pack = Pack::with_footer(self.store.open(&id.path())?, self.decompressor.as_ref(), footer);
        Ok(pack.within(&self.memory))
    }
}

/// An opened pack whose footer was checked.
pub struct Pack<'r> {
    file: Box<dyn StoreFile + 'r>,
    decompressor: &'r dyn Decompressor,
    memory: &'r Memory,
    entries: Arc<Vec<PackEntry>>,
}

static UNLIMITED: LazyLock<Memory> = LazyLock::new(Memory::unlimited);

/// Why a pack or an index file is of no use as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its bytes are not what its name promises.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Why a blob in a pack cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The pack's file cannot be read there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored bytes changed.
    #[error("its stored bytes do not match their checksum")]
    Crc,
    /// The stored bytes are no zstd frame of the right shape.
    #[error(transparent)]
    Header(#[from] DecodeError),
    /// The frame does not decompress to exactly the length that the pack states.
    #[error("it does not decompress to the {raw_len} bytes that the pack states")]
    Decompress {
        /// Bytes that it should have.
        raw_len: u64,
    },
    /// The raw bytes are another blob's.
    #[error("its bytes have another hash than its name")]
    Hash,
    /// It is larger than what is expected of it.
    #[error("it has {raw_len} bytes, more than the {limit} that it can have")]
    TooLarge {
        /// Bytes it has.
        raw_len: u64,
        /// Bytes it may have.
        limit: u64,
    },
    /// It may be intact, and there is not the memory to find out.
    #[error(transparent)]
    TooLargeHere(#[from] TooLargeHere),
    /// The receiver of the bytes broke off.
    #[error("reading was stopped")]
    Stopped,
}

impl<'r> Pack<'r> {
    /// Reads the footer of a pack in an opened file.
    pub fn new(file: Box<dyn StoreFile + 'r>, decompressor: &'r dyn Decompressor) -> Result<Self, ReadError> {
        let len = file.len();
        let short = |needed| DecodeError::Truncated { object: "the pack", needed, present: len };
        let tail_offset = |tail: u64| len.checked_sub(tail).ok_or_else(|| short(pack::HEADER_LEN + tail));
        let mut header = [0; 6];
        if len < pack::HEADER_LEN {
            return Err(short(pack::HEADER_LEN).into());
        }
        file.read_at(0, &mut header)?;
        if pack::decode_header(&header)? == Header::Encrypted {
            let mut trailer = [0; 20];
            file.read_at(tail_offset(pack::ENCRYPTED_TRAILER_LEN)?, &mut trailer)?;
            pack::decode_encrypted_trailer(len, &trailer)?;
            return Err(DecodeError::Encrypted { object: "the pack" }.into());
        }
        let mut trailer = [0; 40];
        file.read_at(tail_offset(pack::TRAILER_LEN)?, &mut trailer)?;
        let trailer = pack::decode_trailer(len, &trailer)?;
        let mut entries = read_footer(file.as_ref(), &trailer)?;
        entries.sort_by_key(|entry| entry.id);
        Ok(Self { file, decompressor, memory: &UNLIMITED, entries: Arc::new(entries) })
    }

    /// A pack whose footer was read before.
    pub fn with_footer(
        file: Box<dyn StoreFile + 'r>,
        decompressor: &'r dyn Decompressor,
        footer: Arc<Vec<PackEntry>>,
    ) -> Self {
        Self { file, decompressor, memory: &UNLIMITED, entries: footer }
    }

    /// The same, with a limit to the memory that it takes.
    #[must_use]
    pub fn within(self, memory: &'r Memory) -> Self {
        Self { memory, ..self }
    }

    /// The entries by blob ID, to be kept beyond the opened file.
    pub fn footer(&self) -> Arc<Vec<PackEntry>> {
        Arc::clone(&self.entries)
    }

    /// The entries, by blob ID.
    pub fn entries(&self) -> &[PackEntry] {
        &self.entries
    }

    /// The entries of a blob: at most one, unless a writer stored it twice.
    pub fn find(&self, id: &BlobId) -> &[PackEntry] {
        let start = self.entries.partition_point(|entry| entry.id < *id);
        let end = self.entries.partition_point(|entry| entry.id <= *id);
        self.entries.get(start..end).unwrap_or_default()
    }

    /// Hands the raw bytes of a blob to `sink`, piece by piece.
    ///
    /// What was handed over is worth nothing before this returns `Ok`: only then did the stored bytes match
    /// their checksum, the length fit exactly, and the hash equal the blob's ID. A wrong checksum is reported
    /// before what follows from it.
    pub fn stream(
        &self,
        entry: &PackEntry,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), FrameError> {
        let mut hash = Sha256::new();
        let unproven = self.stream_unproven(entry, &mut |piece| {
            hash.update(piece);
            sink(piece)
        })?;
        unproven.prove(&hash.finalize().into())
    }

    /// Like `stream`, for a caller with a faster SHA-256 of its own: everything but the hash is checked.
    pub fn stream_unproven(
        &self,
        entry: &PackEntry,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<Unproven, FrameError> {
        let mut stored = Stored::new(self.file.as_ref(), entry);
        let decoded = match entry.encoding {
            Encoding::Raw => copy_raw(&mut stored, sink),
            Encoding::Zstd => decompress(&mut stored, entry, (self.decompressor, self.memory), sink),
        };
        if !matches!(decoded, Err(FrameError::Stopped)) && stored.finish(sink)? != entry.crc32c {
            return Err(FrameError::Crc);
        }
        decoded.map(|()| Unproven { id: entry.id })
    }

    /// Hands over the bytes of a blob as they are stored. Only their checksum is checked, and only in the end.
    pub fn stream_stored(
        &self,
        entry: &PackEntry,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), FrameError> {
        let mut stored = Stored::new(self.file.as_ref(), entry);
        copy_raw(&mut stored, sink)?;
        if stored.finish(&mut |_| ControlFlow::Continue(()))? == entry.crc32c {
            Ok(())
        } else {
            Err(FrameError::Crc)
        }
    }

    /// The raw bytes of a blob of at most `limit` bytes.
    pub fn read(&self, entry: &PackEntry, limit: u64) -> Result<Vec<u8>, FrameError> {
        if entry.raw_len > limit {
            return Err(FrameError::TooLarge { raw_len: entry.raw_len, limit });
        }
        // Grows with the bytes that are really there, not with what the entry promises.
        let mut raw = Vec::with_capacity(usize::try_from(entry.raw_len.min(1 << 20)).unwrap_or(0));
        self.stream(entry, &mut |piece| {
            raw.extend_from_slice(piece);
            ControlFlow::Continue(())
        })?;
        Ok(raw)
    }
}

/// A blob whose bytes were handed over and whose hash was not compared yet: nothing may be made of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the bytes are worth nothing before their hash was compared"]
pub struct Unproven {
    id: BlobId,
}

impl Unproven {
    /// Compares the SHA-256 of all bytes that were handed over with the name of the blob.
    pub fn prove(self, digest: &[u8; 32]) -> Result<(), FrameError> {
        if digest == self.id.as_bytes() { Ok(()) } else { Err(FrameError::Hash) }
    }
}

fn read_footer(file: &dyn StoreFile, trailer: &pack::Trailer) -> Result<Vec<PackEntry>, ReadError> {
    let mut decoder = FooterDecoder::new(trailer);
    let mut left = u64::from(trailer.footer_len);
    let mut piece = Vec::new();
    while left > 0 {
        // The trailer was checked against the file's length, so these bytes are there.
        let offset = trailer.footer_offset.saturating_add(u64::from(trailer.footer_len)).saturating_sub(left);
        piece.resize(READ_LEN.min(to_usize(left)), 0);
        file.read_at(offset, &mut piece)?;
        decoder.push(&piece);
        left = left.saturating_sub(to_u64(piece.len()));
    }
    Ok(decoder.finish()?)
}

fn copy_raw(
    stored: &mut Stored<'_>,
    sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), FrameError> {
    loop {
        let piece = stored.piece()?;
        if piece.is_empty() {
            return Ok(());
        }
        if sink(piece).is_break() {
            return Err(FrameError::Stopped);
        }
        let count = piece.len();
        stored.consume(count);
    }
}

fn decompress(
    stored: &mut Stored<'_>,
    entry: &PackEntry,
    (decompressor, memory): (&dyn Decompressor, &Memory),
    sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), FrameError> {
    let raw_len = entry.raw_len;
    let header = zstd_frame::decode_header(stored.piece()?, raw_len)?;
    let _taken = memory.take(header.window)?;
    let mut buffer = vec![0; READ_LEN.min(to_usize(raw_len)).max(1)];
    let mut left = raw_len;
    let mut frame = StrictFrame::new(&header, stored);
    let outcome = (|| -> io::Result<bool> {
        let mut output = decompressor.decoder(&header, &mut frame)?;
        loop {
            let count = output.read(&mut buffer)?;
            if count == 0 {
                return Ok(true);
            }
            let piece = buffer.get(..count).unwrap_or_default();
            match left.checked_sub(to_u64(count)) {
                Some(rest) => left = rest,
                None => return Err(io::ErrorKind::InvalidData.into()),
            }
            if sink(piece).is_break() {
                return Ok(false);
            }
        }
    })();
    let finished = frame.is_finished();
    if let Some(error) = stored.failure.take() {
        return Err(error.into());
    }
    match outcome {
        Ok(false) => Err(FrameError::Stopped),
        Ok(true) if left == 0 && finished && stored.is_exhausted() => Ok(()),
        _ => Err(FrameError::Decompress { raw_len }),
    }
}

/// The stored bytes of one entry, read in pieces, with their checksum.
struct Stored<'a> {
    file: &'a dyn StoreFile,
    offset: u64,
    left: u64,
    buffer: Vec<u8>,
    position: usize,
    crc: u32,
    failure: Option<StoreError>,
}

impl<'a> Stored<'a> {
    fn new(file: &'a dyn StoreFile, entry: &PackEntry) -> Self {
        let (offset, left) = (entry.offset, entry.stored_len);
        Self { file, offset, left, buffer: Vec::new(), position: 0, crc: 0, failure: None }
    }

    /// The next bytes that are not consumed; empty at the end.
    fn piece(&mut self) -> Result<&[u8], StoreError> {
        if self.position == self.buffer.len() && self.left > 0 {
            let count = self.left.min(to_u64(READ_LEN));
            // The footer was checked: the entry lies inside the file.
            self.buffer.resize(to_usize(count), 0);
            self.position = 0;
            self.file.read_at(self.offset, &mut self.buffer)?;
            self.crc = crc32c::crc32c_append(self.crc, &self.buffer);
            self.offset = self.offset.saturating_add(count);
            self.left = self.left.saturating_sub(count);
        }
        Ok(self.buffer.get(self.position..).unwrap_or_default())
    }

    fn is_exhausted(&self) -> bool {
        self.left == 0 && self.position == self.buffer.len()
    }

    /// Reads what is left and gives the checksum over everything. The receiver gets nothing more, and may break
    /// off all the same.
    fn finish(mut self, sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<u32, FrameError> {
        loop {
            let count = self.piece()?.len();
            if count == 0 {
                return Ok(self.crc);
            }
            self.consume(count);
            if sink(&[]).is_break() {
                return Err(FrameError::Stopped);
            }
        }
    }
}

impl Read for Stored<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Stored<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // Kept aside, because decoders wrap what they are told in errors of their own.
        if let Err(error) = self.piece() {
            self.failure = Some(error.clone());
            return Err(io::Error::other(error));
        }
        self.piece().map_err(io::Error::other)
    }

    fn consume(&mut self, count: usize) {
        self.position = self.position.saturating_add(count).min(self.buffer.len());
    }
}

#[cfg(test)]
mod tests;
