//! Where a repository's files come from.

mod directory;
mod memory;

pub use directory::DirectoryStore;
pub use memory::MemoryStore;

/// A tree of files that can be read, and nothing else.
///
/// Paths are relative to the repository, with `/`, and built from parsed names only.
pub trait Store {
    /// Names of what lies in a folder, in no particular order; `""` is the repository itself.
    fn list(&self, folder: &str) -> Result<Vec<Entry>, StoreError>;

    /// Opens a regular file.
    fn open(&self, path: &str) -> Result<Box<dyn Source + '_>, StoreError>;
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name without its folder.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Bytes of a file; 0 for a folder.
    pub len: u64,
}

/// An opened file.
pub trait Source {
    /// Bytes of the file when it was opened.
    fn len(&self) -> u64;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buffer` from `offset` on; fails when the file ends before.
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
    #[error("{path} is no regular file")]
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
    /// Whoever reads lost sight of it, or never had it in sight. The file may be intact: this is never damage.
    #[error("{path} could not be checked: {reason}")]
    Unavailable {
        /// The path in the repository.
        path: String,
        /// What stood in the way.
        reason: String,
    },
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
