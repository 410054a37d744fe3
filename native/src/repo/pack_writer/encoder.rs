//! What a worker does with a content: hash it, and compress it unless it is known (`docs/format.md` §3).

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use msgvault_verifier::format::blob::{MAX_RAW_LEN, MIN_COMPRESSED_LEN, keeps_compressed};
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::pack::Encoding;
use msgvault_verifier::length::to_u64;
use sha2::{Digest, Sha256};
use zstd::bulk::Compressor;
use zstd::stream::write::Encoder;

use super::queue::{Job, Outcome, PackFailure, Piece, Queue, Stored, Task};
use super::{Fault, StreamedBlob, Ticket};

/// Bytes that are read, and sent on, at once.
const PIECE: usize = 256 << 10;
/// Pieces under way between a worker and the assembler.
const PIECES: usize = 16;

type Known<'a> = &'a (dyn Fn(&BlobId) -> bool + Sync);

/// Works on one task after another until there are no more.
pub(super) fn work(queue: &Queue<'_>, level: i32, known: Known<'_>) {
    let mut worker = match Compressor::new(level) {
        Ok(compressor) => Worker { queue, level, known, compressor },
        Err(error) => return queue.fail(PackFailure::Compress(error)),
    };
    while let Some(Job { ticket, task }) = queue.next_job() {
        let done = match task {
            Task::Bytes { raw, expected } => worker.encode(ticket, raw, expected),
            Task::Stream { content, len, expected } => worker.stream(ticket, content.as_ref(), len, expected),
        };
        if let Err(failure) = done {
            return queue.fail(failure);
        }
    }
}

struct Worker<'w, 'env> {
    queue: &'w Queue<'env>,
    level: i32,
    known: Known<'w>,
    compressor: Compressor<'static>,
}

impl Worker<'_, '_> {
    fn encode(&mut self, ticket: Ticket, raw: Vec<u8>, expected: Option<BlobId>) -> Result<(), PackFailure> {
        let raw_len = to_u64(raw.len());
        if raw_len > MAX_RAW_LEN {
            return Err(PackFailure::source(ticket, Fault::TooLarge { len: raw_len }));
        }
        let id = BlobId::of(&raw);
        check_hash(ticket, id, expected)?;
        if self.is_known(&id) {
            self.queue.finish(ticket, Outcome::Known(id));
            return Ok(());
        }
        let (encoding, bytes) = self.compress(raw).map_err(PackFailure::Compress)?;
        let blob = Stored { id, raw_len, encoding, crc32c: crc32c::crc32c(&bytes) };
        self.queue.finish(ticket, Outcome::Stored { blob, bytes });
        Ok(())
    }

    fn compress(&mut self, raw: Vec<u8>) -> io::Result<(Encoding, Vec<u8>)> {
        let raw_len = to_u64(raw.len());
        if raw_len < MIN_COMPRESSED_LEN {
            return Ok((Encoding::Raw, raw));
        }
        // Not kept for the next content: as many workers as there are would each keep the size of the
        // largest.
        let mut compressed = Vec::with_capacity(zstd::zstd_safe::compress_bound(raw.len()));
        self.compressor.compress_to_buffer(&raw, &mut compressed)?;
        if keeps_compressed(raw_len, to_u64(compressed.len())) {
            compressed.shrink_to_fit();
            Ok((Encoding::Zstd, compressed))
        } else {
            Ok((Encoding::Raw, raw))
        }
    }

    /// Reads a content in pieces: once when it is known or compresses well, else once more for its raw bytes.
    fn stream(
        &self,
        ticket: Ticket,
        content: &dyn StreamedBlob,
        len: u64,
        expected: Option<BlobId>,
    ) -> Result<(), PackFailure> {
        if len > MAX_RAW_LEN {
            return Err(PackFailure::source(ticket, Fault::TooLarge { len }));
        }
        let reader = Reading { queue: self.queue, ticket, content, len };
        let id = match expected {
            Some(id) => id,
            None => reader.pass(false, |_| Ok(()))?,
        };
        if self.is_known(&id) {
            if expected.is_some() {
                check_hash(ticket, reader.pass(true, |_| Ok(()))?, expected)?;
            }
            self.queue.finish(ticket, Outcome::Known(id));
            return Ok(());
        }
        let (pieces, receiver) = PieceWriter::new();
        self.queue.finish(ticket, Outcome::Streamed(receiver));
        let pieces = if len < MIN_COMPRESSED_LEN {
            pieces
        } else {
            let pieces = self.compress_stream(&reader, id, pieces)?;
            if keeps_compressed(len, pieces.written) {
                return pieces.end(id, len, Encoding::Zstd);
            }
            pieces.restart()?
        };
        store_raw(&reader, id, pieces)
    }

