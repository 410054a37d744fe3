//! What a snapshot changed since its parent.

use std::collections::{BTreeMap, HashMap};

use msgvault_verifier::format::id::{BlobId, SnapshotId};
use msgvault_verifier::inspect::SnapshotSummary;
use msgvault_verifier::repository::{BlobIndex, Repository};
use msgvault_verifier::snapshot::references::{self, Role};
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
    let new = Snapshot::load(repository, id, &())?;
    let Some(parent_id) = new.manifest.parent_id.clone() else { return Ok(None) };
    let old = Snapshot::load(repository, &parent_id, &())?;
    let messages = |snapshot: &Snapshot| SnapshotSummary::of(&snapshot.manifest).messages();
    let index = repository.index();
    let (before, after) = (Content::of(&old, index), Content::of(&new, index));
    Ok(Some(Changes {
        parent_id,
        messages: messages(&old).zip(messages(&new)),
        pages: (old.maps.pages.page_count, new.maps.pages.page_count),
        pages_changed: pages_changed(&old, &new),
        attachments_added: after.attachments_without(&before),
        attachments_removed: before.attachments_without(&after),
        extras_added: after.paths(&before, |_, old| old.is_none()),
        extras_removed: before.paths(&after, |_, new| new.is_none()),
        extras_changed: after.paths(&before, |blob, old| old.is_some_and(|old| old != blob)),
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

/// The attachments of a snapshot with their lengths, and its other files by path.
#[derive(Default)]
struct Content {
    attachments: HashMap<BlobId, u64>,
    extras: BTreeMap<String, BlobId>,
}

impl Content {
    fn of(snapshot: &Snapshot, index: &BlobIndex) -> Self {
        let mut content = Self::default();
        references::each_content(snapshot, index, &mut |blob, role| match role {
            Role::Attachment(size) => drop(content.attachments.insert(*blob, size)),
            Role::Extra(path, _) => drop(content.extras.insert(path.to_owned(), *blob)),
            Role::Object(_) | Role::Pages(..) | Role::Artifact(..) => {}
        });
        content
    }

    /// How many attachments the other one lacks, and their bytes.
    fn attachments_without(&self, other: &Self) -> (usize, u64) {
        let only = self.attachments.iter().filter(|(id, _)| !other.attachments.contains_key(id));
        only.fold((0, 0), |(count, bytes), (_, size)| (count + 1, bytes.saturating_add(*size)))
    }

    /// Paths of the other files for which `is_meant` says so, given the blob at the same path in the other
    /// one.
    fn paths(&self, other: &Self, is_meant: impl Fn(&BlobId, Option<&BlobId>) -> bool) -> Vec<String> {
        let meant = self.extras.iter().filter(|(path, blob)| is_meant(blob, other.extras.get(*path)));
        meant.map(|(path, _)| path.clone()).collect()
    }
}
