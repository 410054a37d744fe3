//! What lies among the files of a repository and is not its own: what systems, copying tools and people left.
//!
//! A file is the repository's if its whole name is one of the format's. Nothing reads the others.

use serde::{Deserialize, Serialize};

use super::{MAX_MANIFEST_LEN, Repository};
use crate::format::id::{IndexId, PackId, SnapshotId};
use crate::format::lock::LockName;
use crate::format::manifest::Manifest;
use crate::format::sums::{self, SumsName};
use crate::store::{Store, StoreEntry, StoreError, is_missing, read_file};
use crate::system_names::is_of_a_system;

/// So many are told of.
const MOST_TOLD: usize = 1000;
/// So many bytes are read at most to find out what they are.
const MOST_READ: u64 = 256 << 20;
/// Bytes of a ULID as text.
const ULID_LEN: usize = 26;
/// Bytes at the end of a pack or an index that hold a checksum of what it names.
const TAIL_LEN: usize = 40;

/// A file or folder that is not the repository's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ForeignFile {
    /// Its path in the repository; what is not UTF-8 in it is replaced.
    pub file: String,
    /// What it is, as far as that can be told.
    pub detail: String,
}

impl Repository {
    /// What is not the repository's own in the folders of snapshots, indexes, packs, sums and locks, by path; at most
    /// the first thousand. Folders that cannot be listed are passed over.
    pub fn foreign_files(&self) -> Vec<ForeignFile> {
        let store = self.store();
        let mut found: Vec<(String, StoreEntry)> = Vec::new();
        let mut look_into = |folder: &str| {
            let entries = store.list(folder).unwrap_or_default();
            let paths = entries.into_iter().map(|entry| (format!("{folder}/{}", entry.name), entry));
            let (own, foreign): (Vec<_>, Vec<_>) = paths.partition(|(path, entry)| is_own(path, entry));
            found.extend(foreign);
            own
        };
        for folder in ["snapshots", "indexes", "locks", sums::FOLDER] {
            look_into(folder);
        }
        for (folder, _) in look_into("packs") {
            look_into(&folder);
        }
        found.sort();
        found.truncate(MOST_TOLD);
        let mut left = MOST_READ;
        let tell = |(file, entry): (String, StoreEntry)| {
            let detail = identify(store, &file, &entry, &mut left);
            ForeignFile { file, detail }
        };
        found.into_iter().map(tell).collect()
    }

    /// Snapshots whose manifests lie among the others under names that are not their own, by path: nothing lists
    /// them, and what they need is there for them all the same.
    pub fn misnamed_snapshots(&self) -> Result<Vec<(String, SnapshotId)>, StoreError> {
        let store = self.store();
        let mut found = Vec::new();
        for entry in store.list("snapshots")? {
            let path = format!("snapshots/{}", entry.name);
            if is_own(&path, &entry) || entry.is_folder || is_of_a_system(&entry.name) {
                continue;
            }
            let id = manifest_in(store, &path, &entry);
            found.extend(id.filter(|id| is_missing(store, &id.path())).map(|id| (path, id)));
        }
        Ok(found)
    }
}

/// Whether the whole name is one of the format's.
fn is_own(path: &str, entry: &StoreEntry) -> bool {
    let is_lock = |name| LockName::of(name).is_some();
    SnapshotId::of_path(path).is_some()
        || IndexId::of_path(path).is_some()
        || PackId::of_path(path).is_some()
        || SumsName::of_path(path).is_some()
        || path.strip_prefix("locks/").is_some_and(is_lock)
        || (entry.is_folder && path.strip_prefix("packs/").is_some_and(is_pack_folder))
}

/// Whether packs can lie in a folder of this name.
pub fn is_pack_folder(name: &str) -> bool {
    let smallest = "0".repeat(ULID_LEN - 2);
    name.len() == 2 && format!("{name}{smallest}").parse::<PackId>().is_ok()
}

fn identify(store: &dyn Store, path: &str, entry: &StoreEntry, left: &mut u64) -> String {
    if is_of_a_system(&entry.name) {
        return "left by an operating system or a storage device".to_owned();
    }
    let copy =
        match path.split_once('/') {
            _ if entry.is_folder || entry.len == 0 => None,
            Some(("snapshots", _)) => of_manifest(store, path, entry, left),
            Some(("indexes", name)) => id_in::<IndexId>(name)
                .and_then(|id| of_named(store, path, "index", &id.to_string(), &id.path())),
            Some(("packs", name)) => id_in::<PackId>(name)
                .and_then(|id| of_named(store, path, "pack", &id.to_string(), &id.path())),
            _ => None,
        };
    copy.unwrap_or_else(|| "its name is not one of the format's, and nothing reads it".to_owned())
}

/// Whose manifest a file holds: its content tells its ID.
fn manifest_in(store: &dyn Store, path: &str, entry: &StoreEntry) -> Option<SnapshotId> {
    #[derive(Deserialize)]
    struct Named {
        snapshot_id: SnapshotId,
    }
    let json = read_file(store, path, MAX_MANIFEST_LEN.min(entry.len)).ok()?;
    let Named { snapshot_id: id } = serde_json::from_slice(&json).ok()?;
    Manifest::decode(&id, &json).ok()?;
    Some(id)
}

/// What a manifest under another name is.
fn of_manifest(store: &dyn Store, path: &str, entry: &StoreEntry, left: &mut u64) -> Option<String> {
    *left = left.checked_sub(entry.len)?;
    let id = manifest_in(store, path, entry)?;
    Some(match store.open(&id.path()) {
        Err(StoreError::Missing { .. }) => format!(
            "the manifest of snapshot {id}, which is not there under its own name: to have that snapshot back, \
             rename it to {}",
            id.path()
        ),
        _ => format!("a copy of snapshot {id} under another name"),
    })
}

/// What a file is that has the ID of a pack or an index in its name.
fn of_named(store: &dyn Store, path: &str, kind: &str, id: &str, own: &str) -> Option<String> {
    let tail = tail_of(store, path).ok()??;
    match tail_of(store, own) {
        Ok(Some(of_own)) if of_own == tail => Some(format!("a copy of {kind} {id} under another name")),
        Ok(_) => Some(format!("named after {kind} {id}, and not the same")),
        Err(StoreError::Missing { .. }) => Some(format!(
            "named after {kind} {id}, which is not there under its own name: if a problem says so too, rename this \
             file to {own} and verify again"
        )),
        Err(_) => None,
    }
}

/// The length and the last bytes of a pack, an index or sums, which are those of no other of the same name; none when
/// it is too short.
pub fn tail_of(store: &dyn Store, path: &str) -> Result<Option<(u64, [u8; TAIL_LEN])>, StoreError> {
    let file = store.open(path)?;
    let len = file.len();
    let Some(offset) = len.checked_sub(crate::length::to_u64(TAIL_LEN)) else { return Ok(None) };
    let mut tail = [0; TAIL_LEN];
    file.read_at(offset, &mut tail)?;
    Ok(Some((len, tail)))
}

/// The first ID in a name.
fn id_in<I: std::str::FromStr>(name: &str) -> Option<I> {
    let starts = 0..=name.len().checked_sub(ULID_LEN)?;
    starts.into_iter().find_map(|start| name.get(start..start + ULID_LEN)?.parse().ok())
}
