//! A database that cannot be written to from here: on a read-only medium, in a snapshot of a file system, or
//! behind permissions.
//!
//! No lock of SQLite can hold it still, and none needs to as long as nobody writes to it elsewhere. Whether
//! somebody did is asked afterwards.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use msgvault_platform as platform;
use msgvault_verifier::Observer;
use msgvault_verifier::text::human_bytes;
use tempfile::TempDir;

use super::SessionError;
use crate::free_space;

/// The database's file and what belongs to it: with content in one of the logs, the file alone is not the
/// database.
const FILES: [&str; 3] = ["", "-wal", "-journal"];
const PIECE: usize = 1 << 20;

/// A database that cannot be written to, as it was when it was looked at.
#[derive(Debug)]
pub(super) struct Still {
    path: PathBuf,
    seen: Vec<Option<Seen>>,
    /// Kept as long as its copy is read.
    scratch: Option<TempDir>,
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    len: u64,
    modified: Option<SystemTime>,
}

impl Still {
    /// The database, if the system lets nobody write to it from here.
    pub(super) fn look(path: &Path) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        let folder = path.parent()?;
        let shared = beside(&path, "-shm");
        // Who may write to the file needs the folder only to make what SQLite keeps beside it.
        let is_complete = shared.exists() && platform::may_write(&shared);
        if platform::may_write(&path) && (is_complete || platform::may_write(folder)) {
            return None;
        }
        let seen = see(&path);
        Some(Self { path, seen, scratch: None })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a log, without which the file is not the database.
    pub(super) fn has_log(&self) -> bool {
        self.seen.iter().skip(1).flatten().any(|log| log.len > 0)
    }

    /// Copies the database and its logs to a folder that can be written to, and returns the copy.
    pub(super) fn copy(&mut self, observer: &dyn Observer) -> Result<PathBuf, SessionError> {
        let failed = |source| SessionError::NotCopied { path: self.path.clone(), source };
        let folder = TempDir::new().map_err(failed)?;
        let needed = self.seen.iter().flatten().fold(0u64, |sum, file| sum.saturating_add(file.len));
        free_space::check("copy the database to", folder.path(), needed)
            .map_err(|error| failed(error.source))?;
        observer.warn(&format!(
            "the archive cannot be written to here, and its database has a log: {} are copied to {} to be backed up from there",
            human_bytes(needed),
            folder.path().display()
        ));
        let copy = folder.path().join("msgvault.db");
        let mut piece = vec![0; PIECE];
        for ((from, to), seen) in files(&self.path).zip(files(&copy)).zip(&self.seen) {
            if seen.is_some() && !copy_file(&from, &to, &mut piece, observer).map_err(failed)? {
                return Err(SessionError::Cancelled);
            }
        }
        if see(&self.path) != self.seen {
            return Err(SessionError::Changed { path: self.path.clone() });
        }
        self.scratch = Some(folder);
        Ok(copy)
    }

    /// Checks that nobody wrote to the database's file since it was looked at, if that file is what was read.
    /// A log that came meanwhile belongs to a later state.
    pub(super) fn check(&self) -> Result<(), SessionError> {
        if self.is_copied() || see(&self.path).first() == self.seen.first() {
            Ok(())
        } else {
            Err(SessionError::Changed { path: self.path.clone() })
        }
    }

    /// Whether the copy is what is read.
    pub(super) fn is_copied(&self) -> bool {
        self.scratch.is_some()
    }
}

/// The database's file and its logs.
fn files(database: &Path) -> impl Iterator<Item = PathBuf> + '_ {
    FILES.into_iter().map(|suffix| beside(database, suffix))
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    name.into()
}

fn see(database: &Path) -> Vec<Option<Seen>> {
    let seen = |metadata: Metadata| Seen { len: metadata.len(), modified: metadata.modified().ok() };
    files(database).map(|file| std::fs::metadata(file).ok().map(seen)).collect()
}

/// Copies content alone, since the copy must be writable; `false` when the observer wants the run to end.
fn copy_file(from: &Path, to: &Path, piece: &mut [u8], observer: &dyn Observer) -> io::Result<bool> {
    let (mut from, mut to) = (File::open(from)?, File::create_new(to)?);
    loop {
        if observer.cancelled() {
            return Ok(false);
        }
        match from.read(piece) {
            Ok(0) => return Ok(true),
            Ok(count) => to.write_all(piece.get(..count).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
