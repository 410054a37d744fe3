//! The packs and indexes that are there, whatever an index says.

use crate::format::id::{IndexId, PackId};
use crate::store::{Store, StoreEntry, StoreError};

use super::{Repository, is_pack_folder};

impl Repository {
    /// Every index file, and its bytes, in the order in which later ones win.
    pub fn index_files(&self) -> Result<Vec<(IndexId, u64)>, StoreError> {
        index_files(self.store())
    }

    /// Every pack that lies where packs lie, and the bytes of its file, by ID.
    pub fn pack_files(&self) -> Result<Vec<(PackId, u64)>, StoreError> {
        pack_files(self.store())
    }
}

/// The index files of a repository that need not be opened; none before the first snapshot, when copies can lack the
/// folder.
pub fn index_files(store: &dyn Store) -> Result<Vec<(IndexId, u64)>, StoreError> {
    let entries = match store.list("indexes") {
        Err(StoreError::Missing { .. }) => Vec::new(),
        entries => entries?,
    };
    let files = entries.into_iter().filter(|entry| !entry.is_folder);
    let id = |entry: StoreEntry| Some((IndexId::of_path(&format!("indexes/{}", entry.name))?, entry.len));
    let mut indexes: Vec<(IndexId, u64)> = files.filter_map(id).collect();
    indexes.sort_unstable();
    Ok(indexes)
}

/// The packs of a repository that need not be opened; none where the folder is missing.
pub fn pack_files(store: &dyn Store) -> Result<Vec<(PackId, u64)>, StoreError> {
    let folders = match store.list("packs") {
        Err(StoreError::Missing { .. }) => Vec::new(),
        folders => folders?,
    };
    let mut packs = Vec::new();
    let is_own = |entry: &StoreEntry| entry.is_folder && is_pack_folder(&entry.name);
    for folder in folders.into_iter().filter(is_own) {
        let folder = format!("packs/{}", folder.name);
        for entry in store.list(&folder)? {
            // A copy in another folder is not where anybody looks for it.
            let id = PackId::of_path(&format!("{folder}/{}", entry.name));
            packs.extend(id.map(|id| (id, entry.len)));
        }
    }
    packs.sort_unstable();
    Ok(packs)
}
