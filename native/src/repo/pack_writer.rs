//! Blobs into packs, on all cores, in the order in which they were handed over (`docs/format.md` §3).
//!
//! ```text
//! producer -> queue -> workers: hash, compress -> assembler: append in order -> sealer: footer, fsync, publish
//! ```
//!
//! Pages, attachments and metadata have packs of their own. The order decides where every blob lies, so packs hold
//! the same bytes whatever the number of workers is.
//! The producer waits when more than a fixed number of bytes is under way, and large contents pass through in
//! pieces, so memory grows neither with the archive nor with its largest file.

mod assembler;
mod encoder;
mod frame_copier;
mod new_blobs;
mod open_pack;
mod queue;
mod sealer;

use std::io::{self, Read};
use std::iter;
use std::path::Path;
use std::thread;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{BlobId, PackId};
use msgvault_verifier::snapshot::references::Role;

use super::publish::{PublishError, confirm, take_back};
use crate::repo::sums::FileSums;
pub use frame_copier::{FrameCopier, FrameCopyError};
pub use new_blobs::NewBlobs;
use queue::{CloseAtEnd, FailAtPanic, PackFailure, Queue, Task};
use sealer::Sealed;

/// Contents of more bytes than this are handed over as streams.
pub const STREAM_FROM: u64 = 16 << 20;
/// Bytes under way between the producer and the packs.
pub const BUDGET: u64 = 96 << 20;

/// What a pack holds, so that what is read, copied and removed together lies together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackKind {
    /// Pages of the database.
    Pages,
    /// Attachments.
    Attachments,
    /// Maps, lists and trees, and the small files that a tree lists.
    Metadata,
}

impl PackKind {
    /// The packs that a blob belongs to.
    pub fn of(role: &Role<'_>) -> Self {
        match role {
            Role::Pages(..) => Self::Pages,
            Role::Attachment(_) => Self::Attachments,
            Role::Object(_) | Role::Extra(..) | Role::Artifact(..) => Self::Metadata,
        }
    }
}

/// How packs are written.
#[derive(Clone, Copy)]
pub struct PackOptions<'a> {
    /// The repository.
    pub root: &'a Path,
    /// Workers; 1 also means that no two contents are read at once.
    pub jobs: usize,
    /// The zstd level, 1 to 19.
    pub level: i32,
    /// Count only, and write nothing.
    pub dry_run: bool,
    /// So many packs are written before an index of them is.
    pub packs_per_index: usize,
}

/// What was written, durable.
#[derive(Debug, Default)]
pub struct Packed {
    /// The packs, in order.
    pub packs: Vec<PackId>,
    /// The blobs in them.
    pub blobs: NewBlobs,
    /// The sums of the packs, and of the indexes that name some of them already.
    pub(crate) sums: FileSums,
    /// How many of the packs, the first, an index names already.
    indexed: usize,
}

impl Packed {
    /// Looks whether the packs can be found in the repository; else takes them back.
    fn confirm(&self, root: &Path) -> Result<(), PublishError> {
        confirm_packs(root, self.packs.iter().skip(self.indexed)).inspect_err(|_| self.take_back(root))
    }

    /// Removes the packs again that no index names; what one names is of use to the next run.
    pub fn take_back(&self, root: &Path) {
        self.packs.iter().skip(self.indexed).for_each(|pack| take_back(root, &pack.path()));
    }
}

/// Looks whether packs can be found in the repository.
fn confirm_packs<'a>(root: &Path, packs: impl Iterator<Item = &'a PackId>) -> Result<(), PublishError> {
    let names: Vec<String> = packs.map(|pack| pack.path()).collect();
    confirm(root, names.iter().map(String::as_str))
}

/// Why packs are missing; those that were published and that no index names are taken back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError<E> {
    /// The producer failed.
    #[error(transparent)]
    Produce(E),
    /// What was handed over is not what was announced.
    #[error(transparent)]
    Source(SourceFault),
    /// The repository could not be written.
    #[error(transparent)]
    Publish(PublishError),
    /// The compressor failed, which no content can bring about.
    #[error("zstd cannot compress: {0}; this is a fault of the program or of the machine's memory")]
    Compress(io::Error),
    /// The system gives no threads.
    #[error("the system starts no more threads: {0}")]
    Threads(io::Error),
    /// A thread panicked.
    #[error("the program failed while it wrote packs; no snapshot was made")]
    Panicked,
    /// The observer said so.
    #[error("stopped")]
    Cancelled,
}

/// A content that is not what it should be, by the ticket that its hand-over gave.
#[derive(Debug, thiserror::Error)]
#[error("content {}: {what}", ticket.0)]
pub struct SourceFault {
    /// Which content.
    pub ticket: Ticket,
    /// What is wrong with it.
    pub what: Fault,
}

/// What is wrong with a content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Its bytes hash to something else.
    #[error("its bytes hash to {found} and should hash to {expected}")]
    Hash {
        /// What they should hash to.
        expected: BlobId,
        /// What they hash to.
        found: BlobId,
    },
    /// It has more or fewer bytes than announced.
    #[error("it changed its length of {expected} bytes while it was read")]
    Length {
        /// Bytes it should have.
        expected: u64,
    },
    /// It is larger than a blob may be.
    #[error("it has {len} bytes, more than the 4 GiB that a blob may have")]
    TooLarge {
        /// Bytes it has.
        len: u64,
    },
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
}

/// A hand-over, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// How many hand-overs after `first` it was; `None` when it was before.
    pub fn since(self, first: Self) -> Option<u64> {
        self.0.checked_sub(first.0)
    }
}

