//! The rehearsal: a restore of the database alone, for whoever wants to know that it would succeed.

use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_platform::{Dir, FileError};
use msgvault_verifier::Phase;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::Snapshot;

use super::staging::Staging;
use super::target::Target;
use super::workers::Workers;
use super::{Restore, RestoreError, database, preflight, proof, recorded, space};

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
    space::check(scratch, snapshot.manifest.database_bytes())?;
    let opened = Dir::open(scratch).and_then(|dir| Ok((dir, scratch.canonicalize()?)));
    let (dir, path) = opened.map_err(|error| FileError::new("open", scratch, error))?;
    let staging = Staging::create(context, Target::scratch(dir, path))?;
    let restore = Restore { context, repository, snapshot: &snapshot, workers: &workers, staging: &staging };
    database::stage(&restore, &plan)?;
    recorded::read(&restore)?;
    proof::prove(&restore, true)?;
    Ok(())
}
