//! A copy of a repository on another disk: everything that goes over is proven on the way, and what is there is never
//! replaced.
//!
//! ```text
//! source: snapshots -> packs ─┐
//! target: locked ─────────────┴─ packs -> indexes -> config -> sums -> manifests -> what the source let go
//! ```
//!
//! Manifests come last and oldest first, so that a copy that was cut short lists whole snapshots only. The next run
//! goes on where it was.

mod choose;
mod follow;
mod target;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use msgvault_platform::FileError;
use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{PackId, SnapshotId};
use msgvault_verifier::format::sums::FileSum;
use msgvault_verifier::repository::{OpenError, Repository, pack_files};
use msgvault_verifier::snapshot::SnapshotError;
use msgvault_verifier::store::{DirectoryStore, StoreError, is_missing};
use msgvault_verifier::sums::RecordedSums;
use serde::Serialize;

use crate::free_space;
use crate::phase;
use crate::repo::fetch::FetchError;
use crate::repo::init::InitError;
use crate::repo::lock::{Lock, LockError};
use crate::repo::publish::{PublishError, clean_staging};
use crate::repo::sums::SumsError;
use crate::retention::RetentionError;

pub use target::prepare;

/// Why there is no copy, or no whole one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The lock is lost.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// One of the two cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no room for a copy where it should be.
    #[error(transparent)]
    Init(#[from] InitError),
    /// A copy of itself.
    #[error("{} is the repository itself; a copy belongs on another disk", path.display())]
    Same {
        /// The folder.
        path: PathBuf,
    },
    /// The target is another repository.
    #[error("{} is another repository ({found}, and this one is {expected}); give a folder that is empty or a copy of this one", path.display())]
    Another {
        /// The folder.
        path: PathBuf,
        /// Its ID.
        found: String,
        /// The source's ID.
        expected: String,
    },
    /// A file of the target has the name of one of the source's, and is not the same.
    #[error(
        "{file} in the copy differs from the repository's, and nothing is ever replaced: `msgvault backup verify --all` on both says which of the two is damaged; then `msgvault backup repair --from` mends that one"
    )]
    Differs {
        /// The file.
        file: String,
    },
    /// A manifest of the source cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// What names packs is damaged.
    #[error("{0}; `msgvault backup verify --all` tells everything that is wrong with the source")]
    Damaged(FetchError),
    /// A file or folder cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The copy has no room.
    #[error("{}{}", .0, .0.advice())]
    Space(FileError),
    /// The copy cannot be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The sums cannot be written.
    #[error(transparent)]
    Sums(#[from] SumsError),
    /// The records cannot be read or written.
    #[error(transparent)]
    Record(#[from] RetentionError),
    /// Removing what the source let go would take something that the copy needs.
    #[error("nothing was removed from the copy: {reason}")]
    Needed {
        /// What is needed.
        reason: String,
    },
    /// No threads could be started.
    #[error("the system starts no more threads: {0}")]
    Threads(String),
    /// The user stopped it.
    #[error("interrupted; the copy lists whole snapshots only, and the next run goes on where this one was")]
    Cancelled,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub struct CopyRequest<'a> {
    /// The copy.
    pub to: &'a Path,
    /// These snapshots and those that they are built upon; all if none is named.
    pub snapshots: &'a [SnapshotId],
    /// Remove from the copy what the source's records say it let go.
    pub prune: bool,
    /// Who asks, for the record: a host.
    pub by: &'a str,
    /// Packs that are copied at the same time; 0 is one a CPU.
    pub jobs: usize,
}

/// What was copied, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CopyReport {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Snapshots that the copy lists now and did not before, oldest first.
    pub snapshots: Vec<SnapshotId>,
    /// Packs that were copied.
    pub packs: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// Packs that were there already.
    pub there: usize,
    /// Files of the source that are damaged or cannot be read, and were not copied.
    pub damaged: Vec<DamagedFile>,
    /// Snapshots that were not copied, since they need such a file.
    pub left_out: Vec<SnapshotId>,
    /// What was removed from the copy.
    pub removed: Removed,
}

/// A file that was not copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedFile {
    /// Its path.
    pub file: String,
    /// What is wrong, in a sentence.
    pub detail: String,
}

/// What was removed from the copy, since the source let it go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Snapshots.
    pub snapshots: usize,
    /// Index files.
    pub indexes: usize,
    /// Packs.
    pub packs: usize,
    /// The record of it; empty when there is none.
    pub record: String,
}

/// Copies from `source` into the repository at `request.to`, under the exclusive lock on that. Without a lock, says
/// what would be copied.
pub fn copy(
    context: &Context<'_>,
    request: &CopyRequest<'_>,
    source: &Repository,
    lock: Option<&Lock>,
) -> Result<CopyReport, CopyError> {
    if lock.is_some() {
        clean_staging(request.to)?;
    }
    context.observer.begin(phase::MARK, 0);
    let mut choice = choose::choose(context, source, request.snapshots)?;
    let mut report = CopyReport { dry_run: lock.is_none(), ..CopyReport::default() };
    report.damaged.append(&mut choice.damaged);
    let target = DirectoryStore::new(request.to);
    let there: BTreeMap<PackId, u64> = pack_files(&target)?.into_iter().collect();
    let missing: Vec<(PackId, u64)> = choice
        .packs
        .iter()
        .filter(|(pack, _)| !there.contains_key(pack))
        .map(|(pack, len)| (*pack, *len))
        .collect();
    let bytes = missing.iter().fold(0u64, |sum, (_, len)| sum.saturating_add(*len));
    (report.packs, report.bytes, report.there) = (missing.len(), bytes, choice.packs.len() - missing.len());
    free_space::check("copy into", request.to, bytes).map_err(CopyError::Space)?;
    let Some(lock) = lock else {
        let snapshots = choice.snapshots.into_iter();
        report.snapshots = snapshots.filter(|id| is_missing(&target, &id.path())).collect();
        report.left_out = choice.left_out;
        return Ok(report);
    };

    transfer::compare(source, request, &choice, &there)?;
    let recorded = RecordedSums::read(source.store())?;
    context.observer.begin(phase::COPY, bytes);
    let copied = transfer::packs(context, request, source, &missing, &recorded)?;
    report.packs = copied.sums.len();
    report.bytes = copied.bytes;
    let damaged: BTreeSet<PackId> = copied.damaged.iter().map(|(pack, _)| *pack).collect();
    report.damaged.extend(copied.damaged.into_iter().map(|(_, file)| file));
    choice.leave_out(context, source, &damaged)?;

    lock.still_held()?;
    let mut sums = copied.sums;
    transfer::indexes(context, request, source, &choice, &mut sums)?;
    transfer::config(context, request, source)?;
    let new = transfer::prove(context, request, source, &mut choice)?;
    sums.extend(new.iter().map(|(id, json)| (id.path(), FileSum::of(json))));
    transfer::sums(context, request, source, &choice, &recorded, sums)?;
    transfer::manifests(context, request, &new, lock)?;
    report.snapshots = new.into_keys().collect();
    report.damaged.append(&mut choice.damaged);
    report.left_out = choice.left_out;
    if request.prune {
        report.removed = follow::follow(context, request, source, lock)?;
    }
    Ok(report)
}
