//! What lies in the target under names of its own until it is published.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use msgvault_platform::context::Context;
use msgvault_platform::{self as platform, Dir, FileError};
use msgvault_verifier::format::id::FileId;
use msgvault_verifier::format::path::RelativePath;

use super::target::Target;
use super::{leftovers, names, unfinished};

/// The staged database and files of one restore; what is still staged when this is dropped is removed.
#[derive(Debug)]
pub(super) struct Staging {
    target: Target,
    id: FileId,
    database: RelativePath,
    files: RelativePath,
    /// Whether everything is made durable at once at the end; else every file when it is written.
    syncs_as_a_whole: bool,
    /// Set when what is staged holds something of the old archive that could not be put back.
    kept: AtomicBool,
}

impl Staging {
    /// Makes the folder of staged files.
    pub(super) fn create(context: &Context<'_>, target: Target) -> Result<Self, FileError> {
        let (unix_ms, random) = context.ulid_parts();
        let id = FileId::from_parts(unix_ms, random);
        let failed = |source| FileError::new("make a folder in", &target.path, source);
        let database = names::path(&names::staged_database(id)).map_err(failed)?;
        let files = names::path(&names::files(id)).map_err(failed)?;
        target.dir.create_dirs(&files).map_err(failed)?;
        let syncs_as_a_whole = target.dir.syncs_as_a_whole();
        Ok(Self { target, id, database, files, syncs_as_a_whole, kept: AtomicBool::new(false) })
    }

    /// The target.
    pub(super) fn dir(&self) -> &Dir {
        &self.target.dir
    }

    /// The target's path.
    pub(super) fn path(&self) -> &Path {
        &self.target.path
    }

    /// What tells this restore's names from another's.
    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// The name of the staged database.
    pub(super) fn database(&self) -> &RelativePath {
        &self.database
    }

    /// The path of the staged database.
    pub(super) fn database_path(&self) -> PathBuf {
        self.path().join(self.database.as_str())
    }

    /// The name of a staged file: a letter for its kind, and a number.
    pub(super) fn file(&self, kind: char, number: usize) -> Result<RelativePath, FileError> {
        let name = format!("{}/{kind}{number}", self.files);
        names::path(&name).map_err(|source| FileError::new("name", Path::new(&name), source))
    }

    /// Creates a staged file.
    pub(super) fn create_file(&self, name: &RelativePath) -> Result<File, FileError> {
        self.dir().create_file(name).map_err(|source| self.failed("create", name, source))
    }

    /// Makes a file durable where the whole file system cannot be made so later.
    pub(super) fn sync_file(&self, name: &RelativePath, file: &File) -> Result<(), FileError> {
        if self.syncs_as_a_whole {
            return Ok(());
        }
        file.sync_all().map_err(|source| self.failed("make durable", name, source))
    }

    /// Renames a file into place, if the place is free, and makes the folders above it. Says whether it was
    /// free.
    pub(super) fn place(&self, from: &RelativePath, to: &RelativePath) -> Result<bool, FileError> {
        let renamed = match self.dir().rename_new(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.create_parent(to)?;
                self.dir().rename_new(from, to)
            }
            renamed => renamed,
        };
        match renamed {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            renamed => renamed.map(|()| true).map_err(|source| self.failed("write", to, source)),
        }
    }

    /// Makes the folders above a file.
    pub(super) fn create_parent(&self, of: &RelativePath) -> Result<(), FileError> {
        let Some((parent, _)) = of.as_str().rsplit_once('/') else { return Ok(()) };
        let made = names::path(parent).and_then(|parent| self.dir().create_dirs(&parent));
        made.map_err(|source| self.failed("make a folder for", of, source))
    }

    /// Makes everything in the target durable: files, names, folders.
    pub(super) fn sync(&self) -> Result<(), FileError> {
        let synced =
            if self.syncs_as_a_whole { self.dir().sync_file_system() } else { sync_folders(self.dir()) };
        synced.map_err(|source| FileError::new("make durable", self.path(), source))
    }

    /// Makes the names in the target itself durable.
    pub(super) fn sync_names(&self) -> Result<(), FileError> {
        self.dir().sync().map_err(|source| FileError::new("make durable", self.path(), source))
    }

    pub(super) fn failed(&self, action: &'static str, name: &RelativePath, source: io::Error) -> FileError {
        FileError { action, path: self.path().join(name.as_str()), source }
    }

    /// Leaves what is staged where it is, since something of the old archive is among it.
    pub(super) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// Removes what is staged; what cannot be removed is swept by the next restore.
    pub(super) fn remove(&self) {
        leftovers::remove_all(self.dir(), self.id, &mut leftovers::Swept::default());
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::Relaxed) {
            self.remove();
            // Where it stays, the next restore goes on or finds the target not empty.
            let _ = unfinished::clear_if_alone(self.dir());
        }
    }
}

/// Makes the names in a folder and in all folders below it durable.
fn sync_folders(dir: &Dir) -> io::Result<()> {
    for entry in dir.entries()? {
        let Some(name) = entry.text.as_deref().and_then(|text| RelativePath::parse(text).ok()) else {
            continue;
        };
        if dir.stat(&name)?.kind == platform::Kind::Folder {
            sync_folders(&dir.open_dir(&name)?)?;
        }
    }
    dir.sync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_can_be_synchronized_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/f"), "x").unwrap();
        sync_folders(&Dir::open(folder.path()).unwrap()).unwrap();
    }
}
