//! A repository in a folder of this machine.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::{Store, StoreEntry, StoreError, StoreFile};

/// Reads below a folder.
#[derive(Debug, Clone)]
pub struct DirectoryStore {
    root: PathBuf,
}

impl DirectoryStore {
    /// The store of this folder, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Store for DirectoryStore {
    fn list(&self, folder: &str) -> Result<Vec<StoreEntry>, StoreError> {
        let shown = if folder.is_empty() { &*self.root.to_string_lossy() } else { folder };
        let failed = |error: io::Error| failure(shown, &error);
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.root.join(folder)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A name that is not UTF-8 is not a name of the format, and what it becomes here is none either.
            let name = entry.file_name().to_string_lossy().into_owned();
            let metadata = fs::metadata(entry.path()).ok();
            // A file that vanished meanwhile was not listed. One that is there and cannot be looked at is: it
            // must not be taken for absent, and whoever opens it learns why.
            if metadata.is_none() && fs::symlink_metadata(entry.path()).is_err_and(|error| is_missing(&error))
            {
                continue;
            }
            let is_folder = metadata.as_ref().is_some_and(Metadata::is_dir);
            let len = metadata.filter(Metadata::is_file).map_or(0, |metadata| metadata.len());
            entries.push(StoreEntry { name, is_folder, len });
        }
        Ok(entries)
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreFile + '_>, StoreError> {
        let full = self.root.join(path);
        let failed = |error: io::Error| failure(path, &error);
        let not_a_file = || StoreError::NotAFile { path: path.to_owned() };
        // Asked before opening, since opening a device can do something.
        if !fs::metadata(&full).map_err(failed)?.is_file() {
            return Err(not_a_file());
        }
        let file = open_without_waiting(&full).map_err(failed)?;
        // Asked again, since the name may lead elsewhere by now.
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(not_a_file());
        }
        Ok(Box::new(OpenFile { file, len: metadata.len(), path: path.to_owned() }))
    }
}

/// Opens a file for reading; a pipe would wait for its writer, who never comes.
#[cfg(unix)]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().read(true).custom_flags(DO_NOT_WAIT).open(path)
}

#[cfg(not(unix))]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// `O_NONBLOCK`, which means nothing to a regular file. Systems that are not named here may wait.
#[cfg(unix)]
const DO_NOT_WAIT: i32 = if cfg!(any(target_os = "linux", target_os = "android")) {
    if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        0x80
    } else if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
        0x4000
    } else {
        0x800
    }
} else if cfg!(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
)) {
    0x4
} else {
    0
};

struct OpenFile {
    file: File,
    len: u64,
    path: String,
}

impl StoreFile for OpenFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        read_exact_at(&self.file, offset, buffer).map_err(|error| failure(&self.path, &error))
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, buffer, offset)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[count..];
        offset += crate::length::to_u64(count);
    }
    Ok(())
}

#[cfg(not(any(unix, windows)))]
fn read_exact_at(_: &File, _: u64, _: &mut [u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn failure(path: &str, error: &io::Error) -> StoreError {
    let (path, reason) = (path.to_owned(), error.to_string());
    match error {
        _ if is_missing(error) => StoreError::Missing { path },
        _ if says_nothing_of_the_file(error) => StoreError::Unavailable { path, reason },
        _ => StoreError::Unreadable { path, reason },
    }
}

/// Whether this machine or the way to the medium failed, and not the medium.
fn says_nothing_of_the_file(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable, NotConnected,
        OutOfMemory, PermissionDenied, ResourceBusy, StaleNetworkFileHandle, TimedOut,
    };
    // ENFILE and EMFILE, of which no kind tells.
    let has_no_more_files = cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24));
    let is_here = matches!(error.kind(), OutOfMemory | PermissionDenied | ResourceBusy);
    let is_on_the_way = matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | StaleNetworkFileHandle
            | TimedOut
    );
    has_no_more_files || is_here || is_on_the_way
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_the_medium_makes_a_file_unreadable() {
        // EIO and EUCLEAN; EACCES, ENOMEM, EMFILE, ETIMEDOUT and ESTALE.
        let of = |code| failure("x", &io::Error::from_raw_os_error(code));
        assert!([5, 117].map(of).iter().all(|error| matches!(error, StoreError::Unreadable { .. })));
        let others = [13, 12, 24, 110, 116].map(of);
        assert!(others.iter().all(|error| matches!(error, StoreError::Unavailable { .. })));
    }

    #[test]
    fn a_pipe_that_takes_the_place_of_a_file_is_not_waited_for() {
        let pipe = std::env::temp_dir().join(format!("msgvault-pipe-{}", std::process::id()));
        let _ = fs::remove_file(&pipe);
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let opened = open_without_waiting(&pipe).unwrap();
        assert!(!opened.metadata().unwrap().is_file());
        fs::remove_file(&pipe).unwrap();
    }
}
