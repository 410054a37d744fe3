//! The packs that are there, whatever the index says.

use crate::format::id::PackId;
use crate::store::StoreError;

use super::Repository;

impl Repository {
    /// Every pack that lies where packs lie, and the bytes of its file, by ID.
    pub fn pack_files(&self) -> Result<Vec<(PackId, u64)>, StoreError> {
        let store = self.store();
        let mut packs = Vec::new();
        for folder in store.list("packs")?.into_iter().filter(|entry| entry.is_folder) {
            for entry in store.list(&format!("packs/{}", folder.name))? {
                let id = entry.name.strip_suffix(".mvpack").and_then(|stem| stem.parse::<PackId>().ok());
                // A copy in another folder is not where anybody looks for it.
                let id = id.filter(|id| id.path() == format!("packs/{}/{}", folder.name, entry.name));
                packs.extend(id.map(|id| (id, entry.len)));
            }
        }
        packs.sort_unstable();
        Ok(packs)
    }
}
