//! A step on a file that the system refused.

use std::io;
use std::path::PathBuf;

/// A file or folder that could not be handled.
///
/// Its text does not contain the [`advice`](Self::advice), which fits only where the file had to be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct FileError {
    /// What was being done, as a verb that the path follows: `create`, `make a folder in`.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl FileError {
    /// Joins an action and a path to what the system said.
    pub fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { action, path: path.into(), source }
    }

    /// What a person can do so that the file can be written; continues the sentence, or is empty.
    pub fn advice(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "; free some space there and run again, nothing that was there is lost"
            }
            io::ErrorKind::ReadOnlyFilesystem => "; mount that disk for writing",
            io::ErrorKind::CrossesDevices => {
                "; a part of that folder is a file system of its own: use an empty folder and move the files from there"
            }
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_depends_on_what_the_system_said() {
        let full = FileError::new("write", "/r/x", io::ErrorKind::StorageFull.into());
        assert_eq!(full.to_string(), "cannot write /r/x: no storage space");
        assert!(full.advice().starts_with("; free some space there"));
        let damaged = FileError::new("write", "/r/x", io::ErrorKind::InvalidData.into());
        assert_eq!(damaged.advice(), "");
    }
}
