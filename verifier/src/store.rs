//! Where a repository's files come from.

use std::sync::Arc;

mod directory;
mod memory;

pub use directory::DirectoryStore;
pub use memory::MemoryStore;

/// A tree of files that can be read, and nothing else.
///
/// Paths are relative to the repository, with `/`, and built from parsed names only.
///
/// What every implementation promises, be it a folder, a page in a browser, or a server at the other end of a
/// network:
///
/// * Methods may be called from several threads at once, and block until they have an answer.
/// * A file is immutable once its name ends in a suffix of the format (`.mvpack`, `.mvidx`, `.mvmanifest`). Its bytes
///   may be kept and given again. Only `config.toml` is replaced, as a whole; lock files come and go.
/// * That something is missing is true at the time of the answer and must not be remembered: a backup adds files while
///   a repository is read.
/// * Errors can be told apart. [`StoreError::Missing`] says that the file or folder is certainly not there,
///   [`StoreError::Unreadable`] that the medium which should hold it failed; both count as damage.
///   [`StoreError::Unavailable`] says that nobody could look (a lost connection, a refused permission): whether the
///   file is intact is unknown. An implementation tries again by itself as often as its medium calls for, and answers
///   with an error when that did not help.
/// * Bytes need not be trusted: everything that is read is checked against a hash or a checksum.
///
/// One file is open for every thread that reads packs, and at most one more on each of them.
pub trait Store: Send + Sync {
    /// What lies in a folder, in any order; `""` is the repository itself.
    ///
    /// The listing is complete, or it is an error: half of one would hide snapshots. Lengths are those that
    /// [`open`](Self::open) would find. A folder that is not there is `Missing`.
    fn list(&self, folder: &str) -> Result<Vec<StoreEntry>, StoreError>;

    /// Opens a regular file. Its length is known from here on, and stays the same while it is open.
    fn open(&self, path: &str) -> Result<Box<dyn StoreFile + '_>, StoreError>;
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn list(&self, folder: &str) -> Result<Vec<StoreEntry>, StoreError> {
        self.as_ref().list(folder)
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreFile + '_>, StoreError> {
        self.as_ref().open(path)
    }
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreEntry {
    /// The name without its folder.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Bytes of a file; 0 for a folder.
    pub len: u64,
}

/// An opened file of a [`Store`]; used by one thread at a time.
pub trait StoreFile {
    /// Bytes of the file when it was opened.
    fn len(&self) -> u64;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills all of `buffer` from `offset` on. Fails when the file ends before, or any of the bytes cannot be
    /// had; what is in `buffer` then is worth nothing.
    ///
    /// Packs are read from front to back in pieces of some hundred kilobytes, headers and footers by
    /// themselves.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError>;
}

/// Why a file of a repository could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such file or folder.
    #[error("{path} is missing")]
    Missing {
        /// The path in the repository.
        path: String,
    },
    /// It is something else than a regular file or a folder.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// The path in the repository.
        path: String,
    },
    /// It is larger than what it holds can be.
    #[error("{path} has {len} bytes, more than the {limit} that such a file can have")]
    TooLarge {
        /// The path in the repository.
        path: String,
        /// Bytes it has.
        len: u64,
        /// Bytes it may have.
        limit: u64,
    },
    /// The system could not read it.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// The path in the repository.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// Whoever reads lost sight of it, or never had it in sight. The file may be intact: this is never
    /// damage.
    #[error("{path} could not be checked: {reason}")]
    Unavailable {
        /// The path in the repository.
        path: String,
        /// What stood in the way.
        reason: String,
    },
}

/// Whether a file is certainly not there.
pub fn is_missing(store: &dyn Store, path: &str) -> bool {
    matches!(store.open(path), Err(StoreError::Missing { .. }))
}

/// Reads a whole file of at most `limit` bytes.
pub fn read_file(store: &dyn Store, path: &str, limit: u64) -> Result<Vec<u8>, StoreError> {
    let source = store.open(path)?;
    let too_large = || StoreError::TooLarge { path: path.to_owned(), len: source.len(), limit };
    let len = usize::try_from(source.len()).map_err(|_| too_large())?;
    if source.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // A file with holes can be longer than the memory of any machine.
    bytes.try_reserve_exact(len).map_err(|_| too_large())?;
    bytes.resize(len, 0);
    source.read_at(0, &mut bytes)?;
    Ok(bytes)
}
