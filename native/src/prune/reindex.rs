//! New index files with exactly what is needed, which take the place of all old ones.

use std::collections::BTreeMap;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::index::IndexEntry;
use msgvault_verifier::repository::Repository;

use super::mark::Live;
use super::{PruneError, PruneRequest, stop_if_cancelled};
use crate::repo::lock::Lock;
use crate::repo::publish::FileKind;
use crate::repo::sums::{self, FileSums};
use crate::repo::write_index::{next_index_id, write_index};

/// Blobs that one index file names at most.
const MAX_ENTRIES: usize = 1_000_000;

/// Writes them, and returns their sums. Their names are above all others, so that their entries count as
/// long as both are there.
pub(super) fn write(
    context: &Context<'_>,
    request: &PruneRequest<'_>,
    repository: &Repository,
    live: &Live,
    moved: &BTreeMap<BlobId, IndexEntry>,
    lock: &Lock,
) -> Result<FileSums, PruneError> {
    let index = repository.index();
    let positions: Vec<usize> = (0..index.len()).filter(|position| live.contains(*position)).collect();
    let mut written = FileSums::new();
    for positions in positions.chunks(MAX_ENTRIES) {
        stop_if_cancelled(context)?;
        let entries = positions.iter().filter_map(|position| index.at(*position));
        let entries =
            entries.map(|location| moved.get(&location.id).copied().unwrap_or_else(|| location.into()));
        let id = next_index_id(context, repository.store());
        lock.still_held()?;
        write_index(context, request.root, FileKind::Index, id, positions.len(), entries)?;
        let path = id.path();
        let sum = sums::of_published(request.root, &path)?;
        written.insert(path, sum);
    }
    Ok(written)
}
