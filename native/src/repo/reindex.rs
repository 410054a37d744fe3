//! New index files that take the place of all old ones.

use std::collections::BTreeMap;
use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::index::IndexEntry;
use msgvault_verifier::repository::Repository;

use super::lock::{Lock, LockError};
use super::publish::{FileKind, PublishError};
use super::sums::{self, FileSums};
use super::write_index::{next_index_id, write_index};

/// Blobs that one index file names at most.
const MAX_ENTRIES: usize = 1_000_000;

/// Why they were not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReindexError {
    /// The lock is lost.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// An index cannot be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The user stopped it.
    #[error("interrupted")]
    Cancelled,
}

/// Writes them with the blobs that stay, by position in the index, those that were moved at their new places, and
/// returns their sums. Their names are above all others, so that their entries count as long as both are there.
pub(crate) fn reindex(
    context: &Context<'_>,
    root: &Path,
    repository: &Repository,
    stays: &dyn Fn(usize) -> bool,
    moved: &BTreeMap<BlobId, IndexEntry>,
    lock: &Lock,
) -> Result<FileSums, ReindexError> {
    let index = repository.index();
    let positions: Vec<usize> = (0..index.len()).filter(|position| stays(*position)).collect();
    let mut written = FileSums::new();
    for positions in positions.chunks(MAX_ENTRIES) {
        if context.observer.cancelled() {
            return Err(ReindexError::Cancelled);
        }
        let entries = positions.iter().filter_map(|position| index.at(*position));
        let entries =
            entries.map(|location| moved.get(&location.id).copied().unwrap_or_else(|| location.into()));
        let id = next_index_id(context, repository.store());
        lock.still_held()?;
        write_index(context, root, FileKind::Index, id, positions.len(), entries)?;
        let path = id.path();
        let sum = sums::of_published(root, &path)?;
        written.insert(path, sum);
    }
    Ok(written)
}
