//! Who works on a repository (`docs/format.md` §11).
//!
//! Locks are files, since a repository may lie on a share that several machines use. A holder keeps its lock
//! fresh by the file's modification time; a lock that is older than [`STALE_AFTER`], and that nobody
//! refreshes while it is watched, belongs to nobody. A lock is only ever taken away by renaming it first, so
//! that of two who try one succeeds and can look at what it took.
//!
//! Readers read files that never change. They go on beside `create`, which only adds, and are kept out by
//! whatever may remove files.

mod file;
mod folder;
mod holder;
mod refresh;
mod waiting;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::FileId;
use msgvault_verifier::format::lock::LockName;

use folder::{FoundLock, LockFolder};
pub use holder::{Holder, Liveness};
pub use refresh::Lock;
use waiting::{Standing, Waiting};

/// A lock that was not refreshed for this long is stale.
pub const STALE_AFTER: Duration = Duration::from_mins(30);
/// How often a holder refreshes its lock.
pub const REFRESH_EVERY: Duration = Duration::from_secs(30);
/// How long after the first look a lock that seems stale is looked at again: one refresh, and time for it to
/// be late.
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(45);
/// How long an exclusive lock waits for shared ones.
const WAIT_FOR_SHARED: Duration = Duration::from_mins(1);
/// How long a lock's file can be without content because it is just being written.
const BEING_WRITTEN: Duration = Duration::from_secs(1);
/// How long the wait pauses between two looks.
const POLL_EVERY: Duration = Duration::from_millis(200);
/// How often another program may be faster.
const TRIES: usize = 10;

/// Why a repository is not locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else works on it.
    #[error("the repository is locked by {holder}{}; {}", holder.state(), holder.advice(operation))]
    Held {
        /// Who.
        holder: Holder,
        /// Who was refused.
        operation: String,
    },
    /// Readers did not finish in time.
    #[error(
        "the repository is still being read by {holder}{}{} after {} of waiting; {}",
        holder.state(), and_others(*others), waiting::text(*waited), holder.advice(operation)
    )]
    Shared {
        /// One of them.
        holder: Holder,
        /// How many more there are.
        others: usize,
        /// How long the wait was.
        waited: Duration,
        /// Who was refused.
        operation: String,
    },
    /// The lock that was held is gone or somebody else's.
    #[error(
        "the lock on the repository was lost: {} is gone or another's; another program may have written, so run again",
        path.display()
    )]
    Lost {
        /// The lock's file.
        path: PathBuf,
    },
    /// The caller stopped the wait.
    #[error("stopped while waiting for the repository's lock")]
    Cancelled,
    /// The folder of the locks cannot be used.
    #[error("cannot {action} the lock {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn and_others(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" and {count} more") }
}

/// Who wants a lock, and how.
#[derive(Clone, Copy)]
pub struct LockRequest<'a> {
    /// The repository.
    pub root: &'a Path,
    /// `create`, `verify` or `restore`.
    pub operation: &'a str,
    /// This machine's name.
    pub host: &'a str,
    /// This process.
    pub pid: u64,
    /// Whether fresh locks of others that are in the way are broken.
    pub force: bool,
    /// How long to wait for locks that are in the way.
    pub patience: Duration,
    /// Lets time pass.
    pub pause: &'a dyn Fn(Duration),
}

/// What a reader got.
#[derive(Debug)]
pub enum Shared {
    /// A lock.
    Locked(Lock),
    /// None, since nothing can be written there, or so as not to keep a writer waiting; the reason, for a
    /// warning.
    Unlocked(String),
}

/// Takes the exclusive lock, and waits for readers to finish.
pub fn exclusive(context: &Context<'_>, request: &LockRequest<'_>) -> Result<Lock, LockError> {
    let folder = LockFolder::open(context, request)?;
    folder.sweep();
    let mut waiting = Waiting::new(&folder);
    let lock = take_exclusive(&mut waiting)?;
    wait_for_readers(&mut waiting)?;
    lock.still_held()?;
    Ok(lock)
}

fn take_exclusive(waiting: &mut Waiting<'_>) -> Result<Lock, LockError> {
    let mut tries = 1;
    loop {
        make_way(waiting)?;
        match waiting.folder.create(folder::EXCLUSIVE.to_owned()) {
            // Somebody was faster.
            Err(LockError::Io { source, .. })
                if source.kind() == io::ErrorKind::AlreadyExists && tries < TRIES =>
            {
                tries += 1;
                waiting.pause()?;
            }
            created => return created,
        }
    }
}

/// Takes an exclusive lock away that is nobody's, or waits until it is gone.
fn make_way(waiting: &mut Waiting<'_>) -> Result<(), LockError> {
    while let Some(found) = waiting.folder.look(folder::EXCLUSIVE)? {
        match waiting.standing(folder::EXCLUSIVE, &found) {
            Standing::Abandoned => {
                if waiting.folder.reap(folder::EXCLUSIVE, &found)? {
                    break;
                }
            }
            standing => waiting.wait_for(standing, &found)?,
        }
    }
    Ok(())
}

