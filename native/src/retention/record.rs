//! What was forgotten and pruned, kept in `retention/`: one JSON file a run.
//!
//! Records are written before what they tell of is done, so that nothing ever goes without one. Only the newest
//! record of a prune is acted upon; the others are for people, and for copies that follow.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{FileId, IndexId, PackId, SnapshotId};
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::format::stats::ArchiveStats;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::load_manifest;
use msgvault_verifier::store::{DirectoryStore, Store, StoreError, read_file};
use serde::{Deserialize, Serialize};

use super::RetentionError;
use super::rules::KeepRules;
use crate::repo::publish::{FileKind, publish_bytes};

/// The version of all records.
pub(super) const VERSION: u64 = 1;
/// The largest record that is read, in bytes.
pub(super) const MAX_RECORD_LEN: u64 = 64 << 20;

/// A record: its action, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub(super) enum Action {
    Forget {
        /// The rules; none when the snapshots were named.
        #[serde(skip_serializing_if = "Option::is_none")]
        rules: Option<KeepRules>,
        removed: Vec<Forgotten>,
    },
    Unforget {
        restored: Vec<SnapshotId>,
    },
    Prune(Pruned),
}

/// A snapshot that was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Forgotten {
    pub(super) id: SnapshotId,
    pub(super) created_at: String,
    pub(super) messages: Option<u64>,
    pub(super) depth: u64,
}

/// What a prune condemned and removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pruned {
    /// Files that nothing needs, and since when that is known.
    pub(crate) condemned: Vec<Condemned>,
    /// Files that this run removes, and index files that it replaced.
    pub(crate) removed: Vec<String>,
}

/// A file that nothing needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Condemned {
    /// Where it lies in the repository.
    pub(crate) file: String,
    /// Since when it has been known that nothing needs it.
    pub(crate) since: Timestamp,
}

#[derive(Serialize)]
struct Record<'a> {
    version: u64,
    at: String,
    by: &'a str,
    #[serde(flatten)]
    action: &'a Action,
}

/// Writes a record and returns its path.
pub(super) fn write(
    context: &Context<'_>,
    root: &Path,
    by: &str,
    action: &Action,
) -> Result<String, RetentionError> {
    let record = Record { version: VERSION, at: context.now_text(), by, action };
    let json = serde_json::to_vec_pretty(&record).map_err(RetentionError::unwritable)?;
    // Above every record that there is, whatever the clock says.
    let newest = names(&DirectoryStore::new(root))?.last().map_or(0, |last| last.unix_ms().saturating_add(1));
    let (unix_ms, random) = context.ulid_parts();
    let path = path(FileId::from_parts(unix_ms.max(newest), random));
    publish_bytes(*context, root, FileKind::Record, &path, &json)?;
    Ok(path)
}

/// Writes the record of a prune.
pub(crate) fn record_prune(
    context: &Context<'_>,
    root: &Path,
    by: &str,
    pruned: Pruned,
) -> Result<String, RetentionError> {
    write(context, root, by, &Action::Prune(pruned))
}

/// What the newest record of a prune says; nothing when it cannot be read, so that all waits begin anew.
pub(crate) fn newest_prune(root: &Path) -> Result<Pruned, RetentionError> {
    #[derive(Deserialize)]
    struct PruneRecord {
        version: u64,
        action: String,
        #[serde(flatten)]
        pruned: Option<Pruned>,
    }
    let store = DirectoryStore::new(root);
    for id in names(&store)?.into_iter().rev() {
        let Ok(json) = read_file(&store, &path(id), MAX_RECORD_LEN) else { return Ok(Pruned::default()) };
        match serde_json::from_slice::<PruneRecord>(&json) {
            Ok(record) if record.version != VERSION => return Ok(Pruned::default()),
            Ok(record) if record.action == "prune" => return Ok(record.pruned.unwrap_or_default()),
            Ok(_) => {}
            Err(_) => return Ok(Pruned::default()),
        }
    }
    Ok(Pruned::default())
}

