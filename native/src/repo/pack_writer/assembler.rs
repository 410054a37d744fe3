//! Appends what the workers made, in order, to a pack of its kind, and seals packs.

use std::collections::BTreeMap;
use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{BlobId, PackId};
use msgvault_verifier::format::pack::{PackEntry, SEAL_LEN};

use super::open_pack::OpenPack;
use super::queue::{FailAtPanic, Outcome, PackFailure, Piece, Queue};
use super::sealer::{Sealed, seal_all};
use super::{PackKind, PackOptions};

/// Appends every outcome in order and returns the packs that were published, also after a failure.
pub(super) fn assemble<'a>(queue: &Queue<'_>, context: Context<'a>, options: PackOptions<'a>) -> Sealed {
    // One full pack may wait while another is made durable and a third is filled.
    let (full, packs) = sync_channel(1);
    thread::scope(|scope| {
        let sealer = thread::Builder::new().spawn_scoped(scope, move || {
            let _guard = FailAtPanic(queue);
            seal_all(queue, context, options, packs)
        });
        let sealer = match sealer {
            Ok(sealer) => sealer,
            Err(error) => {
                queue.fail(PackFailure::Threads(error));
                return Sealed::default();
            }
        };
        if let Err(failure) = (Assembler { queue, context, options, streams: BTreeMap::new(), full }).run() {
            queue.fail(failure);
        }
        // What a sealer published before it panicked does no harm.
        sealer.join().unwrap_or_default()
    })
}

struct Assembler<'a, 'env> {
    queue: &'a Queue<'env>,
    context: Context<'a>,
    options: PackOptions<'a>,
    streams: BTreeMap<PackKind, KindStream<'a>>,
    full: SyncSender<OpenPack<'a>>,
}

/// The packs of a kind.
#[derive(Default)]
struct KindStream<'a> {
    open: Option<OpenPack<'a>>,
    /// Whether one was full.
    has_sealed: bool,
}

/// A blob, and where it is if it was stored now.
type Appended = (BlobId, Option<(PackId, PackEntry)>);

impl<'a> Assembler<'a, '_> {
    fn run(mut self) -> Result<(), PackFailure> {
        for number in 0.. {
            let Some((kind, outcome)) = self.queue.next_outcome(number) else { break };
            let (id, stored) = match outcome {
                Outcome::Known(id) => (id, None),
                Outcome::Stored { blob, .. } if self.queue.has_stored(&blob.id) => (blob.id, None),
                Outcome::Stored { blob, bytes } => {
                    let pack = self.pack(kind)?;
                    pack.append(&bytes).map_err(PackFailure::Publish)?;
                    (blob.id, Some((pack.id, pack.end_blob(blob))))
                }
                Outcome::Streamed(pieces) => match self.append_stream(kind, &pieces)? {
                    Some(appended) => appended,
                    None => break,
                },
            };
            self.queue.appended(id, stored);
            let stream = self.streams.entry(kind).or_default();
            if let Some(pack) = stream.open.take_if(|pack| pack.len() >= SEAL_LEN) {
                stream.has_sealed = true;
                self.send(pack)?;
            }
        }
        if self.queue.has_failed() { Ok(()) } else { self.seal_rest() }
    }

    /// Seals the packs that are not full. Kinds of which there is little share one, since a small snapshot every
    /// day would otherwise leave a repository of tiny files.
    fn seal_rest(&mut self) -> Result<(), PackFailure> {
        let queue = self.queue;
        let mut shared: Option<OpenPack<'a>> = None;
        for KindStream { open, has_sealed } in mem::take(&mut self.streams).into_values() {
            // A pack whose only stream turned out to be stored already is empty.
            let Some(pack) = open.filter(|pack| !pack.is_empty()) else { continue };
            if has_sealed || !pack.is_small() {
                self.send(pack)?;
            } else if let Some(shared) = &mut shared {
                let moved = shared.absorb(&pack).map_err(PackFailure::Publish)?;
                queue.moved(shared.id, &moved);
            } else {
                shared = Some(pack);
            }
        }
        shared.map_or(Ok(()), |pack| self.send(pack))
    }

    fn send(&self, pack: OpenPack<'a>) -> Result<(), PackFailure> {
        self.full.send(pack).map_err(|_| PackFailure::Elsewhere)
    }

    /// Appends a blob that comes in pieces; `None` when its worker failed.
    fn append_stream(
        &mut self,
        kind: PackKind,
        pieces: &Receiver<Piece>,
    ) -> Result<Option<Appended>, PackFailure> {
        let queue = self.queue;
        let start = self.pack(kind)?.len();
        for piece in pieces {
            let pack = self.pack(kind)?;
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

    fn pack(&mut self, kind: PackKind) -> Result<&mut OpenPack<'a>, PackFailure> {
        let slot = &mut self.streams.entry(kind).or_default().open;
        let open = match slot.take() {
            Some(open) => open,
            None => OpenPack::begin(self.context, self.options).map_err(PackFailure::Publish)?,
        };
        Ok(slot.insert(open))
    }
}