/// Waits for those who read. Who only adds need not wait for those who come later: they know of the exclusive
/// lock and read beside it, or back off.
fn wait_for_readers(waiting: &mut Waiting<'_>) -> Result<(), LockError> {
    let folder = waiting.folder;
    let began = waiting.passed();
    let limit = WAIT_FOR_SHARED.max(folder.request.patience.saturating_sub(began));
    let first = folder.names(LockName::Shared)?;
    loop {
        let names = if folder.request.operation == holder::ADDS {
            &first
        } else {
            &folder.names(LockName::Shared)?
        };
        let readers = readers(waiting, names)?;
        let [reader, others @ ..] = readers.as_slice() else { return Ok(()) };
        let holder = waiting.holder(reader);
        let waited = waiting.passed().saturating_sub(began);
        if waited >= limit {
            let operation = folder.request.operation.to_owned();
            return Err(LockError::Shared { holder, others: others.len(), waited, operation });
        }
        waiting
            .tell(format!("waiting up to {} for {holder}, which reads the repository", waiting::text(limit)));
        waiting.pause()?;
    }
}

/// Which of these readers are still there; what is nobody's is taken away.
fn readers(waiting: &mut Waiting<'_>, names: &[String]) -> Result<Vec<FoundLock>, LockError> {
    let mut readers = Vec::new();
    for name in names {
        let Some(found) = waiting.folder.look(name)? else { continue };
        let is_gone =
            waiting.standing(name, &found) == Standing::Abandoned && waiting.folder.reap(name, &found)?;
        if !is_gone {
            readers.push(found);
        }
    }
    Ok(readers)
}

/// What the exclusive lock means to a reader.
enum Gate {
    Open,
    /// Somebody only adds.
    Beside(Holder),
    /// Somebody may remove files.
    Shut(Standing, FoundLock),
}

/// Takes a shared lock, unless somebody holds the exclusive one who may remove files.
pub fn shared(context: &Context<'_>, request: &LockRequest<'_>) -> Result<Shared, LockError> {
    let folder = match LockFolder::open(context, request) {
        Err(error) if forbids_writing(&error) => return Ok(Shared::Unlocked(error.to_string())),
        opened => opened?,
    };
    folder.sweep();
    let mut waiting = Waiting::new(&folder);
    loop {
        let beside = match gate(&mut waiting)? {
            Gate::Open => None,
            Gate::Beside(holder) => Some(holder),
            Gate::Shut(standing, found) => {
                waiting.wait_for(standing, &found)?;
                continue;
            }
        };
        if let Some(holder) = &beside
            && has_readers(&mut waiting)?
        {
            return Ok(Shared::Unlocked(format!("{holder} only adds to it, and may be waiting for readers")));
        }
        let (unix_ms, random) = context.ulid_parts();
        let lock = match folder.create(format!("shared-{}.json", FileId::from_parts(unix_ms, random))) {
            Err(error) if forbids_writing(&error) => return Ok(Shared::Unlocked(error.to_string())),
            created => created?,
        };
        // Whoever took the exclusive lock between the look and the creation waits for this lock, so back off.
        match (gate(&mut waiting)?, beside) {
            (Gate::Open, _) => return Ok(Shared::Locked(lock)),
            (Gate::Beside(holder), Some(_)) => {
                let message = format!("the repository is read beside {holder}, which only adds to it");
                context.observer.warn(&message);
                return Ok(Shared::Locked(lock));
            }
            (Gate::Beside(holder), None) => {
                return Ok(Shared::Unlocked(format!("{holder} only adds to it, and has just begun")));
            }
            (Gate::Shut(..), _) => {}
        }
    }
}

fn gate(waiting: &mut Waiting<'_>) -> Result<Gate, LockError> {
    let folder = waiting.folder;
    while let Some(found) = folder.look(folder::EXCLUSIVE)? {
        let holder = waiting.holder(&found);
        if holder.liveness == Liveness::Dead {
            break;
        }
        if holder.only_adds() {
            return Ok(Gate::Beside(holder));
        }
        let is_forced = folder.request.force;
        match waiting.standing(folder::EXCLUSIVE, &found) {
            Standing::Abandoned if is_forced => match folder.reap(folder::EXCLUSIVE, &found) {
                Err(error) if forbids_writing(&error) => break,
                reaped => drop(reaped?),
            },
            Standing::Abandoned => break,
            _ if holder.record.is_none() && waiting.passed() < BEING_WRITTEN => waiting.pause()?,
            standing => return Ok(Gate::Shut(standing, found)),
        }
    }
    Ok(Gate::Open)
}

/// Whether others read, for whom a writer may be waiting.
fn has_readers(waiting: &mut Waiting<'_>) -> Result<bool, LockError> {
    for name in waiting.folder.names(LockName::Shared)? {
        if let Some(found) = waiting.folder.look(&name)?
            && waiting.standing(&name, &found) == Standing::Held
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the medium, its permissions or its free space leave no way to lock. A full disk must not keep
/// anybody from restoring what is on it.
fn forbids_writing(error: &LockError) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let LockError::Io { source, .. } = error else { return false };
    matches!(source.kind(), ReadOnlyFilesystem | PermissionDenied | StorageFull | QuotaExceeded)
}

#[cfg(test)]
mod tests;
