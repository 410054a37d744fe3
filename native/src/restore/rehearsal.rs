//! The rehearsal: a restore of the database alone, for whoever wants to know that it would succeed.

use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_platform::{Dir, FileError};
use msgvault_verifier::Phase;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::{Snapshot, load_manifest};

use crate::free_space;

use super::staging::Staging;
use super::target::Target;
use super::workers::Workers;
use super::{Restore, RestoreError, database, preflight, proof, recorded, space};

/// Checks that the largest database of these snapshots has room in scratch space; those that cannot be read are
/// left to who verifies them.
pub fn check_scratch_space(
    repository: &Repository,
    snapshots: &[SnapshotId],
    scratch: &Path,
) -> Result<(), FileError> {
    let manifests = snapshots.iter().filter_map(|id| load_manifest(repository, id).ok());
    let needed = manifests.map(|manifest| manifest.database_bytes()).max().unwrap_or(0);
    free_space::check(space::ACTION, scratch, needed)
}

/// Writes a snapshot's database into an empty scratch folder, proves it as a restore does, and removes it.
pub fn rehearse(
    context: &Context<'_>,
    repository: &Repository,
    snapshot: &SnapshotId,
    scratch: &Path,
    jobs: usize,
) -> Result<(), RestoreError> {
    let workers = Workers::new(jobs)?;
    context.observer.begin(Phase::PLAN, 0);
    let snapshot = Snapshot::load(repository, snapshot, context.observer)?;
    let plan = preflight::plan(context, repository, &snapshot, &workers)?;
    free_space::check(space::ACTION, scratch, snapshot.manifest.database_bytes())?;
    let opened = Dir::open(scratch).and_then(|dir| Ok((dir, scratch.canonicalize()?)));
    let (dir, path) = opened.map_err(|error| FileError::new("open", scratch, error))?;
    let staging = Staging::create(context, Target::scratch(dir, path))?;
    let restore = Restore { context, repository, snapshot: &snapshot, workers: &workers, staging: &staging };
    database::stage(&restore, &plan)?;
    recorded::read(&restore)?;
    proof::prove(&restore, true)?;
    Ok(())
}
