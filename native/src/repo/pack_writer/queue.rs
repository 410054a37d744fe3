//! What producer, workers and assembler share: tasks in order, their outcomes, the room there is, the first
//! failure.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::mpsc::Receiver;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use msgvault_platform::context::SharedObserver;
use msgvault_verifier::format::id::{BlobId, PackId};
use msgvault_verifier::format::pack::{Encoding, PackEntry};
use msgvault_verifier::length::to_u64;

use super::{Fault, NewBlobs, PackError, PackKind, SourceFault, Stopped, StreamedBlob, Ticket};
use crate::repo::publish::PublishError;

/// What a task occupies beside its bytes.
const TASK_BYTES: u64 = 256;

/// A content to be hashed and, unless it is known, stored.
pub(super) enum Task<'env> {
    Bytes { raw: Vec<u8>, expected: Option<BlobId> },
    Stream { content: Box<dyn StreamedBlob + 'env>, len: u64, expected: Option<BlobId> },
}

pub(super) struct Job<'env> {
    pub(super) ticket: Ticket,
    pub(super) task: Task<'env>,
}

/// What became of a task.
pub(super) enum Outcome {
    /// The repository holds it.
    Known(BlobId),
    /// It is to be stored so.
    Stored { blob: Stored, bytes: Vec<u8> },
    /// It comes in pieces.
    Streamed(Receiver<Piece>),
}

/// How a blob is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) id: BlobId,
    pub(super) raw_len: u64,
    pub(super) encoding: Encoding,
    pub(super) crc32c: u32,
}

/// A part of a stream. A stream that ends without `End` has failed.
pub(super) enum Piece {
    Bytes(Vec<u8>),
    /// What came so far is taken back, since the raw bytes are to be stored instead.
    Restart,
    End(Stored),
}

/// Why everything stops.
#[derive(Debug)]
pub(super) enum PackFailure {
    /// The caller knows.
    Producer,
    /// Whoever stopped this thread says why.
    Elsewhere,
    Source(SourceFault),
    Publish(PublishError),
    Compress(io::Error),
    Threads(io::Error),
    Panicked,
    Cancelled,
}

impl PackFailure {
    pub(super) fn source(ticket: Ticket, what: Fault) -> Self {
        Self::Source(SourceFault { ticket, what })
    }

    pub(super) fn into_error<E>(self) -> PackError<E> {
        match self {
            Self::Source(fault) => PackError::Source(fault),
            Self::Publish(error) => PackError::Publish(error),
            Self::Compress(error) => PackError::Compress(error),
            Self::Threads(error) => PackError::Threads(error),
            Self::Cancelled => PackError::Cancelled,
            Self::Producer | Self::Elsewhere | Self::Panicked => PackError::Panicked,
        }
    }
}

pub(super) struct Queue<'env> {
    pub(super) observer: SharedObserver<'env>,
    budget: u64,
    state: Mutex<QueueState<'env>>,
    /// There is a task for a worker.
    has_task: Condvar,
    /// There is an outcome for the assembler.
    has_outcome: Condvar,
    /// There is room, or an ID, for the producer.
    has_room: Condvar,
}

#[derive(Default)]
struct QueueState<'env> {
    waiting: VecDeque<Job<'env>>,
    outcomes: BTreeMap<u64, Outcome>,
    /// The tasks that are not appended yet, in order.
    under_way: VecDeque<UnderWay>,
    /// The bytes that they occupy.
    in_flight: u64,
    /// The IDs of the appended blobs that the producer does not know, by ticket.
    ids: HashMap<u64, BlobId>,
    /// The blobs that this run has stored.
    stored: NewBlobs,
    submitted: u64,
    appended: u64,
    closed: bool,
    failure: Option<PackFailure>,
}

struct UnderWay {
    /// Which packs it belongs to.
    kind: PackKind,
    /// The bytes that it occupies.
    bytes: u64,
    /// Whether the producer knows its ID.
    is_named: bool,
}

impl<'env> Queue<'env> {
    pub(super) fn new(observer: SharedObserver<'env>, budget: u64) -> Self {
        Self {
            observer,
            budget,
            state: Mutex::default(),
            has_task: Condvar::new(),
            has_outcome: Condvar::new(),
            has_room: Condvar::new(),
        }
    }

    /// Hands over a task; waits for room. One task always fits.
    pub(super) fn submit(&self, kind: PackKind, task: Task<'env>) -> Result<Ticket, Stopped> {
        let (bytes, is_named) = match &task {
            Task::Bytes { raw, expected } => (to_u64(raw.len()), expected.is_some()),
            Task::Stream { expected, .. } => (0, expected.is_some()),
        };
        let size = bytes.saturating_add(TASK_BYTES);
        self.stop_if_cancelled();
        let mut state = self.wait_while(&self.has_room, |state| {
            state.failure.is_none()
                && state.in_flight > 0
                && state.in_flight.saturating_add(size) > self.budget
        });
        if state.failure.is_some() {
            return Err(Stopped);
        }
        let ticket = Ticket(state.submitted);
        state.submitted += 1;
        state.in_flight += size;
        state.under_way.push_back(UnderWay { kind, bytes: size, is_named });
        state.waiting.push_back(Job { ticket, task });
        self.has_task.notify_one();
        Ok(ticket)
    }

    /// The ticket of the next task; exact while the only producer asks.
    pub(super) fn next_ticket(&self) -> Ticket {
        Ticket(self.lock().submitted)
    }

