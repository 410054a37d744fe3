//! What is asked of `restore`.

use std::path::{Path, PathBuf};

use msgvault_verifier::Memory;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::snapshot::ContentDigest;

use crate::repo::lock::LockRequest;

/// What to restore, and where to.
#[derive(Clone)]
pub struct RestoreRequest<'a> {
    /// The repository, and who locks it.
    pub lock: LockRequest<'a>,
    /// The snapshot.
    pub snapshot: &'a SnapshotId,
    /// What it has to hold; anything if none is given.
    pub expect_content: Option<ContentDigest>,
    /// The folder that becomes an archive home.
    pub target: &'a Path,
    /// Whether a target that is not empty is merged with the snapshot.
    pub overwrite: bool,
    /// Whether SQLite checks the restored database from end to end.
    pub integrity_check: bool,
    /// How many threads read and write; 0 means one per processor.
    pub jobs: usize,
    /// The limit to the memory that objects of the snapshot may take.
    pub memory: Memory,
    /// Homes and data directories that a live daemon owns.
    pub live_homes: &'a [PathBuf],
}