/// A hand-over whose caller does not know the blob's ID, which is kept until the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unnamed(Ticket);

impl Unnamed {
    /// Its number.
    pub fn ticket(self) -> Ticket {
        self.0
    }
}

/// Writing stopped for a reason that `write_packs` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the writing of packs stopped")]
pub struct Stopped;

/// A content that is read in pieces, perhaps more than once.
pub trait StreamedBlob: Send {
    /// Opens it from its start.
    fn open(&self) -> io::Result<Box<dyn Read + '_>>;
}

/// Where a producer hands blobs over.
pub struct PackSink<'q, 'env> {
    queue: &'q Queue<'env>,
    reads_alone: bool,
}

impl<'env> PackSink<'_, 'env> {
    /// Hands over a blob; waits while too many bytes are under way.
    pub fn add(&self, kind: PackKind, raw: Vec<u8>) -> Result<Unnamed, Stopped> {
        self.queue.submit(kind, Task::Bytes { raw, expected: None }).map(Unnamed)
    }

    /// Hands over a blob that must have this ID.
    pub fn add_expected(&self, kind: PackKind, raw: Vec<u8>, expected: BlobId) -> Result<Ticket, Stopped> {
        self.queue.submit(kind, Task::Bytes { raw, expected: Some(expected) })
    }

    /// Hands over a content of `len` bytes that is read in pieces; with one job, waits until it was read.
    pub fn add_stream(
        &self,
        kind: PackKind,
        content: Box<dyn StreamedBlob + 'env>,
        len: u64,
    ) -> Result<Unnamed, Stopped> {
        self.stream(kind, content, len, None).map(Unnamed)
    }

    /// Like `add_stream`, for a content that must have this ID.
    pub fn add_expected_stream(
        &self,
        kind: PackKind,
        content: Box<dyn StreamedBlob + 'env>,
        len: u64,
        expected: BlobId,
    ) -> Result<Ticket, Stopped> {
        self.stream(kind, content, len, Some(expected))
    }

    fn stream(
        &self,
        kind: PackKind,
        content: Box<dyn StreamedBlob + 'env>,
        len: u64,
        expected: Option<BlobId>,
    ) -> Result<Ticket, Stopped> {
        let ticket = self.queue.submit(kind, Task::Stream { content, len, expected })?;
        if self.reads_alone {
            self.queue.wait_for(ticket)?;
        }
        Ok(ticket)
    }

    /// The ticket of the next hand-over.
    pub fn next_ticket(&self) -> Ticket {
        self.queue.next_ticket()
    }

    /// Waits until a blob, and all that were handed over before it, are what they should be.
    pub fn wait_for(&self, ticket: Ticket) -> Result<(), Stopped> {
        self.queue.wait_for(ticket)
    }

    /// The ID of a blob; waits until it is known.
    pub fn id_of(&self, blob: Unnamed) -> Result<BlobId, Stopped> {
        self.queue.id_of(blob.0)
    }
}

/// Runs `produce` and writes what it hands over into packs.
///
/// `known` says whether the repository holds a blob already; such a blob is hashed and not stored again. When
/// this returns `Ok`, the packs are durable, and the last of them in no index yet.
pub fn write_packs<'env, R, E: From<Stopped>>(
    context: Context<'env>,
    options: PackOptions<'env>,
    known: &'env (dyn Fn(&BlobId) -> bool + Sync),
    produce: impl FnOnce(&PackSink<'_, 'env>) -> Result<R, E>,
) -> Result<(R, Packed), PackError<E>> {
    let queue = Queue::new(context.observer, BUDGET);
    let jobs = options.jobs.max(1);
    let (produced, assembled) = thread::scope(|scope| {
        let queue = &queue;
        let work = move || {
            let _guard = FailAtPanic(queue);
            encoder::work(queue, options.level, known);
        };
        let mut close = CloseAtEnd::of(queue);
        let assembler = thread::Builder::new().spawn_scoped(scope, move || {
            let _guard = FailAtPanic(queue);
            assembler::assemble(queue, context, options)
        });
        let assembler = assembler.map_err(|error| queue.fail(PackFailure::Threads(error)));
        // Fewer workers than asked for do the same work.
        let start = || thread::Builder::new().spawn_scoped(scope, work);
        let workers: Vec<_> = match start() {
            Ok(first) => iter::once(first).chain((1..jobs).map_while(|_| start().ok())).collect(),
            Err(error) => {
                queue.fail(PackFailure::Threads(error));
                Vec::new()
            }
        };
        let produced = produce(&PackSink { queue, reads_alone: jobs == 1 });
        close.is_complete = produced.is_ok();
        drop(close);
        // A panic was noted by its guard, and is taken here so that it does not spread.
        for worker in workers {
            drop(worker.join());
        }
        (produced, assembler.ok().and_then(|running| running.join().ok()))
    });
    let (blobs, failure) = queue.into_parts();
    let Sealed { packs, indexed, sums } = assembled.unwrap_or_default();
    let packed = Packed { packs, blobs, sums, indexed };
    match (failure, produced) {
        (None, Ok(result)) => {
            if !options.dry_run {
                packed.confirm(options.root).map_err(PackError::Publish)?;
            }
            Ok((result, packed))
        }
        (failure, produced) => {
            packed.take_back(options.root);
            Err(match (failure, produced) {
                (Some(failure), _) => failure.into_error(),
                (None, Err(error)) => PackError::Produce(error),
                (None, Ok(_)) => PackError::Panicked,
            })
        }
    }
}

#[cfg(test)]
mod tests;