    /// Waits until a blob is appended, and with it all that were handed over before.
    pub(super) fn wait_for(&self, ticket: Ticket) -> Result<(), Stopped> {
        self.lock_once_appended(ticket).map(drop)
    }

    /// The ID of a blob that the producer does not know, once it is appended.
    pub(super) fn id_of(&self, ticket: Ticket) -> Result<BlobId, Stopped> {
        self.lock_once_appended(ticket)?.ids.get(&ticket.0).copied().ok_or(Stopped)
    }

    fn lock_once_appended(&self, ticket: Ticket) -> Result<MutexGuard<'_, QueueState<'env>>, Stopped> {
        let state =
            self.wait_while(&self.has_room, |state| state.failure.is_none() && state.appended <= ticket.0);
        if state.failure.is_some() { Err(Stopped) } else { Ok(state) }
    }

    /// The next task for a worker; `None` at the end.
    pub(super) fn next_job(&self) -> Option<Job<'env>> {
        self.stop_if_cancelled();
        let mut state = self.wait_while(&self.has_task, |state| {
            state.failure.is_none() && !state.closed && state.waiting.is_empty()
        });
        if state.failure.is_some() { None } else { state.waiting.pop_front() }
    }

    pub(super) fn finish(&self, ticket: Ticket, outcome: Outcome) {
        let mut state = self.lock();
        if state.failure.is_none() {
            state.outcomes.insert(ticket.0, outcome);
        }
        self.has_outcome.notify_one();
    }

    /// The outcome of the next task in order; `None` at the end.
    pub(super) fn next_outcome(&self, number: u64) -> Option<(PackKind, Outcome)> {
        self.stop_if_cancelled();
        let mut state = self.wait_while(&self.has_outcome, |state| {
            let all_done = state.closed && number >= state.submitted;
            state.failure.is_none() && !all_done && !state.outcomes.contains_key(&number)
        });
        if state.failure.is_some() {
            return None;
        }
        let kind = state.under_way.front()?.kind;
        state.outcomes.remove(&number).map(|outcome| (kind, outcome))
    }

    /// Blobs that this run has stored are in another pack now.
    pub(super) fn moved(&self, pack: PackId, entries: &[PackEntry]) {
        let mut state = self.lock();
        for entry in entries {
            state.stored.move_to(pack, entry);
        }
    }

    /// The next task in order is done with; its bytes make room for others. `stored` tells where the blob is,
    /// if it was stored now.
    pub(super) fn appended(&self, id: BlobId, stored: Option<(PackId, PackEntry)>) {
        let mut state = self.lock();
        if let Some((pack, entry)) = stored {
            state.stored.add(pack, &entry);
        }
        if let Some(UnderWay { bytes, is_named, .. }) = state.under_way.pop_front() {
            state.in_flight = state.in_flight.saturating_sub(bytes);
            if !is_named {
                let number = state.appended;
                state.ids.insert(number, id);
            }
        }
        state.appended += 1;
        self.has_room.notify_one();
    }

    /// Whether this run has stored a blob.
    pub(super) fn has_stored(&self, id: &BlobId) -> bool {
        self.lock().stored.contains(id)
    }

    /// Stops everything; the first failure is the one that is reported.
    pub(super) fn fail(&self, failure: PackFailure) {
        if matches!(failure, PackFailure::Elsewhere) {
            return;
        }
        let mut state = self.lock();
        state.failure.get_or_insert(failure);
        state.waiting.clear();
        // Whoever sends into a stream that nobody will read must notice.
        state.outcomes.clear();
        self.wake_all();
    }

    pub(super) fn has_failed(&self) -> bool {
        self.stop_if_cancelled();
        self.lock().failure.is_some()
    }

    /// What was stored, and the failure that the caller does not know already.
    pub(super) fn into_parts(self) -> (NewBlobs, Option<PackFailure>) {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (state.stored, state.failure.filter(|failure| !matches!(failure, PackFailure::Producer)))
    }

    fn stop_if_cancelled(&self) {
        if self.observer.cancelled() {
            self.fail(PackFailure::Cancelled);
        }
    }

    fn wait_while<'q>(
        &'q self,
        change: &Condvar,
        condition: impl Fn(&QueueState<'env>) -> bool,
    ) -> MutexGuard<'q, QueueState<'env>> {
        change.wait_while(self.lock(), |state| condition(state)).unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        self.has_task.notify_all();
        self.has_outcome.notify_all();
        self.has_room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<'env>> {
        // A panic elsewhere is reported by its own guard; the state is whole between statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the others that the producer is done, or that it failed, however it ends.
pub(super) struct CloseAtEnd<'q, 'env> {
    queue: &'q Queue<'env>,
    pub(super) is_complete: bool,
}

impl<'q, 'env> CloseAtEnd<'q, 'env> {
    pub(super) fn of(queue: &'q Queue<'env>) -> Self {
        Self { queue, is_complete: false }
    }
}

impl Drop for CloseAtEnd<'_, '_> {
    fn drop(&mut self) {
        if !self.is_complete {
            self.queue.fail(PackFailure::Producer);
        }
        self.queue.lock().closed = true;
        self.queue.wake_all();
    }
}

/// Stops the others when the thread panics, which would otherwise wait for it for ever.
pub(super) struct FailAtPanic<'q, 'env>(pub(super) &'q Queue<'env>);

impl Drop for FailAtPanic<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail(PackFailure::Panicked);
        }
    }
}
