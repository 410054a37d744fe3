//! Every pack that a repository has or should have.

use std::collections::{BTreeMap, HashMap};

use msgvault_verifier::format::id::PackId;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::StoreError;
use serde::Serialize;

/// A pack in the map of packs.
#[derive(Debug, Serialize)]
pub(crate) struct PackRow {
    /// Its path in the repository.
    file: String,
    /// Whether it is there.
    is_there: bool,
    /// Bytes of the file; none when it is not there, or the browser would not say.
    bytes: Option<u64>,
    /// Blobs that the index says it holds.
    blobs: u32,
}

/// The packs that are there or that an index names, by path.
pub(crate) fn packs(repository: &Repository) -> Vec<PackRow> {
    let mut blobs: HashMap<PackId, u32> = HashMap::new();
    for location in (0..repository.index().len()).filter_map(|position| repository.index().at(position)) {
        *blobs.entry(location.pack).or_default() += 1;
    }
    let named = blobs.into_iter().map(|(pack, blobs)| (pack.path(), (None, blobs)));
    let mut rows: BTreeMap<String, (Option<u64>, u32)> = named.collect();
    let store = repository.store();
    for folder in store.list("packs").unwrap_or_default().into_iter().filter(|entry| entry.is_folder) {
        let folder = format!("packs/{}", folder.name);
        let files = store.list(&folder).unwrap_or_default();
        for file in files.into_iter().filter(|entry| !entry.is_folder) {
            let path = format!("{folder}/{}", file.name);
            if PackId::of_path(&path).is_some() {
                rows.entry(path).or_default().0 = Some(file.len);
            }
        }
    }
    let is_missing = |file: &str| matches!(store.open(file), Err(StoreError::Missing { .. }));
    let row = |(file, (bytes, blobs)): (String, (Option<u64>, u32))| {
        let is_there = bytes.is_some() || !is_missing(&file);
        PackRow { file, is_there, bytes, blobs }
    };
    rows.into_iter().map(row).collect()
}
