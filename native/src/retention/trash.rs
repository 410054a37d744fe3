//! Where the manifests of forgotten snapshots wait.

use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::store::{Store, StoreError};

use crate::repo::files;
use crate::repo::publish::PublishError;

/// The folder of the trash that holds manifests.
pub(super) const TRASH: &str = "trash/snapshots";
const SUFFIX: &str = ".mvmanifest";

/// Where the manifest of a forgotten snapshot lies.
pub(super) fn path(id: &SnapshotId) -> String {
    format!("{TRASH}/{id}{SUFFIX}")
}

/// The forgotten snapshots, oldest first.
pub(super) fn trashed(store: &dyn Store) -> Result<Vec<SnapshotId>, StoreError> {
    let entries = match store.list(TRASH) {
        Err(StoreError::Missing { .. }) => Vec::new(),
        entries => entries?,
    };
    let files = entries.iter().filter(|entry| !entry.is_folder);
    let mut ids: Vec<SnapshotId> =
        files.filter_map(|entry| entry.name.strip_suffix(SUFFIX)?.parse().ok()).collect();
    ids.sort();
    Ok(ids)
}

/// Takes a snapshot off the list.
pub(crate) fn to_trash(context: &Context<'_>, root: &Path, id: &SnapshotId) -> Result<(), PublishError> {
    files::rename(context, root, &id.path(), &path(id))
}

/// Where the manifests of all forgotten snapshots lie.
pub(crate) fn forgotten_manifests(store: &dyn Store) -> Result<Vec<String>, StoreError> {
    Ok(trashed(store)?.iter().map(path).collect())
}