    fn compress_stream(
        &self,
        reader: &Reading<'_, '_>,
        id: BlobId,
        pieces: PieceWriter,
    ) -> Result<PieceWriter, PackFailure> {
        let mut encoder = Encoder::new(pieces, self.level).map_err(PackFailure::Compress)?;
        // Stated in the frame, and it bounds the window.
        encoder.set_pledged_src_size(Some(reader.len)).map_err(PackFailure::Compress)?;
        let found = reader.pass(true, |bytes| encoder.write_all(bytes))?;
        check_hash(reader.ticket, found, Some(id))?;
        encoder.finish().map_err(compress_failure)
    }

    fn is_known(&self, id: &BlobId) -> bool {
        self.queue.has_stored(id) || (self.known)(id)
    }
}

/// A pipe without a reader is what another thread's failure leaves.
fn compress_failure(error: io::Error) -> PackFailure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        PackFailure::Elsewhere
    } else {
        PackFailure::Compress(error)
    }
}

fn store_raw(reader: &Reading<'_, '_>, id: BlobId, mut pieces: PieceWriter) -> Result<(), PackFailure> {
    let found = reader.pass(false, |bytes| pieces.write_all(bytes))?;
    check_hash(reader.ticket, found, Some(id))?;
    pieces.end(id, reader.len, Encoding::Raw)
}

fn check_hash(ticket: Ticket, found: BlobId, expected: Option<BlobId>) -> Result<(), PackFailure> {
    match expected {
        Some(expected) if expected != found => {
            Err(PackFailure::source(ticket, Fault::Hash { expected, found }))
        }
        _ => Ok(()),
    }
}

/// A content that is being read.
struct Reading<'r, 'env> {
    queue: &'r Queue<'env>,
    ticket: Ticket,
    content: &'r dyn StreamedBlob,
    len: u64,
}

impl Reading<'_, '_> {
    /// Reads all of it, piece by piece, and returns its hash; it must have exactly the announced length.
    fn pass(
        &self,
        shows_progress: bool,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<BlobId, PackFailure> {
        let unreadable = |error| PackFailure::source(self.ticket, Fault::Unreadable(error));
        let mut source = self.content.open().map_err(unreadable)?;
        let mut hash = Sha256::new();
        let mut total = 0u64;
        let mut buffer = vec![0; PIECE];
        loop {
            let count = read_full(&mut source, &mut buffer).map_err(unreadable)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            total = total.saturating_add(to_u64(count));
            if total > self.len || (count < PIECE && total != self.len) {
                return Err(PackFailure::source(self.ticket, Fault::Length { expected: self.len }));
            }
            hash.update(bytes);
            each(bytes).map_err(compress_failure)?;
            if shows_progress {
                self.queue.observer.advance(to_u64(count));
            }
            if self.queue.has_failed() {
                return Err(PackFailure::Elsewhere);
            }
            if count < PIECE {
                return Ok(BlobId::from_bytes(hash.finalize().into()));
            }
        }
    }
}

/// Fills the buffer unless the content ends before, so that pieces never depend on how much a read returns.
fn read_full(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Sends what is written to the assembler.
struct PieceWriter {
    sender: SyncSender<Piece>,
    written: u64,
    crc32c: u32,
}

impl PieceWriter {
    fn new() -> (Self, Receiver<Piece>) {
        let (sender, receiver) = sync_channel(PIECES);
        (Self { sender, written: 0, crc32c: 0 }, receiver)
    }

    fn restart(self) -> Result<Self, PackFailure> {
        self.send(Piece::Restart).map_err(compress_failure)?;
        Ok(Self { written: 0, crc32c: 0, ..self })
    }

    fn end(self, id: BlobId, raw_len: u64, encoding: Encoding) -> Result<(), PackFailure> {
        let stored = Stored { id, raw_len, encoding, crc32c: self.crc32c };
        self.send(Piece::End(stored)).map_err(compress_failure)
    }

    fn send(&self, piece: Piece) -> io::Result<()> {
        // Nobody receives after a failure elsewhere, which is the one that is reported.
        self.sender.send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        self.written = self.written.saturating_add(to_u64(bytes.len()));
        self.send(Piece::Bytes(bytes.to_vec()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
