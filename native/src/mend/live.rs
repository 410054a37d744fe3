//! Mending a repository from the living archive, where there is no copy: what was lost and is still there is stored
//! again, under the IDs that it had.
//!
//! ```text
//! verify -> packs that problems name -> lost blobs -> find in the archive -> new packs -> new indexes
//!   -> old indexes go -> packs of which nothing is missed go to trash/ -> verify
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{BlobId, PackId};
use msgvault_verifier::format::index::IndexEntry;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::{DirectoryStore, is_missing};
use msgvault_verifier::verify::Report;

use super::lost::{Lost, Wanted};
use super::source::{Found, FoundAt, LiveArchive};
use super::{MendError, MendReport, NotStored, StoredAgain, to_trash, verified};
use crate::home::Home;
use crate::repo::files;
use crate::repo::lock::Lock;
use crate::repo::pack_writer::{
    FrameCopier, FrameCopyError, PackKind, PackOptions, Packed, Stopped, write_packs,
};
use crate::repo::publish::clean_staging;
use crate::repo::reindex::reindex;
use crate::repo::sums;

/// What is asked for.
#[derive(Clone, Copy)]
pub struct MendFromLiveRequest<'a> {
    /// The repository.
    pub root: &'a Path,
    /// The archive.
    pub home: &'a Home,
    /// Threads that compress.
    pub jobs: usize,
    /// The compression level.
    pub level: i32,
    /// Verifies everything.
    pub check: &'a (dyn Fn(&Repository) -> Report + Sync),
}

/// Mends the repository from the archive, under the exclusive lock; without a lock, says what would be stored again.
pub fn mend_from_live(
    context: &Context<'_>,
    request: &MendFromLiveRequest<'_>,
    lock: Option<&Lock>,
) -> Result<MendReport, MendError> {
    if lock.is_some() {
        clean_staging(request.root)?;
    }
    let open = || Repository::open(DirectoryStore::new(request.root), crate::decompress::Zstd);
    let repository = open()?;
    let found = verified(context, request.check, &repository)?;
    let suspects: BTreeSet<PackId> = found.problems.iter().filter_map(|problem| problem.pack).collect();
    let lost = Lost::of(&repository, &suspects, context.observer).ok_or(MendError::Cancelled)?;
    let archive = LiveArchive::open(request.home);
    let wanted = lost.wanted.iter().map(|(id, (wanted, _))| (id, wanted));
    let sources = archive.find(wanted, context.observer).ok_or(MendError::Cancelled)?;
    let mut report = tell(&lost, &sources);
    (report.dry_run, report.problems_left) = (lock.is_none(), found.problems.len());
    let Some(lock) = lock.filter(|_| !sources.is_empty()) else { return Ok(report) };
    let spent = lost.spent_packs(&sources);
    let mut packed = vec![store(context, request, &archive, &lost, sources)?];
    packed.push(rescue(context, request, &repository, &lost, &spent)?);
    report.kept = replace(context, request.root, &repository, &packed, &spent, lock)?;
    report.problems_left = verified(context, request.check, &open()?)?.problems.len();
    Ok(report)
}

fn tell(lost: &Lost, sources: &BTreeMap<BlobId, (FoundAt, u64)>) -> MendReport {
    let mut report = MendReport::default();
    for (id, (wanted, pack)) in &lost.wanted {
        let (blob, what, file) = (*id, wanted.describe(), pack.path());
        match sources.get(id) {
            Some(_) => report.stored_again.push(StoredAgain { blob, what, file }),
            None => report.not_stored.push(NotStored { blob, what, file, detail: wanted.why_not() }),
        }
    }
    report
}

impl Wanted {
    fn why_not(&self) -> &'static str {
        match self {
            Self::Pages(..) => "the database does not have all of its pages any more",
            Self::Attachment | Self::File(_) => "the archive does not have it any more",
            Self::Object(_) => "only the repository had it; a copy of the repository may have it",
            Self::Unknown => "what needs it cannot be read, and the archive has no attachment of that hash",
        }
    }
}

