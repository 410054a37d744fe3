//! Who works on a repository (`docs/format.md` §11).
//!
//! Locks are files, since a repository may lie on a share that several machines use. A holder keeps its lock
//! fresh by the file's modification time; a lock that is older than [`STALE_AFTER`] belongs to nobody. A lock is
//! only ever taken away by renaming it first, so that of two who try one succeeds and can look at what it took.

mod file;
mod folder;
mod refresh;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use msgvault_verifier::format::id::FileId;
use msgvault_verifier::format::lock::LockRecord;

use folder::LockFolder;
use msgvault_platform as platform;
use msgvault_platform::context::Context;
pub use refresh::Lock;

/// A lock that was not refreshed for this long is stale.
pub const STALE_AFTER: Duration = Duration::from_mins(30);
/// How often a holder refreshes its lock.
pub const REFRESH_EVERY: Duration = Duration::from_secs(30);
/// How long an exclusive lock waits for shared ones.
const WAIT_FOR_SHARED: Duration = Duration::from_mins(1);
/// How long the wait pauses between two looks.
const POLL_EVERY: Duration = Duration::from_millis(200);

/// Why a repository is not locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else works on it.
    #[error("the repository is locked by {holder}; wait for it to finish{}", holder.advice())]
    Held {
        /// Who.
        holder: Holder,
    },
    /// Readers did not finish in time.
    #[error(
        "the repository is still being read by {holder}{} after a minute of waiting; try again later{}",
        and_others(*others),
        holder.advice()
    )]
    Shared {
        /// One of them.
        holder: Holder,
        /// How many more there are.
        others: usize,
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
    #[error("stopped while waiting for the repository's readers")]
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

/// Who holds a lock, as far as its file tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What the file says; `None` when it is not a lock record.
    pub record: Option<LockRecord>,
    /// The process ran on this machine and is gone.
    pub is_dead: bool,
}

impl Holder {
    fn of(record: Option<LockRecord>, this_host: &str) -> Self {
        let is_dead = record
            .as_ref()
            .is_some_and(|record| record.hostname == this_host && !platform::process_lives(record.pid));
        Self { record, is_dead }
    }

    fn advice(&self) -> &'static str {
        if self.is_dead {
            ", or break the lock with `msgvault backup create --force-unlock`, since that process is no longer running on this machine"
        } else {
            ", or break the lock with `msgvault backup create --force-unlock` if you are sure that it is gone"
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.record {
            Some(LockRecord { hostname, pid, operation, acquired_at }) => {
                write!(f, "{operation} (process {pid} on {hostname}, since {acquired_at})")
            }
            None => f.write_str("a lock file that says nothing about its holder"),
        }
    }
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
    /// Whether fresh locks of others are broken.
    pub force: bool,
    /// Lets time pass.
    pub pause: &'a dyn Fn(Duration),
}

/// What a reader got.
#[derive(Debug)]
pub enum Shared {
    /// A lock.
    Locked(Lock),
    /// None, since nothing can be written there; the reason, for a warning.
    Unlocked(String),
}

/// Takes the exclusive lock, and waits up to a minute for readers to finish.
pub fn exclusive(context: &Context<'_>, request: &LockRequest<'_>) -> Result<Lock, LockError> {
    let folder = LockFolder::open(context, request)?;
    folder.sweep();
    folder.clear(folder::EXCLUSIVE)?;
    let lock = match folder.create(folder::EXCLUSIVE.to_owned()) {
        Err(LockError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
            // Somebody was faster.
            folder.clear(folder::EXCLUSIVE)?;
            folder.create(folder::EXCLUSIVE.to_owned())?
        }
        created => created?,
    };
    wait_for_readers(&folder)?;
    lock.still_held()?;
    Ok(lock)
}

/// Takes a shared lock, unless somebody holds the exclusive one.
pub fn shared(context: &Context<'_>, request: &LockRequest<'_>) -> Result<Shared, LockError> {
    let folder = match LockFolder::open(context, request) {
        Err(error) if forbids_writing(&error) => return Ok(Shared::Unlocked(error.to_string())),
        opened => opened?,
    };
    folder.sweep();
    folder.refuse_exclusive()?;
    let (unix_ms, random) = context.ulid_parts();
    let lock = match folder.create(format!("shared-{}.json", FileId::from_parts(unix_ms, random))) {
        Err(error) if forbids_writing(&error) => return Ok(Shared::Unlocked(error.to_string())),
        created => created?,
    };
    // Whoever took the exclusive lock between the look and the creation waits for this lock, so back off.
    folder.refuse_exclusive()?;
    Ok(Shared::Locked(lock))
}

fn wait_for_readers(folder: &LockFolder<'_>) -> Result<(), LockError> {
    let polls = WAIT_FOR_SHARED.as_millis() / POLL_EVERY.as_millis();
    for poll in 0..polls {
        let readers = folder.readers()?;
        let Some(first) = readers.first() else { return Ok(()) };
        if poll == 0 {
            let holder = Holder::of(first.record.clone(), folder.request.host);
            folder
                .context
                .observer
                .warn(&format!("waiting up to a minute for {holder}, which reads the repository"));
        }
        if folder.context.observer.cancelled() {
            return Err(LockError::Cancelled);
        }
        (folder.request.pause)(POLL_EVERY);
    }
    match folder.readers()?.as_slice() {
        [] => Ok(()),
        [first, others @ ..] => {
            let holder = Holder::of(first.record.clone(), folder.request.host);
            Err(LockError::Shared { holder, others: others.len() })
        }
    }
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
