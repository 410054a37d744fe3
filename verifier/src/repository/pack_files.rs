//! The packs and indexes that are there, whatever an index says.

use crate::format::id::PackId;
use crate::store::{StoreEntry, StoreError};

use super::{Repository, is_pack_folder};

impl Repository {
    /// Every index file, in the order in which later ones win.
    pub fn index_files(&self) -> Result<Vec<StoreEntry>, StoreError> {
        super::index_files(self.store())
    }

    /// Every pack that lies where packs lie, and the bytes of its file, by ID.
    pub fn pack_files(&self) -> Result<Vec<(PackId, u64)>, StoreError> {
        let store = self.store();
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
}
