//! Appends what the workers made, in order, and seals packs.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{BlobId, PackId};
use msgvault_verifier::format::pack::{HEADER, PackEntry, SEAL_LEN, encode_footer};
use msgvault_verifier::length::to_u64;

use super::PackOptions;
use super::queue::{FailAtPanic, Outcome, PackFailure, Piece, Queue, Stored};
use crate::repo::publish::{FileKind, PublishError, Staged};

/// Bytes that are written at once.
const BUFFER: usize = 1 << 20;

/// Appends every outcome in order and returns the packs that were published, also after a failure.
pub(super) fn assemble<'a>(queue: &Queue<'_>, context: Context<'a>, options: PackOptions<'a>) -> Vec<PackId> {
    // One full pack may wait while another is made durable and a third is filled.
    let (full, packs) = sync_channel(1);
    thread::scope(|scope| {
        let sealer = thread::Builder::new().spawn_scoped(scope, move || {
            let _guard = FailAtPanic(queue);
            seal_all(queue, packs)
        });
        let sealer = match sealer {
            Ok(sealer) => sealer,
            Err(error) => {
                queue.fail(PackFailure::Threads(error));
                return Vec::new();
            }
        };
        if let Err(failure) = (Assembler { queue, context, options, open: None, full }).run() {
            queue.fail(failure);
        }
        // A sealer that panicked has published at most packs that no index names.
        sealer.join().unwrap_or_default()
    })
}

/// Seals packs until there are no more; after a failure they are dropped instead.
fn seal_all(queue: &Queue<'_>, packs: Receiver<OpenPack<'_>>) -> Vec<PackId> {
    let mut sealed = Vec::new();
    for pack in packs {
        if queue.has_failed() {
            continue;
        }
        let id = pack.id;
        match pack.seal() {
            Ok(()) => sealed.push(id),
            Err(error) => queue.fail(PackFailure::Publish(error)),
        }
    }
    sealed
}

struct Assembler<'a, 'env> {
    queue: &'a Queue<'env>,
    context: Context<'a>,
    options: PackOptions<'a>,
    open: Option<OpenPack<'a>>,
    full: SyncSender<OpenPack<'a>>,
}

/// A blob, and where it is if it was stored now.
type Appended = (BlobId, Option<(PackId, PackEntry)>);

impl<'a> Assembler<'a, '_> {
    fn run(mut self) -> Result<(), PackFailure> {
        for number in 0.. {
            let Some(outcome) = self.queue.next_outcome(number) else { break };
            let (id, stored) = match outcome {
                Outcome::Known(id) => (id, None),
                Outcome::Stored { blob, .. } if self.queue.has_stored(&blob.id) => (blob.id, None),
                Outcome::Stored { blob, bytes } => {
                    let pack = self.pack()?;
                    pack.append(&bytes).map_err(PackFailure::Publish)?;
                    (blob.id, Some((pack.id, pack.end_blob(blob))))
                }
                Outcome::Streamed(pieces) => match self.append_stream(&pieces)? {
                    Some(appended) => appended,
                    None => break,
                },
            };
            self.queue.appended(id, stored);
            if let Some(pack) = self.open.take_if(|pack| pack.len >= SEAL_LEN) {
                self.send(pack)?;
            }
        }
        if self.queue.has_failed() {
            return Ok(());
        }
        // A pack whose only stream turned out to be stored already is empty.
        match self.open.take().filter(|pack| !pack.entries.is_empty()) {
            Some(pack) => self.send(pack),
            None => Ok(()),
        }
    }

    fn send(&self, pack: OpenPack<'a>) -> Result<(), PackFailure> {
        self.full.send(pack).map_err(|_| PackFailure::Elsewhere)
    }

    /// Appends a blob that comes in pieces; `None` when its worker failed.
    fn append_stream(&mut self, pieces: &Receiver<Piece>) -> Result<Option<Appended>, PackFailure> {
        let queue = self.queue;
        let start = self.pack()?.len;
        for piece in pieces {
            let pack = self.pack()?;
            match piece {
                Piece::Bytes(bytes) => pack.append(&bytes).map_err(PackFailure::Publish)?,
                Piece::Restart => pack.rewind(start).map_err(PackFailure::Publish)?,
                Piece::End(blob) if queue.has_stored(&blob.id) => {
                    pack.rewind(start).map_err(PackFailure::Publish)?;
                    return Ok(Some((blob.id, None)));
                }
                Piece::End(blob) => return Ok(Some((blob.id, Some((pack.id, pack.end_blob(blob)))))),
            }
        }
        Ok(None)
    }

    fn pack(&mut self) -> Result<&mut OpenPack<'a>, PackFailure> {
        let open = match self.open.take() {
            Some(open) => open,
            None => OpenPack::create(self.context, self.options).map_err(PackFailure::Publish)?,
        };
        Ok(self.open.insert(open))
    }
}

/// A pack that is being filled.
struct OpenPack<'a> {
    id: PackId,
    /// `None` when nothing is to be written.
    file: Option<Staged<'a>>,
    buffer: Vec<u8>,
    entries: Vec<PackEntry>,
    /// Bytes of the pack, buffered ones included.
    len: u64,
    /// Bytes of the pack behind its last whole blob.
    blob_start: u64,
}

impl<'a> OpenPack<'a> {
    fn create(context: Context<'a>, options: PackOptions<'_>) -> Result<Self, PublishError> {
        let (unix_ms, random) = context.ulid_parts();
        let file =
            if options.dry_run { None } else { Some(Staged::create(context, options.root, FileKind::Pack)?) };
        let mut pack = Self {
            id: PackId::from_parts(unix_ms, random),
            file,
            buffer: Vec::with_capacity(BUFFER),
            entries: Vec::new(),
            len: 0,
            blob_start: 0,
        };
        pack.append(&HEADER)?;
        pack.blob_start = pack.len;
        Ok(pack)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), PublishError> {
        if self.buffer.len().saturating_add(bytes.len()) > BUFFER {
            self.write_buffer()?;
        }
        if bytes.len() >= BUFFER {
            if let Some(file) = &mut self.file {
                file.write(bytes)?;
            }
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        self.len = self.len.saturating_add(to_u64(bytes.len()));
        Ok(())
    }

    /// What was appended since the last blob is a blob.
    fn end_blob(&mut self, blob: Stored) -> PackEntry {
        let Stored { id, raw_len, encoding, crc32c } = blob;
        let (offset, stored_len) = (self.blob_start, self.len.saturating_sub(self.blob_start));
        let entry = PackEntry { id, offset, stored_len, raw_len, encoding, crc32c };
        self.entries.push(entry);
        self.blob_start = self.len;
        entry
    }

    /// Takes back what was appended behind the first `len` bytes.
    fn rewind(&mut self, len: u64) -> Result<(), PublishError> {
        self.write_buffer()?;
        if let Some(file) = &mut self.file {
            file.truncate(len)?;
        }
        self.len = len;
        Ok(())
    }

    fn seal(mut self) -> Result<(), PublishError> {
        self.write_buffer()?;
        match self.file.take() {
            Some(mut file) => {
                file.write(&encode_footer(&self.entries))?;
                file.publish(&self.id.path())
            }
            None => Ok(()),
        }
    }

    fn write_buffer(&mut self) -> Result<(), PublishError> {
        if let Some(file) = self.file.as_mut().filter(|_| !self.buffer.is_empty()) {
            file.write(&self.buffer)?;
        }
        self.buffer.clear();
        Ok(())
    }
}
