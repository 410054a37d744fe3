//! What can go wrong while a sample archive is created or changed.

use std::io;
use std::path::{Path, PathBuf};

/// Why a sample archive could not be made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// Making never overwrites.
    #[error("{0} already holds a database; choose a new directory")]
    Exists(PathBuf),
    /// Churn needs an archive that [`make`](super::make()) wrote.
    #[error("{0} is not a sample archive with tables that churn could change; make one first")]
    NotAnArchive(PathBuf),
    /// `SQLite` knows the powers of two from 512 to 65536.
    #[error("{0} is not a page size of SQLite; use a power of two from 512 to 65536")]
    PageSize(u32),
    /// The views of a single-page database do not fit in 512 bytes.
    #[error("a single-page database needs a page size of at least 1024, not {0}")]
    SinglePage(u32),
    /// The first day must be a date.
    #[error("the start date {0:?} is not a date such as 2016-03-01")]
    Start(String),
    /// A path that the database records leaves the archive.
    #[error("the attachment path {0:?} points outside the archive; nothing was removed there")]
    Path(String),
    /// A file of the home could not be written, read or removed.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database refused.
    #[error("the sample database: {0}")]
    Database(#[from] rusqlite::Error),
}

impl SampleError {
    /// For `map_err`: adds the path to the system's error.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        |source| Self::Io { path, source }
    }
}
