//! What could not be looked at, which is no damage.

use serde::Serialize;

use crate::format::id::{BlobId, SnapshotId};
use crate::repository::{BlobError, LoadError};
use crate::snapshot::SnapshotError;
use crate::store::StoreError;

use super::fault::Fault;

/// A file, or a blob in it, that nobody could look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NotChecked {
    /// The snapshot that needs it; none when the whole repository does.
    pub snapshot: Option<SnapshotId>,
    /// The manifest, the index file, or the pack that holds the blob.
    pub file: String,
    /// The blob; none when it is about the whole file.
    pub blob: Option<BlobId>,
    /// Why, in a sentence.
    pub detail: String,
}

impl NotChecked {
    /// A file that the store could not show; none when the error is about the file itself.
    pub(super) fn of_store(snapshot: Option<&SnapshotId>, error: &StoreError) -> Option<Self> {
        let StoreError::Unavailable { path, .. } = error else { return None };
        let (snapshot, detail) = (snapshot.cloned(), error.to_string());
        Some(Self { snapshot, file: path.clone(), blob: None, detail })
    }

    /// A manifest that `snapshot` needs and that could not be looked at; none when the manifest is to blame.
    pub(super) fn of_manifest(snapshot: &SnapshotId, error: &LoadError) -> Option<Self> {
        match error {
            LoadError::Store(error) => Self::of_store(Some(snapshot), error),
            LoadError::Manifest(_) => None,
        }
    }

    /// What kept a snapshot from being made whole; none when that is a problem of the repository.
    pub(super) fn of_error(snapshot: &SnapshotId, error: &SnapshotError) -> Option<Self> {
        match error {
            SnapshotError::Blob { error, .. } => Self::of_blob(snapshot, error),
            SnapshotError::Load { error, .. } => Self::of_manifest(snapshot, error),
            _ => None,
        }
    }

    /// A blob that `snapshot` needs and that could not be looked at; none when blob or pack are to blame.
    pub(super) fn of_blob(snapshot: &SnapshotId, error: &BlobError) -> Option<Self> {
        let Fault::NotChecked(detail) = Fault::of(&error.fault) else { return None };
        let (snapshot, file) = (Some(snapshot.clone()), error.pack?.path());
        Some(Self { snapshot, file, blob: Some(error.blob), detail })
    }
}
