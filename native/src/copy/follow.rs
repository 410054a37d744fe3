//! The copy lets go of what the source's records say it let go, and of nothing else.

use std::collections::BTreeSet;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{IndexId, PackId, SnapshotId};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::load_manifest;
use msgvault_verifier::store::{DirectoryStore, is_missing};
use msgvault_verifier::verify::{Depth, Scope, verify};

use super::{CopyError, CopyRequest, Removed};
use crate::decompress::Zstd;
use crate::repo::files;
use crate::repo::lock::Lock;
use crate::repo::overlay::Overlay;
use crate::repo::sums::{self, FileSums};
use crate::retention::{self, Holds, LetGo};

/// What goes from the copy.
#[derive(Default)]
struct Going {
    snapshots: BTreeSet<SnapshotId>,
    indexes: BTreeSet<String>,
    packs: BTreeSet<PackId>,
}

/// Removes from the copy what the source let go: manifests, then indexes, then packs. Everything that stays is whole
/// without it, or nothing is removed.
pub(super) fn follow(
    context: &Context<'_>,
    request: &CopyRequest<'_>,
    source: &Repository,
    lock: &Lock,
) -> Result<Removed, CopyError> {
    let target = Repository::open(DirectoryStore::new(request.to), Zstd)?;
    let mut going = Going::of(source, &target, &retention::let_go(source.store())?);
    let holds = Holds::read(request.to)?;
    going.snapshots.retain(|id| holds.reason(id).is_none());
    keep_bases(&target, &mut going.snapshots)?;
    check(context, request, &mut going)?;
    let indexes: Vec<String> = going.indexes.iter().cloned().collect();
    let packs: Vec<String> = going.packs.iter().map(|pack| pack.path()).collect();
    let mut removed = Removed {
        snapshots: going.snapshots.len(),
        indexes: indexes.len(),
        packs: packs.len(),
        ..Removed::default()
    };
    if going.snapshots.is_empty() && indexes.is_empty() && packs.is_empty() {
        return Ok(removed);
    }
    let gone: Vec<&SnapshotId> = going.snapshots.iter().collect();
    let files: Vec<String> = indexes.iter().chain(&packs).cloned().collect();
    lock.still_held()?;
    removed.record = retention::record_following(context, request.to, request.by, &target, &gone, &files)?;
    let manifests = gone.iter().map(|id| id.path());
    sums::restate(context, request.to, manifests.chain(files), FileSums::new())?;
    for id in gone.iter().rev() {
        lock.still_held()?;
        retention::to_trash(context, request.to, id)?;
    }
    for files in [&indexes, &packs] {
        lock.still_held()?;
        files::remove(context, request.to, files)?;
    }
    Ok(removed)
}

impl Going {
    /// What the source let go, has no more, and the copy still has.
    fn of(source: &Repository, target: &Repository, let_go: &LetGo) -> Self {
        let mut going = Self::default();
        let goes = |path: &str| is_missing(source.store(), path) && !is_missing(target.store(), path);
        going.snapshots.extend(let_go.snapshots.iter().filter(|id| goes(&id.path())).cloned());
        for path in let_go.files.iter().filter(|path| goes(path)) {
            if IndexId::of_path(path).is_some() {
                going.indexes.insert(path.clone());
            }
            going.packs.extend(PackId::of_path(path));
        }
        going
    }
}

/// What a snapshot that stays is built upon stays too.
fn keep_bases(target: &Repository, going: &mut BTreeSet<SnapshotId>) -> Result<(), CopyError> {
    for id in target.listing()?.snapshots.iter().rev() {
        if !going.contains(id)
            && let Some(base) = load_manifest(target, id)?.base()
        {
            going.remove(base);
        }
    }
    Ok(())
}

/// Verifies the copy as it would be. A pack that an index names which stays, stays too.
fn check(context: &Context<'_>, request: &CopyRequest<'_>, going: &mut Going) -> Result<(), CopyError> {
    let without = |going: &Going| {
        let mut overlay = Overlay::new(request.to);
        going.snapshots.iter().for_each(|id| overlay.remove(id.path()));
        going.indexes.iter().for_each(|path| overlay.remove(path.clone()));
        going.packs.iter().for_each(|pack| overlay.remove(pack.path()));
        Repository::open(overlay, Zstd)
    };
    let named: BTreeSet<PackId> = without(going)?.index().packs().iter().copied().collect();
    going.packs.retain(|pack| !named.contains(pack));
    let report = verify(&without(going)?, &Scope::All, Depth::Quick, context.observer);
    if context.observer.cancelled() {
        return Err(CopyError::Cancelled);
    }
    let problem = report.problems.first().map(|problem| problem.detail.clone());
    let left = report.not_checked.first().map(|left| left.detail.clone());
    let none = report.snapshots.is_empty().then(|| "no snapshot would be left".to_owned());
    problem.or(left).or(none).map_or(Ok(()), |reason| Err(CopyError::Needed { reason }))
}
