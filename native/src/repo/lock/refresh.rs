//! A lock that is held: kept fresh, checked, released.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use msgvault_platform::{self as platform, Dir};
use msgvault_verifier::format::lock::LockRecord;
use msgvault_verifier::format::path::RelativePath;

use super::file::{put_back, record_of};
use super::{LockError, REFRESH_EVERY};

/// A lock that is held. A thread keeps it fresh; dropping it releases it.
#[derive(Debug)]
pub struct Lock {
    held: Arc<Held>,
    refresher: Option<JoinHandle<()>>,
    released: bool,
}

#[derive(Debug)]
struct Held {
    dir: Dir,
    path: RelativePath,
    /// The name that the lock gets before it is removed.
    claim: RelativePath,
    record: LockRecord,
    full_path: PathBuf,
    lost: AtomicBool,
    stopping: Mutex<bool>,
    wake: Condvar,
}

impl Lock {
    pub(super) fn hold(
        dir: Dir,
        path: RelativePath,
        claim: RelativePath,
        record: LockRecord,
        full_path: PathBuf,
    ) -> Self {
        let held = Arc::new(Held {
            dir,
            path,
            claim,
            record,
            full_path,
            lost: AtomicBool::new(false),
            stopping: Mutex::new(false),
            wake: Condvar::new(),
        });
        let shared = Arc::clone(&held);
        // Without a thread the lock is held all the same, for half an hour.
        let refresher = std::thread::Builder::new()
            .name("lock refresh".to_owned())
            .spawn(move || shared.keep_fresh())
            .ok();
        Self { held, refresher, released: false }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.held.full_path
    }

    /// Fails when the lock is gone or another's; to be asked before a manifest is published.
    pub fn still_held(&self) -> Result<(), LockError> {
        let held = &self.held;
        let ours = held.is_ours().map_err(|source| LockError::Io {
            action: "look at",
            path: held.full_path.clone(),
            source,
        })?;
        if ours && !held.lost.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(LockError::Lost { path: held.full_path.clone() })
    }

    /// Releases the lock; fails when it was no longer this holder's.
    pub fn release(mut self) -> Result<(), LockError> {
        self.stop_refreshing();
        self.released = true;
        let held = &self.held;
        held.release().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => LockError::Lost { path: held.full_path.clone() },
            _ => LockError::Io { action: "release", path: held.full_path.clone(), source: error },
        })
    }

    fn stop_refreshing(&mut self) {
        *self.held.stopping.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.held.wake.notify_all();
        if let Some(thread) = self.refresher.take() {
            // A thread that panicked refreshes no more, which is all that is wanted here.
            let _ = thread.join();
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.released {
            self.stop_refreshing();
            // A lock that cannot be removed becomes stale.
            let _ = self.held.release();
        }
    }
}

impl Held {
    fn keep_fresh(&self) {
        let mut stopping = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopping {
            let waited = self.wake.wait_timeout(stopping, REFRESH_EVERY);
            let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            stopping = guard;
            if timeout.timed_out() && !*stopping {
                self.refresh();
            }
        }
    }

    /// Makes the lock fresh if it is still this holder's. A system that cannot say so now may say so next
    /// time.
    fn refresh(&self) {
        let lost = match self.dir.open_file_to_change(&self.path) {
            Ok(file) => match record_of(&file) {
                Ok(record) if record.as_ref() == Some(&self.record) => {
                    let _ = platform::touch(&file);
                    false
                }
                Ok(_) => true,
                Err(_) => false,
            },
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if lost {
            self.lost.store(true, Ordering::SeqCst);
        }
    }

    fn is_ours(&self) -> io::Result<bool> {
        match self.dir.open_file(&self.path) {
            Ok(file) => Ok(record_of(&file)?.as_ref() == Some(&self.record)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Claims the lock by renaming it, so that nobody else's is removed by mistake.
    fn release(&self) -> io::Result<()> {
        self.dir.rename(&self.path, &self.claim)?;
        let ours = self.dir.open_file(&self.claim).and_then(|file| record_of(&file));
        if ours.is_ok_and(|record| record.as_ref() == Some(&self.record)) {
            return self.dir.remove_file(&self.claim);
        }
        put_back(&self.dir, &self.claim, &self.path)?;
        Err(io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn lock(folder: &std::path::Path) -> Lock {
        let dir = Dir::open(folder).unwrap();
        let path = RelativePath::parse("lock").unwrap();
        let record = LockRecord {
            hostname: "h".into(),
            pid: 1,
            operation: "create".into(),
            acquired_at: "2026-11-23T13:35:58Z".into(),
        };
        let mut file = dir.create_file(&path).unwrap();
        file.write_all(record.encode().as_bytes()).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        Lock::hold(dir, path, RelativePath::parse("claim").unwrap(), record, folder.join("lock"))
    }

    #[test]
    fn a_refresh_makes_the_lock_young_and_notices_its_loss() {
        let folder = tempfile::tempdir().unwrap();
        let lock = lock(folder.path());
        lock.held.refresh();
        let modified = std::fs::metadata(folder.path().join("lock")).unwrap().modified().unwrap();
        assert!(modified > SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        lock.still_held().unwrap();

        let mine = std::fs::read(folder.path().join("lock")).unwrap();
        std::fs::write(folder.path().join("lock"), "{}").unwrap();
        lock.held.refresh();
        // Once lost it stays lost: somebody else may have written meanwhile.
        std::fs::write(folder.path().join("lock"), mine).unwrap();
        assert!(matches!(lock.still_held(), Err(LockError::Lost { .. })));
    }

    #[test]
    fn a_release_removes_only_what_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let names = || std::fs::read_dir(folder.path()).unwrap().count();
        lock(folder.path()).release().unwrap();
        assert_eq!(names(), 0);
        drop(lock(folder.path()));
        assert_eq!(names(), 0);

        let robbed = lock(folder.path());
        std::fs::write(folder.path().join("lock"), "another's").unwrap();
        assert!(matches!(robbed.release(), Err(LockError::Lost { .. })));
        assert_eq!(std::fs::read_to_string(folder.path().join("lock")).unwrap(), "another's");
        assert_eq!(names(), 1);
    }
}
