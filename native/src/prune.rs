//! Giving back the space of what no snapshot needs.
//!
//! ```text
//! manifests -> live blobs -> packs: stay, repack, condemn -> new packs -> new indexes -> old indexes go -> record
//!   -> sweep: what was condemned long enough ago
//! ```
//!
//! Any doubt about what is needed stops it before the first change. No index entry ever outlives its pack: indexes
//! stop naming a pack first, and the pack goes in a later run, when those who may still be reading it have finished.

mod mark;
mod plan;
mod repack;
mod sweep;

use std::path::Path;

use jiff::SignedDuration;
use msgvault_platform::context::Context;
use msgvault_verifier::repository::{OpenError, Repository};
use msgvault_verifier::snapshot::SnapshotError;
use msgvault_verifier::store::StoreError;
use serde::Serialize;

use crate::phase;
use crate::repo::lock::{Lock, LockError};
use crate::repo::publish::{PublishError, clean_staging};
use crate::repo::reindex::{ReindexError, reindex};
use crate::repo::sums::SumsError;
use crate::retention::RetentionError;

pub use plan::MaxUnused;
use sweep::Changed;

/// Why nothing was pruned, or no more of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// The lock is lost.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The repository cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Something is wrong with the repository, so that nobody knows what is needed.
    #[error(
        "nothing was pruned, since the repository is not whole: {reason}; `msgvault backup verify --all --quick` tells everything"
    )]
    Doubt {
        /// The first thing that is wrong.
        reason: String,
        /// Whether a newer program would know.
        too_new: bool,
    },
    /// A snapshot cannot be read.
    #[error("nothing was pruned: {0}")]
    Snapshot(#[from] SnapshotError),
    /// A folder cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The repository cannot be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The sums cannot be written.
    #[error(transparent)]
    Sums(#[from] SumsError),
    /// The record cannot be written or read.
    #[error(transparent)]
    Record(#[from] RetentionError),
    /// The user stopped it.
    #[error("interrupted; everything that a snapshot needs is there, and the next prune goes on")]
    Cancelled,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub struct PruneRequest<'a> {
    /// The repository.
    pub root: &'a Path,
    /// Who asks, for the record: a host.
    pub by: &'a str,
    /// How much of what stays may be of no use.
    pub max_unused: MaxUnused,
    /// Bytes of packs that are written anew at most; none without a limit.
    pub max_repack: Option<u64>,
    /// How long a file must have been condemned before it goes.
    pub grace: SignedDuration,
}

/// What was pruned, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PruneReport {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Packs, and the bytes in them.
    pub packs: PackCounts,
    /// Index files before and after.
    pub indexes: IndexCounts,
    /// Forgotten snapshots that can no longer be taken back.
    pub forgotten_removed: usize,
    /// The record of it; empty when there is none.
    pub record: String,
}

/// Packs, and the bytes in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PackCounts {
    /// Packs that stay as they are.
    pub kept: usize,
    /// Packs whose needed blobs were written into new packs.
    pub repacked: usize,
    /// New packs that were written for that; of a dry run, at most so many.
    pub written: usize,
    /// Bytes in them; of a dry run, about so many.
    pub repacked_bytes: u64,
    /// Packs that wait until they may go, newly condemned ones among them.
    pub waiting: usize,
    /// Bytes in them.
    pub waiting_bytes: u64,
    /// Packs that went.
    pub removed: usize,
    /// Bytes in them.
    pub removed_bytes: u64,
    /// Bytes that no snapshot needs in packs that stay.
    pub unused_bytes: u64,
    /// Bytes of the packs that stay, new ones among them.
    pub kept_bytes: u64,
}

/// Index files before and after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct IndexCounts {
    /// Before.
    pub before: usize,
    /// After.
    pub after: usize,
}

/// Prunes, under the exclusive lock and in a repository that was opened under it; without a lock, says what would
/// be pruned.
pub fn prune(
    context: &Context<'_>,
    request: &PruneRequest<'_>,
    repository: &Repository,
    lock: Option<&Lock>,
) -> Result<PruneReport, PruneError> {
    if lock.is_some() {
        clean_staging(request.root)?;
    }
    context.observer.begin(phase::MARK, 0);
    let live = mark::mark(repository, context.observer)?;
    let plan = plan::plan(repository, &live, request)?;
    let mut old: Vec<String> = repository.index_files()?.into_iter().map(|(index, _)| index.path()).collect();
    let mut report = PruneReport { dry_run: lock.is_none(), ..PruneReport::default() };
    report.indexes = IndexCounts { before: old.len(), after: old.len() };
    plan.tell(&mut report);
    let Some(lock) = lock else {
        sweep::preview(context, request, repository, &plan, &mut report)?;
        return Ok(report);
    };
    let mut repacked = repack::repack(context, request, repository, &live, &plan.repack)?;
    report.packs.kept_bytes = report.packs.kept_bytes - report.packs.repacked_bytes + repacked.bytes;
    (report.packs.written, report.packs.repacked_bytes) = (repacked.packs, repacked.bytes);
    if plan.changes_the_index(repository, &live) {
        let written = reindex(
            context,
            request.root,
            repository,
            &|position| live.contains(position),
            &repacked.moved,
            lock,
        )?;
        report.indexes.after = written.len();
        repacked.sums.extend(written);
    } else {
        old.clear();
    }
    let changed = Changed { old_indexes: &old, sums: repacked.sums };
    sweep::sweep(context, request, repository, &plan, changed, lock, &mut report)?;
    Ok(report)
}

impl From<ReindexError> for PruneError {
    fn from(error: ReindexError) -> Self {
        match error {
            ReindexError::Lock(error) => error.into(),
            ReindexError::Publish(error) => error.into(),
            ReindexError::Cancelled => Self::Cancelled,
        }
    }
}

fn stop_if_cancelled(context: &Context<'_>) -> Result<(), PruneError> {
    if context.observer.cancelled() { Err(PruneError::Cancelled) } else { Ok(()) }
}
