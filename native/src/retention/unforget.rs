//! Taking a forgotten snapshot back, while everything that it needs is there.

use std::collections::HashSet;
use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{BlobId, IndexId, PackId, SnapshotId};
use msgvault_verifier::format::index::IndexEntry;
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::repository::{MAX_MANIFEST_LEN, Repository};
use msgvault_verifier::store::{DirectoryStore, read_file};
use msgvault_verifier::verify::{Depth, Scope, verify};
use serde::Serialize;

use super::RetentionError;
use super::record::{self, Action};
use super::trash::{self, trashed};
use crate::decompress::Zstd;
use crate::repo::files;
use crate::repo::lock::Lock;
use crate::repo::overlay::Overlay;
use crate::repo::publish::FileKind;
use crate::repo::sums::{self, FileSums};
use crate::repo::write_index::{all_packs, index_entry, write_index};

/// What was taken back.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UnforgetReport {
    /// The snapshots that are listed again, oldest first: the one that was asked for, and the forgotten ones that
    /// it is built upon.
    pub restored: Vec<SnapshotId>,
    /// The record of it; empty when there is none.
    pub record: String,
}

/// Takes a forgotten snapshot back, and the forgotten ones that it is built upon, under the exclusive lock.
///
/// Where a prune has taken its blobs out of the index already, and their packs are still there, they are named
/// again first.
pub fn unforget(
    context: &Context<'_>,
    root: &Path,
    wanted: &str,
    by: &str,
    lock: &Lock,
) -> Result<UnforgetReport, RetentionError> {
    let Some(newest) = select(root, wanted)? else { return Ok(UnforgetReport::default()) };
    let ids = chain(root, newest)?;
    let mut lacking = lacking(context, root, &ids)?;
    if lacking.is_some() {
        name_again(context, root, lock)?;
        lacking = self::lacking(context, root, &ids)?;
    }
    if let Some((id, reason)) = lacking {
        return Err(RetentionError::Gone { id, reason });
    }
    let record = record::write(context, root, by, &Action::Unforget { restored: ids.clone() })?;
    for id in &ids {
        lock.still_held()?;
        files::rename(context, root, &trash::path(id), &id.path())?;
    }
    let mut files = FileSums::new();
    for id in &ids {
        files.insert(id.path(), sums::of_published(root, &id.path())?);
    }
    sums::restate(context, root, [], files)?;
    Ok(UnforgetReport { restored: ids, record })
}

/// Whether a forgotten snapshot has this name, or one that begins so.
pub fn is_forgotten(root: &Path, wanted: &str) -> Result<bool, RetentionError> {
    let there = trashed(&DirectoryStore::new(root))?;
    Ok(!wanted.is_empty() && there.iter().any(|id| id.as_str().starts_with(wanted)))
}

/// The forgotten snapshot that a user means; none when it is listed, as after a run that was cut short.
fn select(root: &Path, wanted: &str) -> Result<Option<SnapshotId>, RetentionError> {
    let there = trashed(&DirectoryStore::new(root))?;
    let found: Vec<&SnapshotId> =
        there.iter().filter(|id| !wanted.is_empty() && id.as_str().starts_with(wanted)).collect();
    let wanted = wanted.to_owned();
    match found.as_slice() {
        [only] => Ok(Some((*only).clone())),
        [] if Repository::open(DirectoryStore::new(root), Zstd)?.select(&wanted).is_ok() => Ok(None),
        [] => Err(RetentionError::NotInTrash { wanted, there }),
        _ => Err(RetentionError::Ambiguous { wanted }),
    }
}

/// A forgotten snapshot and the forgotten ones that it is built upon, oldest first.
fn chain(root: &Path, newest: SnapshotId) -> Result<Vec<SnapshotId>, RetentionError> {
    let store = DirectoryStore::new(root);
    let there = trashed(&store)?;
    let mut ids = vec![newest];
    while let Some(last) = ids.last() {
        let gone = |reason: String| RetentionError::Gone { id: last.clone(), reason };
        let json = read_file(&store, &trash::path(last), MAX_MANIFEST_LEN)?;
        let manifest = Manifest::decode(last, &json).map_err(|error| gone(error.to_string()))?;
        match manifest.base() {
            Some(base) if there.contains(base) && !ids.contains(base) => ids.push(base.clone()),
            _ => break,
        }
    }
    ids.reverse();
    Ok(ids)
}

/// What keeps the snapshots from being whole if they were listed.
fn lacking(
    context: &Context<'_>,
    root: &Path,
    ids: &[SnapshotId],
) -> Result<Option<(SnapshotId, String)>, RetentionError> {
    let mut overlay = Overlay::new(root);
    for id in ids {
        let json = read_file(&DirectoryStore::new(root), &trash::path(id), MAX_MANIFEST_LEN)?;
        overlay.add(id.path(), json);
    }
    let repository = Repository::open(overlay, Zstd)?;
    for id in ids {
        let report = verify(&repository, &Scope::One(id.clone()), Depth::Quick, context.observer);
        let left = report.not_checked.first().map(|left| left.detail.clone());
        if let Some(reason) = report.problems.first().map(|problem| problem.detail.clone()).or(left) {
            return Ok(Some((id.clone(), reason)));
        }
    }
    Ok(None)
}

/// Names every blob again that lies in a pack and in no index.
fn name_again(context: &Context<'_>, root: &Path, lock: &Lock) -> Result<(), RetentionError> {
    let repository = Repository::open(DirectoryStore::new(root), Zstd)?;
    let named: HashSet<PackId> = repository.index().packs().iter().copied().collect();
    let mut entries = std::collections::BTreeMap::<BlobId, IndexEntry>::new();
    for id in all_packs(&repository)?.into_iter().filter(|id| !named.contains(id)) {
        let Ok(pack) = repository.pack(id) else { continue };
        let unknown = pack.entries().iter().filter(|entry| repository.index().position(&entry.id).is_none());
        entries.extend(unknown.map(|entry| (entry.id, index_entry(id, entry))));
    }
    if entries.is_empty() {
        return Ok(());
    }
    let (unix_ms, random) = context.ulid_parts();
    let index = IndexId::from_parts(unix_ms, random);
    lock.still_held()?;
    write_index(context, root, FileKind::Index, index, entries.len(), entries.into_values())?;
    let path = index.path();
    let sum = sums::of_published(root, &path)?;
    sums::restate(context, root, [], [(path, sum)].into())?;
    Ok(())
}
