//! New index files with exactly what is needed, which take the place of all old ones.

use std::collections::BTreeMap;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{BlobId, IndexId};
use msgvault_verifier::format::index::IndexEntry;
use msgvault_verifier::repository::{Location, Repository};
use msgvault_verifier::store::StoreError;

use super::mark::Live;
use super::{PruneError, PruneRequest, stop_if_cancelled};
use crate::repo::lock::Lock;
use crate::repo::publish::FileKind;
use crate::repo::write_index::{next_index_id, write_index};

/// Blobs that one index file names at most.
const MAX_ENTRIES: usize = 1_000_000;

/// The index files that there are, by path.
pub(super) fn index_files(repository: &Repository) -> Result<Vec<String>, StoreError> {
    let entries = match repository.store().list("indexes") {
        Err(StoreError::Missing { .. }) => Vec::new(),
        entries => entries?,
    };
    let ids = entries.iter().filter(|entry| !entry.is_folder);
    let ids = ids.filter_map(|entry| entry.name.strip_suffix(".mvidx")?.parse::<IndexId>().ok());
    Ok(ids.map(IndexId::path).collect())
}

/// Writes them, and returns how many there are. Their names are above all others, so that their entries count as
/// long as both are there.
pub(super) fn write(
    context: &Context<'_>,
    request: &PruneRequest<'_>,
    repository: &Repository,
    live: &Live,
    moved: &BTreeMap<BlobId, IndexEntry>,
    lock: &Lock,
) -> Result<usize, PruneError> {
    let index = repository.index();
    let positions: Vec<usize> = (0..index.len()).filter(|position| live.contains(*position)).collect();
    let mut written = 0;
    for positions in positions.chunks(MAX_ENTRIES) {
        stop_if_cancelled(context)?;
        let entries = positions.iter().filter_map(|position| index.at(*position));
        let entries =
            entries.map(|location| moved.get(&location.id).copied().unwrap_or_else(|| entry(location)));
        let id = next_index_id(context, repository.store());
        lock.still_held()?;
        write_index(context, request.root, FileKind::Index, id, positions.len(), entries)?;
        written += 1;
    }
    Ok(written)
}

fn entry(location: Location) -> IndexEntry {
    let Location { id, pack, offset, stored_len, encoding } = location;
    IndexEntry { id, pack, offset, stored_len, encoding }
}
