//! Restore: a snapshot becomes an archive home again.
//!
//! preflight → database → attachments → extras → proof → publish. Nothing of the target changes before the
//! preflight is through, and its old database and extras stay until the last rename of `publish`.

mod attachments;
mod blobs;
mod database;
mod error;
mod extras;
mod leftovers;
mod preflight;
mod proof;
mod publish;
mod recorded;
mod staging;
mod target;
mod undo;
mod workers;

use std::path::{Path, PathBuf};

use msgvault_platform::Dir;
use msgvault_platform::context::Context;
use msgvault_verifier::Phase;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::format::manifest::DocumentDerivatives;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::Snapshot;
use msgvault_verifier::store::DirectoryStore;
use serde::Serialize;

use crate::decompress::Zstd;
use crate::repo::lock::{self, LockRequest, Shared};

pub use error::{RestoreError, WriteError};
pub use target::TargetError;

use staging::Staging;
use workers::Workers;

/// What to restore, and where to.
#[derive(Clone, Copy)]
pub struct RestoreRequest<'a> {
    /// The repository, and who locks it.
    pub lock: LockRequest<'a>,
    /// The snapshot.
    pub snapshot: &'a SnapshotId,
    /// The folder that becomes an archive home.
    pub target: &'a Path,
    /// Whether a target that is not empty is merged with the snapshot.
    pub overwrite: bool,
    /// Whether SQLite checks the restored database from end to end.
    pub integrity_check: bool,
    /// How many threads read and write; 0 means one a CPU.
    pub jobs: usize,
    /// Homes and data directories that a live daemon owns.
    pub live_homes: &'a [PathBuf],
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Where it is now.
    pub target: PathBuf,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Distinct attachments.
    pub attachments: u64,
    /// Files that hold them; one attachment can be at several paths.
    pub attachment_files: u64,
    /// Bytes of the distinct attachments.
    pub attachment_bytes: u64,
    /// Other files.
    pub extras: u64,
    /// Whether SQLite checked the database from end to end.
    pub integrity_checked: bool,
    /// Whether the database differs from the captured one, in that its tables of packed attachments are
    /// empty: every attachment is a file of its own now.
    pub pack_tables_emptied: bool,
    /// What the snapshot says about texts derived from documents; they are not restored.
    pub disclosures: Vec<DocumentDerivatives>,
}

/// What the steps share.
struct Run<'a> {
    context: &'a Context<'a>,
    repository: &'a Repository,
    snapshot: &'a Snapshot,
    workers: &'a Workers,
    staging: &'a Staging,
}

/// Restores a snapshot.
pub fn run(context: &Context<'_>, request: &RestoreRequest<'_>) -> Result<RestoreReport, RestoreError> {
    let lock = lock::shared(context, &request.lock)?;
    if let Shared::Unlocked(reason) = &lock {
        context.observer.warn(&format!("the repository is read without a lock: {reason}"));
    }
    let repository = Repository::open(DirectoryStore::new(request.lock.root), Zstd)?;
    let workers = Workers::new(request.jobs)?;
    let place = target::examine(request)?;
    context.observer.begin(Phase::PLAN, 0);
    let snapshot = Snapshot::load(&repository, request.snapshot)?;
    let disclosures = preflight::disclosures(&repository, &snapshot)?;
    let plan = preflight::plan(context, &repository, &snapshot, &workers)?;
    place.check_extras(&snapshot.extras)?;

    let target = place.prepare(context, request)?;
    let staging = Staging::create(context, target)?;
    let run =
        Run { context, repository: &repository, snapshot: &snapshot, workers: &workers, staging: &staging };
    database::stage(&run, &plan)?;
    let written = attachments::write(&run, &plan)?;
    extras::stage(&run, &plan)?;
    let pack_tables_emptied = proof::prove(&run, request.integrity_check)?;
    publish::publish(&run)?;
    let target = staging.path().to_owned();

    if let Shared::Locked(lock) = lock
        && let Err(error) = lock.release()
    {
        // Every byte that was read was checked, so nothing is lost with the lock.
        context.observer.warn(&error.to_string());
    }
    Ok(RestoreReport {
        snapshot: request.snapshot.clone(),
        target,
        database_bytes: snapshot.manifest.database_bytes(),
        attachments: snapshot.manifest.attachments.blobs,
        attachment_files: written,
        attachment_bytes: snapshot.manifest.attachments.blob_bytes,
        extras: snapshot.extras.len() as u64,
        integrity_checked: request.integrity_check,
        pack_tables_emptied,
        disclosures,
    })
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
    let snapshot = Snapshot::load(repository, snapshot)?;
    let plan = preflight::plan(context, repository, &snapshot, &workers)?;
    let opened = Dir::open(scratch).and_then(|dir| Ok((dir, scratch.canonicalize()?)));
    let (dir, path) = opened.map_err(|error| WriteError::new("open", scratch, error))?;
    let staging = Staging::create(context, target::Target::scratch(dir, path))?;
    let run = Run { context, repository, snapshot: &snapshot, workers: &workers, staging: &staging };
    database::stage(&run, &plan)?;
    recorded::read(&run)?;
    proof::prove(&run, true)?;
    Ok(())
}

#[cfg(test)]
mod tests;