impl Lost {
    /// Packs of which nothing is missed once these blobs are stored again.
    fn spent_packs(&self, found: &BTreeMap<BlobId, (FoundAt, u64)>) -> BTreeSet<PackId> {
        let mut spent: BTreeSet<PackId> = self.wanted.values().map(|(_, pack)| *pack).collect();
        for (id, (_, pack)) in &self.wanted {
            if !found.contains_key(id) {
                spent.remove(pack);
            }
        }
        spent
    }
}

/// Stores what was found.
fn store(
    context: &Context<'_>,
    request: &MendFromLiveRequest<'_>,
    archive: &LiveArchive,
    lost: &Lost,
    sources: BTreeMap<BlobId, (FoundAt, u64)>,
) -> Result<Packed, MendError> {
    let MendFromLiveRequest { root, jobs, level, .. } = *request;
    let options = PackOptions { root, jobs, level, dry_run: false, packs_per_index: usize::MAX };
    let ((), packed) = write_packs(*context, options, &|_| false, |sink| {
        for (id, (source, len)) in sources {
            let kind = match lost.wanted.get(&id) {
                Some((Wanted::Pages(..), _)) => PackKind::Pages,
                Some((Wanted::Attachment | Wanted::Unknown, _)) => PackKind::Attachments,
                _ => PackKind::Metadata,
            };
            sink.add_expected_stream(kind, Box::new(Found { archive, source }), len, id)?;
        }
        Ok::<_, Stopped>(())
    })
    .map_err(|error| MendError::Store(error.to_string()))?;
    Ok(packed)
}

/// Copies what is whole of packs that go.
fn rescue(
    context: &Context<'_>,
    request: &MendFromLiveRequest<'_>,
    repository: &Repository,
    lost: &Lost,
    spent: &BTreeSet<PackId>,
) -> Result<Packed, MendError> {
    let mut copier = FrameCopier::new(*context, request.root);
    for (position, kind) in &lost.whole {
        let Some(location) = repository.index().at(*position).filter(|at| spent.contains(&at.pack)) else {
            continue;
        };
        if context.observer.cancelled() {
            return Err(MendError::Cancelled);
        }
        let failed = |reason: String| MendError::Store(format!("{}: {reason}", location.pack.path()));
        let pack = repository.pack(location.pack).map_err(|error| failed(error.to_string()))?;
        let entry = location.check(pack.find(&location.id)).map_err(|error| failed(error.to_string()))?;
        copier.copy(kind.unwrap_or(PackKind::Metadata), &pack, entry).map_err(|error| match error {
            FrameCopyError::Publish(error) => error.into(),
            FrameCopyError::Frame(error) => failed(error.to_string()),
        })?;
    }
    Ok(copier.finish()?)
}

/// New indexes name the new packs in place of those that go; returns where these are kept.
fn replace(
    context: &Context<'_>,
    root: &Path,
    repository: &Repository,
    packed: &[Packed],
    spent: &BTreeSet<PackId>,
    lock: &Lock,
) -> Result<Vec<String>, MendError> {
    let old: Vec<String> = repository.index_files()?.into_iter().map(|(index, _)| index.path()).collect();
    let moved: BTreeMap<BlobId, IndexEntry> =
        packed.iter().flat_map(|packed| packed.blobs.entries()).map(|entry| (entry.id, entry)).collect();
    let index = repository.index();
    let stays = |position: usize| {
        index.at(position).is_some_and(|at| !spent.contains(&at.pack) || moved.contains_key(&at.id))
    };
    let mut written = reindex(context, root, repository, &stays, &moved, lock)?;
    written.extend(packed.iter().flat_map(|packed| packed.sums.clone()));
    let bad: Vec<String> = spent.iter().map(|pack| pack.path()).collect();
    lock.still_held()?;
    sums::restate(context, root, old.iter().chain(&bad).cloned(), written)?;
    files::remove(context, root, &old)?;
    let mut kept = Vec::new();
    for file in bad.iter().filter(|file| !is_missing(repository.store(), file)) {
        lock.still_held()?;
        kept.push(to_trash(context, root, file)?);
    }
    Ok(kept)
}
