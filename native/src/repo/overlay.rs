//! A repository as it would be with some files more and some fewer, to be verified before anything is changed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use msgvault_verifier::store::{DirectoryStore, MemoryStore, Store, StoreEntry, StoreError, StoreFile};

/// The files of a folder, with changes that nobody made yet.
pub(crate) struct Overlay {
    store: DirectoryStore,
    added: MemoryStore,
    removed: BTreeSet<String>,
}

impl Overlay {
    /// The folder as it is.
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        let store = DirectoryStore::new(root);
        Self { store, added: MemoryStore::default(), removed: BTreeSet::new() }
    }

    /// With a file of these bytes, which takes the place of one of the same path.
    pub(crate) fn add(&mut self, path: impl Into<String>, bytes: Vec<u8>) {
        self.added.insert(path, bytes);
    }

    /// Without a file.
    pub(crate) fn remove(&mut self, path: impl Into<String>) {
        self.removed.insert(path.into());
    }
}

impl Store for Overlay {
    fn list(&self, folder: &str) -> Result<Vec<StoreEntry>, StoreError> {
        let added: Vec<StoreEntry> = match self.added.list(folder) {
            Err(StoreError::Missing { .. }) => Vec::new(),
            added => added?.into_iter().filter(|entry| !entry.is_folder).collect(),
        };
        let mut entries = self.store.list(folder)?;
        let is_added = |entry: &StoreEntry| added.iter().any(|other| other.name == entry.name);
        entries
            .retain(|entry| !is_added(entry) && !self.removed.contains(&format!("{folder}/{}", entry.name)));
        entries.extend(added);
        Ok(entries)
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreFile + '_>, StoreError> {
        if self.removed.contains(path) {
            return Err(StoreError::Missing { path: path.to_owned() });
        }
        match self.added.open(path) {
            Err(StoreError::Missing { .. }) => self.store.open(path),
            added => added,
        }
    }
}
