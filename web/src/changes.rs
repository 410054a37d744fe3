//! What a snapshot changed since its parent.

use std::collections::{HashMap, HashSet};

use msgvault_verifier::format::extras::ExtraFile;
use msgvault_verifier::format::id::{BlobId, SnapshotId};
use msgvault_verifier::inspect::SnapshotSummary;
use msgvault_verifier::repository::{BlobIndex, Repository};
use msgvault_verifier::snapshot::{Snapshot, SnapshotError};
use serde::Serialize;

/// How a snapshot differs from its parent, as the page shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Changes {
    /// The snapshot it is compared with.
    parent_id: SnapshotId,
    /// Messages before and after, where both counted them.
    messages: Option<(u64, u64)>,
    /// Pages of the database before and after.
    pages: (u64, u64),
    /// Pages that are new or different; none when the page size changed, since then all of them are.
    pages_changed: Option<usize>,
    /// Attachments that are new, and their bytes.
    attachments_added: (usize, u64),
    /// Attachments that are gone, and their bytes.
    attachments_removed: (usize, u64),
    /// Paths of extras that are new.
    extras_added: Vec<String>,
    /// Paths of extras that are gone.
    extras_removed: Vec<String>,
    /// Paths of extras whose content differs.
    extras_changed: Vec<String>,
}

/// Compares a snapshot with its parent; `None` when it has no parent.
pub(crate) fn changes(repository: &Repository, id: &SnapshotId) -> Result<Option<Changes>, SnapshotError> {
    let new = Snapshot::load(repository, id)?;
    let Some(parent_id) = new.manifest.parent_id.clone() else { return Ok(None) };
    let old = Snapshot::load(repository, &parent_id)?;
    let messages = |snapshot: &Snapshot| SnapshotSummary::of(&snapshot.manifest).messages();
    let path = |file: &ExtraFile| file.path.relative().as_str().to_owned();
    let blobs = |snapshot: &Snapshot| -> HashMap<String, BlobId> {
        snapshot.extras.iter().map(|file| (path(file), file.blob)).collect()
    };
    let (before, after) = (blobs(&old), blobs(&new));
    let only = |files: &[ExtraFile], others: &HashMap<String, BlobId>| -> Vec<String> {
        files.iter().map(path).filter(|path| !others.contains_key(path)).collect()
    };
    let is_other = |file: &&ExtraFile| before.get(&path(file)).is_some_and(|blob| *blob != file.blob);
    Ok(Some(Changes {
        parent_id,
        messages: messages(&old).zip(messages(&new)),
        pages: (old.maps.pages.page_count, new.maps.pages.page_count),
        pages_changed: pages_changed(&old, &new),
        attachments_added: attachments_only_in(repository.index(), &new, &old),
        attachments_removed: attachments_only_in(repository.index(), &old, &new),
        extras_added: only(&new.extras, &before),
        extras_removed: only(&old.extras, &after),
        extras_changed: new.extras.iter().filter(is_other).map(path).collect(),
    }))
}

fn pages_changed(old: &Snapshot, new: &Snapshot) -> Option<usize> {
    let (old, new) = (&old.maps.hashes, &new.maps.hashes);
    if old.page_size != new.page_size {
        return None;
    }
    let same = old.hashes.iter().zip(&new.hashes).filter(|(old, new)| old == new).count();
    Some(new.hashes.len() - same)
}

fn attachments_only_in(index: &BlobIndex, one: &Snapshot, other: &Snapshot) -> (usize, u64) {
    let others: HashSet<BlobId> = other.attachments.iter(index).map(|attachment| attachment.id).collect();
    let only = one.attachments.iter(index).filter(|attachment| !others.contains(&attachment.id));
    only.fold((0, 0), |(count, bytes), attachment| (count + 1, bytes.saturating_add(attachment.size)))
}
