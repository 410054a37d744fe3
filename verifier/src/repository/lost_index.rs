//! Index files that manifests name and that are not there, or of no use.

use std::collections::HashSet;

use super::Repository;
use crate::format::id::{IndexId, PackId, SnapshotId};
use crate::pack::ReadError;
use crate::store::StoreError;

/// An index file that a manifest names and whose entries cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostIndex {
    /// The file.
    pub index: IndexId,
    /// The snapshot that was made with it; no older one needs it.
    pub snapshot: SnapshotId,
    /// The packs that it named.
    pub packs: Vec<PackId>,
}

impl Repository {
    /// The lost index files, in the order of their snapshots.
    ///
    /// Only manifests know of an index that is gone, so all that can be read are read. A file that its medium
    /// does not give just now is not lost.
    pub fn lost_indexes(&self) -> Vec<LostIndex> {
        let entries = match self.store().list("indexes") {
            Ok(entries) => entries,
            Err(StoreError::Missing { .. }) => Vec::new(),
            Err(_) => return Vec::new(),
        };
        let there = entries.into_iter().filter(|entry| !entry.is_folder);
        let good =
            there.map(|entry| format!("indexes/{}", entry.name)).filter(|path| !self.is_broken_index(path));
        let good: HashSet<String> = good.collect();
        let mut lost = Vec::new();
        for snapshot in self.listing().unwrap_or_default().snapshots {
            let Ok(manifest) = self.manifest(&snapshot) else { continue };
            let Some(index) = manifest.new_index.filter(|index| !good.contains(&index.path())) else {
                continue;
            };
            lost.push(LostIndex { index, snapshot, packs: manifest.new_packs.unwrap_or_default() });
        }
        lost
    }

    /// Whether an index file was read and is of no use, as opposed to one that its medium does not give.
    pub fn is_broken_index(&self, path: &str) -> bool {
        let mut damaged = self.damaged_indexes().iter();
        damaged.any(|(file, error)| file == path && matches!(error, ReadError::Decode(_)))
    }
}
