//! Who makes the writers of a live archive pause while it is pinned.
//!
//! A daemon that runs is asked to; where none runs, its locks are taken for the moment, so that none can
//! start.

pub mod client;
pub mod identity;
pub mod ownership;
pub mod process;
pub mod record;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::{Daemon, DaemonError, DaemonFreezer};
use msgvault_platform::context::Context;
use ownership::{Ownership, OwnershipError, ReadLocks};
use record::{Record, RecordError};

/// Makes writers pause between `begin` and `end`.
pub trait Freezer {
    /// Returns once writers pause.
    fn begin(&mut self) -> Result<(), FreezeError>;

    /// Lets writers go on. Fails when they did so before, and then what was read meanwhile is worth nothing.
    fn end(&mut self) -> Result<(), FreezeError>;
}

/// Why writers cannot be made to pause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FreezeError {
    /// A daemon owns the archive, and it cannot be asked or says no.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// The locks of the archive cannot be had.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// A daemon seems to run, and what it says about itself cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// What must be known to make writers pause.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Where locks and records are.
    pub data_dir: &'a Path,
    /// The API key of the configuration; empty when there is none.
    pub api_key: &'a str,
    /// How long to wait for a daemon that is busy.
    pub patience: Duration,
    /// Lets time pass.
    pub pause: &'a dyn Fn(Duration),
}

/// Finds out who must make the writers of this data directory pause.
pub fn acquire<'a>(
    context: &Context<'a>,
    request: &Request<'a>,
) -> Result<Box<dyn Freezer + 'a>, FreezeError> {
    let observer = context.observer;
    if let Some(daemon) = Daemon::find(request.data_dir, request.api_key, context.random)? {
        let Record { pid, address, .. } = daemon.record();
        observer.explain(&format!(
            "a daemon owns the archive (process {pid} at {address}): it is asked to make writers pause"
        ));
        return Ok(Box::new(DaemonFreezer::new(daemon, request.patience, request.pause, context)));
    }
    observer.explain("no daemon owns the archive: its locks are taken to make writers pause");
    Ok(Box::new(Locks { data_dir: request.data_dir.to_owned(), held: None }))
}

/// Runs `window` while writers pause, and lets them go on however it ends.
pub fn during<T, E: From<FreezeError>>(
    freezer: &mut dyn Freezer,
    window: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    freezer.begin()?;
    let result = window();
    let ended = freezer.end();
    // What failed first says more.
    let value = result?;
    ended?;
    Ok(value)
}

/// The locks, or where they cannot be written to, as much of them as keeps writers off.
enum HomeLocks {
    Both { _locks: Ownership },
    Present { _locks: ReadLocks },
}

impl HomeLocks {
    fn take(data_dir: &Path) -> Result<Self, OwnershipError> {
        match Ownership::take(data_dir) {
            Err(OwnershipError::Unusable { source, .. }) if is_forbidden(&source) => {
                Ok(Self::Present { _locks: ReadLocks::take(data_dir)? })
            }
            taken => Ok(Self::Both { _locks: taken? }),
        }
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// Takes the locks that a daemon and a writer would need.
struct Locks {
    data_dir: PathBuf,
    held: Option<HomeLocks>,
}

impl Freezer for Locks {
    fn begin(&mut self) -> Result<(), FreezeError> {
        self.held = Some(HomeLocks::take(&self.data_dir)?);
        Ok(())
    }

    fn end(&mut self) -> Result<(), FreezeError> {
        self.held = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locks_are_free(data_dir: &Path) -> bool {
        Ownership::take(data_dir).is_ok()
    }

    fn freezer(data_dir: &Path) -> Box<dyn Freezer> {
        Box::new(Locks { data_dir: data_dir.to_owned(), held: None })
    }

    #[test]
    fn without_a_daemon_the_locks_are_held_for_the_window_alone() {
        let home = tempfile::tempdir().unwrap();
        let mut freezer = freezer(home.path());
        assert!(locks_are_free(home.path()));
        let done: Result<u32, FreezeError> = during(freezer.as_mut(), || {
            assert!(!locks_are_free(home.path()));
            Ok(1)
        });
        assert_eq!(done.unwrap(), 1);
        assert!(locks_are_free(home.path()));

        let stopped: Result<(), FreezeError> =
            during(freezer.as_mut(), || Err(DaemonError::Cancelled.into()));
        assert!(stopped.is_err() && locks_are_free(home.path()));
    }

    #[test]
    fn a_daemon_that_starts_before_the_window_wins() {
        let home = tempfile::tempdir().unwrap();
        let mut freezer = freezer(home.path());
        let daemon = Ownership::take(home.path()).unwrap();
        let refused = freezer.begin().unwrap_err();
        assert!(matches!(refused, FreezeError::Ownership(OwnershipError::Held { .. })), "{refused}");
        drop(daemon);
        freezer.begin().unwrap();
    }

    #[test]
    fn a_late_end_spoils_the_window() {
        struct Late;
        impl Freezer for Late {
            fn begin(&mut self) -> Result<(), FreezeError> {
                Ok(())
            }
            fn end(&mut self) -> Result<(), FreezeError> {
                Err(DaemonError::Late { pid: 1 }.into())
            }
        }
        let done: Result<(), FreezeError> = during(&mut Late, || Ok(()));
        assert!(done.is_err());
    }
}
