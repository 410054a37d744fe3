//! A folder by its path, where there are no descriptors of folders.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use msgvault_verifier::format::path::RelativePath;

use super::{Kind, Name, RenameGuard, Stat, is_link, not_a_file};

/// A folder by its path. Every component below it is looked at before it is used and refused when it is a
/// symbolic link; somebody who changes names in that very moment is not kept out here.
#[derive(Debug)]
pub struct Dir {
    root: PathBuf,
}

impl Dir {
    /// Opens a folder; links in `path` itself are followed, since whoever names the anchor means it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = path.canonicalize()?;
        if root.is_dir() { Ok(Self { root }) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    /// Opens a folder unless its last component is a symbolic link.
    pub fn open_no_follow(path: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(path)?.is_symlink() { Err(is_link()) } else { Self::open(path) }
    }

    /// Opens a folder below this one.
    pub fn open_dir(&self, path: &RelativePath) -> io::Result<Self> {
        let root = self.checked(path)?;
        match fs::symlink_metadata(&root)? {
            found if found.is_symlink() => Err(is_link()),
            found if found.is_dir() => Ok(Self { root }),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Opens a regular file for reading.
    pub fn open_file(&self, path: &RelativePath) -> io::Result<File> {
        File::open(self.regular(path)?)
    }

    /// Opens a regular file for reading and writing.
    pub fn open_file_to_change(&self, path: &RelativePath) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.regular(path)?)
    }

    /// Creates a file to write and read; fails when the name is taken.
    pub fn create_file(&self, path: &RelativePath) -> io::Result<File> {
        super::create_new(&self.checked(path)?)
    }

    /// Creates a folder and the folders above it; those that are there stay as they are.
    pub fn create_dirs(&self, path: &RelativePath) -> io::Result<()> {
        let mut at = self.root.clone();
        for name in path.components() {
            at.push(checked_name(name)?);
            match fs::symlink_metadata(&at) {
                Ok(found) if found.is_symlink() => return Err(is_link()),
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
                Err(_) => super::create_folder(&at)?,
            }
        }
        Ok(())
    }

    /// Renames, replacing a file of the new name.
    pub fn rename(&self, from: &RelativePath, to: &RelativePath) -> io::Result<()> {
        fs::rename(self.checked(from)?, self.checked(to)?)
    }

    /// Renames; fails with `AlreadyExists` when the new name is taken.
    pub fn rename_new(&self, from: &RelativePath, to: &RelativePath) -> io::Result<()> {
        super::publish_new(&self.checked(from)?, &self.checked(to)?)
    }

    /// Gives a file a second name; fails with `AlreadyExists` when the name is taken.
    pub fn link(&self, from: &RelativePath, to: &RelativePath) -> io::Result<()> {
        fs::hard_link(self.checked(from)?, self.checked(to)?)
    }

    /// Removes a file or a link, never what a link leads to.
    pub fn remove_file(&self, path: &RelativePath) -> io::Result<()> {
        fs::remove_file(self.checked(path)?)
    }

    /// Removes an empty folder.
    pub fn remove_dir(&self, path: &RelativePath) -> io::Result<()> {
        fs::remove_dir(self.checked(path)?)
    }

    /// What a name stands for.
    pub fn stat(&self, path: &RelativePath) -> io::Result<Stat> {
        let found = fs::symlink_metadata(self.checked(path)?)?;
        let kind = match found.file_type() {
            kind if kind.is_symlink() => Kind::Link,
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_file() => Kind::File,
            _ => Kind::Other,
        };
        let mode = if found.permissions().readonly() { 0o400 } else { 0o600 };
        let modified = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Stat { kind, len: found.len(), mode, modified })
    }

    /// The names in the folder, sorted.
    pub fn entries(&self) -> io::Result<Vec<Name>> {
        let names = fs::read_dir(&self.root)?.map(|entry| Ok(Name::of(entry?.file_name())));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// Removes everything below the folder, and never what a link leads to.
    pub fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }?;
        }
        Ok(())
    }

    /// Makes the names in the folder durable, where that can be asked for.
    pub fn sync(&self) -> io::Result<()> {
        super::sync_folder(&self.root)
    }

    /// Whether the file system says that it makes names durable when asked to; here nobody asks.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "the same signature everywhere")]
    pub fn syncs_names(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Finds out, on two files that are there, what keeps [`Self::rename_new`] from replacing one.
    pub fn rename_guard(&self, from: &RelativePath, to: &RelativePath) -> io::Result<RenameGuard> {
        Ok(match fs::hard_link(self.checked(from)?, self.checked(to)?) {
            Ok(()) => RenameGuard::None,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => RenameGuard::System,
            Err(_) => RenameGuard::Look,
        })
    }

    /// Whether both are the same folder, by whatever names they were opened.
    pub fn is_same(&self, other: &Self) -> io::Result<bool> {
        super::same_object(&self.root, &other.root)
    }

    /// Whether an open file belongs to whoever runs this, as far as can be told; here nothing can be.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "the same signature everywhere")]
    pub fn is_own(&self, _: &File) -> io::Result<bool> {
        Ok(true)
    }

    /// A second handle of the same folder.
    #[allow(clippy::unnecessary_wraps, reason = "the same signature everywhere")]
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { root: self.root.clone() })
    }

    /// Bytes that may still be written here, which nobody is asked for.
    #[allow(clippy::unused_self, reason = "the same signature everywhere")]
    pub fn free_bytes(&self) -> Option<u64> {
        None
    }

    /// Whether [`Self::sync_file_system`] makes everything durable here.
    #[allow(clippy::unused_self, reason = "the same signature everywhere")]
    pub fn syncs_as_a_whole(&self) -> bool {
        false
    }

    /// Everything written to the folder's file system would become durable, if that could be asked for here.
    #[allow(clippy::unused_self, reason = "the same signature everywhere")]
    pub fn sync_file_system(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Holds the folder against others where folders can be held; here they cannot.
    #[allow(clippy::unused_self, reason = "the same signature everywhere")]
    pub fn try_hold(&self) -> bool {
        true
    }

    /// Holds the folder no longer.
    #[allow(clippy::unused_self, reason = "the same signature everywhere")]
    pub fn let_go(&self) {}

    fn regular(&self, path: &RelativePath) -> io::Result<PathBuf> {
        let full = self.checked(path)?;
        match fs::symlink_metadata(&full)? {
            found if found.is_symlink() => Err(is_link()),
            found if found.is_file() => Ok(full),
            _ => Err(not_a_file()),
        }
    }

    /// The full path, when every component but the last is a folder and no link.
    fn checked(&self, path: &RelativePath) -> io::Result<PathBuf> {
        let mut full = self.root.clone();
        for name in path.components() {
            if full != self.root && fs::symlink_metadata(&full)?.is_symlink() {
                return Err(is_link());
            }
            full.push(checked_name(name)?);
        }
        Ok(full)
    }
}

/// Refuses what is one component of the format and more than a name to this operating system.
fn checked_name(name: &str) -> io::Result<&str> {
    let means_more = cfg!(windows) && name.contains(['\\', ':', '<', '>', '"', '|', '?', '*']);
    if means_more {
        return Err(io::Error::new(
            io::ErrorKind::InvalidFilename,
            format!("{name:?} cannot be a file name here"),
        ));
    }
    Ok(name)
}
