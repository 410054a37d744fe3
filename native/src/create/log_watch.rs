//! Watches the live write-ahead log during the scan.
//!
//! The log cannot shrink while the scan reads the main file. A repository that stalls would let it grow until the
//! archive's disk is full, so at a limit the scan lets go of the database instead.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use msgvault_platform::context::SharedObserver;

use super::CreateError;
use crate::archive::session::Pinned;

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A log of this many bytes is never too long.
const LEAST: u64 = 1 << 30;

/// Bytes to which the log may grow: a quarter of the database, and no less than a gibibyte.
pub(super) fn limit(pinned: &Pinned) -> u64 {
    LEAST.max(pinned.page_count().saturating_mul(pinned.page_size().bytes()) / 4)
}

/// Does the work, in which SQLite stops when the observer says so, and lets go of the database as soon as the log is longer than `limit`. What the work found is
/// worth nothing then, since the file can have changed.
pub(super) fn during<T>(
    observer: SharedObserver<'_>,
    pinned: &Pinned,
    limit: u64,
    work: impl FnOnce() -> Result<T, CreateError>,
) -> Result<T, CreateError> {
    let (working, worked) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let watch = move || {
            while worked.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if observer.cancelled() {
                    pinned.interrupt();
                }
                if pinned.log_len() > limit {
                    // Who waits for SQLite holds the connection.
                    pinned.interrupt();
                    return pinned.let_go().map(|()| true);
                }
            }
            Ok(false)
        };
        let watcher = thread::Builder::new()
            .spawn_scoped(scope, watch)
            .map_err(|error| CreateError::Threads(error.to_string()))?;
        let done = work();
        drop(working);
        match watcher.join() {
            Ok(Ok(false)) => done,
            Ok(Ok(true)) => Err(CreateError::LogGrew { limit }),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(CreateError::Internal("the log could not be watched".to_owned())),
        }
    })
}
