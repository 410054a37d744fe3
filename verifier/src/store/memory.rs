//! A repository in memory, for tests and samples.

use crate::length::to_u64;
use std::collections::{BTreeMap, BTreeSet};

use super::{Store, StoreEntry, StoreError, StoreFile};

/// Files by path.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    files: BTreeMap<String, Vec<u8>>,
}

impl MemoryStore {
    /// Puts a file, replacing one of the same path.
    pub fn insert(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), bytes.into());
    }

    /// Takes a file away.
    pub fn remove(&mut self, path: &str) -> Option<Vec<u8>> {
        self.files.remove(path)
    }

    /// A file's bytes.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// All paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Copies every file of another store below `folder`; `""` copies all.
    pub fn copy_from(&mut self, store: &dyn Store, folder: &str) -> Result<(), StoreError> {
        for entry in store.list(folder)? {
            let path = if folder.is_empty() { entry.name } else { format!("{folder}/{}", entry.name) };
            if entry.is_folder {
                self.copy_from(store, &path)?;
            } else {
                let bytes = super::read_file(store, &path, u64::MAX)?;
                self.insert(path, bytes);
            }
        }
        Ok(())
    }
}

impl Store for MemoryStore {
    fn list(&self, folder: &str) -> Result<Vec<StoreEntry>, StoreError> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut folders = BTreeSet::new();
        let mut entries = Vec::new();
        for (path, bytes) in &self.files {
            let Some(rest) = path.strip_prefix(&prefix) else { continue };
            if let Some((name, _)) = rest.split_once('/') {
                folders.insert(name.to_owned());
            } else {
                let len = to_u64(bytes.len());
                entries.push(StoreEntry { name: rest.to_owned(), is_folder: false, len });
            }
        }
        entries.extend(folders.into_iter().map(|name| StoreEntry { name, is_folder: true, len: 0 }));
        if entries.is_empty() {
            return Err(StoreError::Missing { path: folder.to_owned() });
        }
        Ok(entries)
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreFile + '_>, StoreError> {
        match self.files.get(path) {
            Some(bytes) => Ok(Box::new(Bytes { bytes, path: path.to_owned() })),
            None => Err(StoreError::Missing { path: path.to_owned() }),
        }
    }
}

struct Bytes<'a> {
    bytes: &'a [u8],
    path: String,
}

impl StoreFile for Bytes<'_> {
    fn len(&self) -> u64 {
        to_u64(self.bytes.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let range = usize::try_from(offset).ok().and_then(|start| {
            let end = start.checked_add(buffer.len())?;
            self.bytes.get(start..end)
        });
        match range {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(StoreError::Unreadable {
                path: self.path.clone(),
                reason: "it ends before the bytes that should be there".to_owned(),
            }),
        }
    }
}
