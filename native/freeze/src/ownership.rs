//! The locks that say who owns a data directory.
//!
//! A daemon holds both as long as it lives, a program that writes directly the second one. The files stay:
//! a lock on a file that somebody unlinked would keep nobody out.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use msgvault_platform::Dir;
use msgvault_verifier::format::path::RelativePath;

/// Held by a daemon.
pub const DAEMON_LOCK: &str = "daemon.lock";
/// Held by whoever writes to the archive.
pub const WRITE_LOCK: &str = "db.write.lock";

/// Both locks of a data directory, held until this is dropped.
#[derive(Debug)]
pub struct Ownership {
    // Given back in the reverse order of taking.
    _write: Held,
    _daemon: Held,
}

/// Those locks of a data directory whose files exist, held until this is dropped.
#[derive(Debug)]
pub struct PresentLocks {
    _held: Vec<Held>,
}

/// Those locks of a data directory on a read-only medium whose files exist, held until this is dropped.
#[derive(Debug)]
pub struct ReadLocks {
    _held: Vec<Held>,
}

/// A file that is locked until this is dropped.
#[derive(Debug)]
struct Held(File);

impl Drop for Held {
    /// Closing is not enough: a child that another thread is just starting has the open file too, and with it
    /// the lock.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Why a data directory cannot be owned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnershipError {
    /// Somebody else owns it.
    #[error("{} is held by {}: stop it, or wait until it is done, and try again", path.display(), holder_text(*holder))]
    Held {
        /// The lock.
        path: PathBuf,
        /// The process that holds it, where that can be known.
        holder: Option<u32>,
    },
    /// The lock cannot be opened or asked for.
    #[error("the lock {} cannot be taken: {source}", path.display())]
    Unusable {
        /// The lock.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Ownership {
    /// Takes both locks without waiting, and creates their files where they are missing.
    pub fn take(data_dir: &Path) -> Result<Self, OwnershipError> {
        let daemon = take(data_dir, DAEMON_LOCK, open_or_create)?;
        let write = take(data_dir, WRITE_LOCK, open_or_create)?;
        Ok(Self { _write: write, _daemon: daemon })
    }
}

impl PresentLocks {
    /// Takes, without waiting, those locks whose files exist.
    pub fn take(data_dir: &Path) -> Result<Self, OwnershipError> {
        let mut held = Vec::new();
        for name in [DAEMON_LOCK, WRITE_LOCK] {
            match take(data_dir, name, Dir::open_file_to_change) {
                Ok(file) => held.push(file),
                Err(OwnershipError::Unusable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { _held: held })
    }
}

impl ReadLocks {
    /// Keeps off, without waiting, whoever would write, with those locks whose files exist, where these cannot
    /// be written to. Programs that only read share them.
    pub fn take(data_dir: &Path) -> Result<Self, OwnershipError> {
        let mut held = Vec::new();
        for name in [DAEMON_LOCK, WRITE_LOCK] {
            match take_with(data_dir, name, Dir::open_file, File::try_lock_shared) {
                Ok(file) => held.push(file),
                Err(OwnershipError::Unusable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { _held: held })
    }
}

/// Whether nobody holds the lock that a daemon holds as long as it lives; `false` where that cannot be asked.
///
/// Nobody else who asks is disturbed, and a daemon that starts in this very moment is told that it is held.
pub fn is_free(data_dir: &Path) -> bool {
    let opened = RelativePath::parse(DAEMON_LOCK)
        .map_err(io::Error::other)
        .and_then(|name| Dir::open(data_dir)?.open_file(&name));
    match opened {
        Ok(file) => file.try_lock_shared().map(|()| drop(Held(file))).is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn take(
    data_dir: &Path,
    name: &str,
    open: impl FnOnce(&Dir, &RelativePath) -> io::Result<File>,
) -> Result<Held, OwnershipError> {
    take_with(data_dir, name, open, File::try_lock)
}

fn take_with(
    data_dir: &Path,
    name: &str,
    open: impl FnOnce(&Dir, &RelativePath) -> io::Result<File>,
    lock: impl FnOnce(&File) -> Result<(), TryLockError>,
) -> Result<Held, OwnershipError> {
    let path = data_dir.join(name);
    let unusable = |source| OwnershipError::Unusable { path: path.clone(), source };
    let relative = RelativePath::parse(name).map_err(|error| unusable(io::Error::other(error)))?;
    let dir = Dir::open(data_dir).map_err(unusable)?;
    let file = open(&dir, &relative).map_err(unusable)?;
    match lock(&file) {
        Ok(()) => Ok(Held(file)),
        Err(TryLockError::WouldBlock) => Err(OwnershipError::Held { holder: holder(&file), path }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

fn open_or_create(dir: &Dir, name: &RelativePath) -> io::Result<File> {
    match dir.open_file_to_change(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    match dir.create_file(name) {
        // Somebody else was faster, and nobody takes the file away again.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => dir.open_file_to_change(name),
        created => created,
    }
}

/// The process that holds a lock on this file, where the system tells.
#[cfg(target_os = "linux")]
fn holder(file: &File) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata().ok()?;
    let (major, minor) = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
    let object = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        // 1: FLOCK  ADVISORY  WRITE 14620 fe:00:10781736 0 EOF
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, found, ..] = fields.as_slice() else { return None };
        // A process of another namespace has the number 0 here.
        (*found == object).then(|| pid.parse().ok().filter(|pid| *pid != 0)).flatten()
    })
}

#[cfg(not(target_os = "linux"))]
fn holder(_: &File) -> Option<u32> {
    None
}

fn holder_text(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another program".to_owned(), |pid| format!("process {pid}"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;

    #[test]
    fn both_locks_are_taken_and_left_behind() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let owner = Ownership::take(home.path()).unwrap();
        assert!(matches!(Ownership::take(home.path()), Err(OwnershipError::Held { .. })));
        assert!(matches!(PresentLocks::take(home.path()), Err(OwnershipError::Held { .. })));
        drop(owner);
        for name in [DAEMON_LOCK, WRITE_LOCK] {
            let metadata = std::fs::metadata(home.path().join(name)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        }
        drop(PresentLocks::take(home.path()).unwrap());
        Ownership::take(home.path()).unwrap();
    }

    /// Starts a process that holds a lock until its standard input is closed.
    fn hold_elsewhere(lock: &Path) -> Option<Child> {
        let child = Command::new("flock")
            .arg("--no-fork")
            .arg(lock)
            .args(["sh", "-c", "echo held; read end"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            eprintln!("SKIPPED: there is no program flock here");
            return None;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        Some(child)
    }

    #[test]
    fn another_process_that_holds_a_lock_is_named() {
        for name in [DAEMON_LOCK, WRITE_LOCK] {
            let home = tempfile::tempdir().unwrap();
            let Some(mut child) = hold_elsewhere(&home.path().join(name)) else { return };
            let refused = Ownership::take(home.path()).unwrap_err();
            let OwnershipError::Held { path, holder } = refused else { panic!("{refused}") };
            assert_eq!(path, home.path().join(name));
            if cfg!(target_os = "linux") && holder.is_some() {
                assert_eq!(holder, Some(child.id()));
            }
            drop(child.stdin.take());
            child.wait().unwrap();
            Ownership::take(home.path()).unwrap();
        }
    }

    #[test]
    fn asking_whether_the_lock_is_free_does_not_create_it() {
        let home = tempfile::tempdir().unwrap();
        assert!(is_free(home.path()));
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        let owner = Ownership::take(home.path()).unwrap();
        assert!(!is_free(home.path()));
        drop(owner);
        assert!(is_free(home.path()));
        drop(Ownership::take(home.path()).unwrap());
        assert!(is_free(&home.path().join("missing")));
    }

    #[test]
    fn locks_that_do_not_exist_are_not_made() {
        let home = tempfile::tempdir().unwrap();
        drop(PresentLocks::take(home.path()).unwrap());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn who_only_reads_keeps_off_writers_with_the_locks_that_exist() {
        let home = tempfile::tempdir().unwrap();
        drop(ReadLocks::take(home.path()).unwrap());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        let owner = Ownership::take(home.path()).unwrap();
        assert!(matches!(ReadLocks::take(home.path()), Err(OwnershipError::Held { .. })));
        drop(owner);
        let readers = (ReadLocks::take(home.path()).unwrap(), ReadLocks::take(home.path()).unwrap());
        assert!(matches!(Ownership::take(home.path()), Err(OwnershipError::Held { .. })));
        drop(readers);
        Ownership::take(home.path()).unwrap();
    }

    #[test]
    fn no_link_is_followed_to_a_lock() {
        let home = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("new"), home.path().join(DAEMON_LOCK)).unwrap();
        assert!(matches!(Ownership::take(home.path()), Err(OwnershipError::Unusable { .. })));
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        let missing = Ownership::take(&home.path().join("missing"));
        assert!(matches!(missing, Err(OwnershipError::Unusable { .. })));
    }
}