/// What the records say was let go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LetGo {
    /// Snapshots that were forgotten.
    pub(crate) snapshots: BTreeSet<SnapshotId>,
    /// Files that were removed: packs and indexes.
    pub(crate) files: BTreeSet<String>,
}

/// What all records of a repository say was let go. One that cannot be read says nothing.
pub(crate) fn let_go(store: &dyn Store) -> Result<LetGo, StoreError> {
    #[derive(Deserialize)]
    #[serde(tag = "action", rename_all = "lowercase")]
    enum Told {
        Forget {
            version: u64,
            removed: Vec<ToldSnapshot>,
        },
        Prune {
            version: u64,
            removed: Vec<String>,
        },
        #[serde(other)]
        Other,
    }
    #[derive(Deserialize)]
    struct ToldSnapshot {
        id: SnapshotId,
    }
    let mut let_go = LetGo::default();
    for id in names(store)? {
        let json = match read_file(store, &path(id), MAX_RECORD_LEN) {
            Err(error @ StoreError::Unavailable { .. }) => return Err(error),
            json => json.unwrap_or_default(),
        };
        match serde_json::from_slice::<Told>(&json) {
            Ok(Told::Forget { version: VERSION, removed }) => {
                let_go.snapshots.extend(removed.into_iter().map(|snapshot| snapshot.id));
            }
            Ok(Told::Prune { version: VERSION, removed }) => {
                let is_file =
                    |path: &String| PackId::of_path(path).is_some() || IndexId::of_path(path).is_some();
                let_go.files.extend(removed.into_iter().filter(is_file));
            }
            _ => {}
        }
    }
    Ok(let_go)
}

/// Writes the records of a copy that follows what its source let go. What is condemned in the copy stays so.
pub(crate) fn record_following(
    context: &Context<'_>,
    root: &Path,
    by: &str,
    repository: &Repository,
    snapshots: &[&SnapshotId],
    files: &[String],
) -> Result<String, RetentionError> {
    let mut written = String::new();
    if !snapshots.is_empty() {
        let removed = snapshots.iter().map(|id| Ok(Forgotten::of(&load_manifest(repository, id)?)));
        let removed = removed.collect::<Result<_, RetentionError>>()?;
        written = write(context, root, by, &Action::Forget { rules: None, removed })?;
    }
    if !files.is_empty() {
        let mut condemned = newest_prune(root)?.condemned;
        condemned.retain(|condemned| !files.contains(&condemned.file));
        written = record_prune(context, root, by, Pruned { condemned, removed: files.to_vec() })?;
    }
    Ok(written)
}

impl Forgotten {
    pub(super) fn of(manifest: &Manifest) -> Self {
        Self {
            id: manifest.snapshot_id.clone(),
            created_at: manifest.created_at.clone(),
            messages: ArchiveStats::from_json(&manifest.stats_json()).map(|stats| stats.messages),
            depth: manifest.db.map_chain_depth,
        }
    }
}

/// The packs that nothing needs, as the newest prune found.
pub fn condemned_packs(root: &Path) -> Result<BTreeSet<PackId>, RetentionError> {
    let pack = |condemned: &Condemned| {
        let name = condemned.file.rsplit('/').next()?.strip_suffix(".mvpack")?;
        name.parse::<PackId>().ok().filter(|pack| pack.path() == condemned.file)
    };
    Ok(newest_prune(root)?.condemned.iter().filter_map(pack).collect())
}

fn path(id: FileId) -> String {
    format!("retention/{id}.json")
}

/// The records, oldest first.
fn names(store: &dyn Store) -> Result<Vec<FileId>, StoreError> {
    let entries = match store.list("retention") {
        Err(StoreError::Missing { .. }) => Vec::new(),
        entries => entries?,
    };
    let ids = entries.iter().filter(|entry| !entry.is_folder);
    let mut ids: Vec<FileId> =
        ids.filter_map(|entry| entry.name.strip_suffix(".json")?.parse().ok()).collect();
    ids.sort_unstable();
    Ok(ids)
}
