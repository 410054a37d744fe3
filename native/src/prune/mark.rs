//! What the snapshots need, when there is no doubt about it.

use msgvault_verifier::Observer;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::repository::{BlobSet, Repository};
use msgvault_verifier::snapshot::SnapshotError;
use msgvault_verifier::snapshot::load_manifest;
use msgvault_verifier::snapshot::references::{ReferenceReader, Role};
use msgvault_verifier::store::is_missing;
use msgvault_verifier::sums::RecordedSums;
use msgvault_verifier::verify::{Depth, Scope, verify};

use super::PruneError;
use crate::repo::pack_writer::PackKind;

/// The blobs that a snapshot needs, by position in the index.
pub(super) struct Live {
    blobs: BlobSet,
    pages: BlobSet,
    metadata: BlobSet,
}

impl Live {
    pub(super) fn contains(&self, position: usize) -> bool {
        self.blobs.contains(position)
    }

    /// The packs that it belongs to.
    pub(super) fn kind(&self, position: usize) -> PackKind {
        if self.pages.contains(position) {
            PackKind::Pages
        } else if self.metadata.contains(position) {
            PackKind::Metadata
        } else {
            PackKind::Attachments
        }
    }
}

/// Finds what is needed. Everything is verified quickly first: an unreadable manifest, a pack that is missing, an
/// index that is damaged can hide what is needed.
pub(super) fn mark(repository: &Repository, observer: &dyn Observer) -> Result<Live, PruneError> {
    let report = verify(repository, &Scope::All, Depth::Quick, observer);
    if observer.cancelled() {
        return Err(PruneError::Cancelled);
    }
    let too_new = report.needs_newer_program();
    let problem = report.problems.first().map(|problem| problem.detail.clone());
    let left =
        report.not_checked.first().map(|left| format!("{} was not checked: {}", left.file, left.detail));
    if let Some(reason) = problem.or(left) {
        return Err(PruneError::Doubt { reason, too_new });
    }
    if let Some(reason) = hidden_snapshot(repository)? {
        return Err(PruneError::Doubt { reason, too_new: false });
    }
    let index = repository.index();
    let mut live =
        Live { blobs: BlobSet::new(index), pages: BlobSet::new(index), metadata: BlobSet::new(index) };
    let mut references = ReferenceReader::default();
    let mut failed: Option<SnapshotError> = None;
    let mut unknown = None;
    for id in &repository.listing()?.snapshots {
        let manifest = load_manifest(repository, id)?;
        let mut visit = |blob: &_, role: Role<'_>| {
            let Some(position) = index.position(blob) else {
                unknown = Some(*blob);
                return false;
            };
            live.blobs.insert(position);
            match PackKind::of(&role) {
                PackKind::Pages => live.pages.insert(position),
                PackKind::Metadata => live.metadata.insert(position),
                PackKind::Attachments => false,
            };
            true
        };
        references
            .each(repository, &manifest, observer, &mut visit, &mut |error| failed = Some(error.clone()));
        if observer.cancelled() {
            return Err(PruneError::Cancelled);
        }
    }
    match (failed, unknown) {
        (Some(error), _) => Err(error.into()),
        (None, Some(blob)) => {
            let reason = format!("no index names blob {blob}");
            Err(PruneError::Doubt { reason, too_new: false })
        }
        (None, None) => Ok(live),
    }
}

/// Why there may be a snapshot that is not listed, so that what it needs looks like nobody's.
fn hidden_snapshot(repository: &Repository) -> Result<Option<String>, PruneError> {
    if let Some((path, id)) = repository.misnamed_snapshots()?.first() {
        return Ok(Some(format!(
            "{path} is the manifest of snapshot {id}; rename it to {} to have the snapshot back, or move it away",
            id.path()
        )));
    }
    let store = repository.store();
    let recorded = RecordedSums::read(store)?;
    let never_came = recorded.without_manifest(store);
    let is_lost = |path: &&String| match SnapshotId::of_path(path) {
        Some(id) => !never_came.contains(&id) && is_missing(store, path),
        None => false,
    };
    Ok(recorded.files.keys().find(is_lost).map(|path| {
        format!(
            "the sums name {path}, which is not there; `msgvault backup repair --from DIR` fetches it from a copy of \
             the repository; if it is lost for good, remove the folder sums/ and run `msgvault backup sums`"
        )
    }))
}
