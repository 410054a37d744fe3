//! Where the manifests of forgotten snapshots wait.

use std::path::PathBuf;

use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::store::{DirectoryStore, Store, StoreEntry, StoreError, StoreFile};

/// The folder of the trash that holds manifests.
pub(super) const TRASH: &str = "trash/snapshots";
const LISTED: &str = "snapshots";
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

/// Where the manifests of all forgotten snapshots lie.
pub(crate) fn forgotten_manifests(store: &dyn Store) -> Result<Vec<String>, StoreError> {
    Ok(trashed(store)?.iter().map(path).collect())
}

/// The repository as it would be with some forgotten snapshots among the listed ones.
pub(super) struct WithForgotten {
    store: DirectoryStore,
    ids: Vec<SnapshotId>,
}

impl WithForgotten {
    pub(super) fn new(root: impl Into<PathBuf>, ids: Vec<SnapshotId>) -> Self {
        Self { store: DirectoryStore::new(root), ids }
    }
}

impl Store for WithForgotten {
    fn list(&self, folder: &str) -> Result<Vec<StoreEntry>, StoreError> {
        let mut entries = self.store.list(folder)?;
        if folder == LISTED {
            let name = |id: &SnapshotId| format!("{id}{SUFFIX}");
            entries.retain(|entry| !self.ids.iter().any(|id| name(id) == entry.name));
            for id in &self.ids {
                let len = self.store.open(&path(id))?.len();
                entries.push(StoreEntry { name: name(id), is_folder: false, len });
            }
        }
        Ok(entries)
    }

    fn open(&self, file: &str) -> Result<Box<dyn StoreFile + '_>, StoreError> {
        let forgotten = self.ids.iter().find(|id| id.path() == file);
        forgotten.map_or_else(|| self.store.open(file), |id| self.store.open(&path(id)))
    }
}
