//! Mending a repository from a copy of it: what a verification finds wrong is fetched there, and proven before it takes
//! the place of anything.
//!
//! ```text
//! verify -> files that problems name -> fetch, prove -> the bad file to trash/ -> the good one in its place -> verify
//! ```

mod live;
mod lost;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{BlobId, FileId, IndexId, PackId, SnapshotId};
use msgvault_verifier::repository::{OpenError, Repository};
use msgvault_verifier::store::{DirectoryStore, Store, StoreError, is_missing};
use msgvault_verifier::sums::{RecordedSums, sum_file};
use msgvault_verifier::verify::{ProblemCode, Report};
use serde::Serialize;

pub use live::{MendFromLiveRequest, mend_from_live};

use crate::decompress::Zstd;
use crate::repo::fetch::{FetchError, Fetched, fetch};
use crate::repo::files;
use crate::repo::lock::{Lock, LockError};
use crate::repo::publish::{PublishError, clean_staging, confirm};
use crate::repo::reindex::ReindexError;
use crate::repo::sums::{self, FileSums, SumsError};

/// Where bad files are kept.
const TRASH: &str = "trash/damaged";
/// What the sums know comes back, then a manifest can name an index, which names a pack.
const ROUNDS: usize = 5;

/// Why a repository was not mended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MendError {
    /// The lock is lost.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// One of the two cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The other one is not a copy.
    #[error(
        "{} is another repository ({found}, and this one is {expected}); give the folder of a copy of this one",
        path.display()
    )]
    Another {
        /// The folder.
        path: PathBuf,
        /// Its ID.
        found: String,
        /// The ID of the one that is to be mended.
        expected: String,
    },
    /// Nobody knows what is wrong.
    #[error("nothing was mended, since not everything could be checked: {0}")]
    NotChecked(String),
    /// The repository cannot be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The sums cannot be written.
    #[error(transparent)]
    Sums(#[from] SumsError),
    /// What the archive still has was not stored.
    #[error("nothing was replaced: {0}")]
    Store(String),
    /// A folder cannot be read.
    #[error(transparent)]
    Folder(#[from] StoreError),
    /// The user stopped it.
    #[error("interrupted; what was fetched so far is in its place, and the next run goes on")]
    Cancelled,
}

impl From<ReindexError> for MendError {
    fn from(error: ReindexError) -> Self {
        match error {
            ReindexError::Lock(error) => error.into(),
            ReindexError::Publish(error) => error.into(),
            ReindexError::Cancelled => Self::Cancelled,
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy)]
pub struct MendRequest<'a> {
    /// The repository.
    pub root: &'a Path,
    /// The copy.
    pub from: &'a Path,
    /// Verifies everything.
    pub check: &'a (dyn Fn(&Repository) -> Report + Sync),
}

/// What was fetched, and what is still wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MendReport {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Files that were fetched, or would be.
    pub fetched: Vec<String>,
    /// Where the bad ones are kept whose place they took.
    pub kept: Vec<String>,
    /// Files that were not fetched.
    pub not_fetched: Vec<NotFetched>,
    /// Blobs that were stored again from the living archive, or would be.
    pub stored_again: Vec<StoredAgain>,
    /// Lost blobs that the living archive does not have.
    pub not_stored: Vec<NotStored>,
    /// Problems that are left.
    pub problems_left: usize,
}

/// A file that was not fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotFetched {
    /// Its path.
    pub file: String,
    /// Why, in a sentence.
    pub detail: String,
}

/// A blob that was stored again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredAgain {
    /// The blob.
    pub blob: BlobId,
    /// What it is to a snapshot.
    pub what: String,
    /// The pack that it was in.
    pub file: String,
}

/// A lost blob that was not stored again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotStored {
    /// The blob.
    pub blob: BlobId,
    /// What it is to a snapshot.
    pub what: String,
    /// The pack that it was in.
    pub file: String,
    /// Why, in a sentence.
    pub detail: &'static str,
}

/// Mends the repository from a copy, under the exclusive lock; without a lock, says what would be fetched.
pub fn mend(
    context: &Context<'_>,
    request: &MendRequest<'_>,
    lock: Option<&Lock>,
) -> Result<MendReport, MendError> {
    let mut mend = Mend { context, request, report: MendReport::default(), refused: BTreeMap::new() };
    mend.report.dry_run = lock.is_none();
    if lock.is_some() {
        clean_staging(request.root)?;
    }
    for round in 0..ROUNDS {
        let (repository, from) = mend.open()?;
        if round == 0 && lock.is_some() {
            mend.clear_interrupted(&from)?;
        }
        let found = verified(context, request.check, &repository)?;
        mend.report.problems_left = found.problems.len();
        let lost = unlisted(repository.store());
        mend.report.problems_left += lost.iter().filter(|file| SnapshotId::of_path(file).is_some()).count();
        let blamed = blamed(&found);
        let Some(lock) = lock else {
            blamed.union(&lost).for_each(|file| mend.rehearse(&from, file));
            break;
        };
        // What was there last comes first: a problem can blame what it took the place of.
        if !mend.fetch_all(&repository, &from, &lost, lock)?
            && !mend.fetch_all(&repository, &from, &blamed, lock)?
        {
            break;
        }
    }
    let refused = std::mem::take(&mut mend.refused).into_iter();
    mend.report.not_fetched = refused.map(|(file, detail)| NotFetched { file, detail }).collect();
    Ok(mend.report)
}

/// Verifies everything. Nothing can be mended where nobody knows what is wrong.
fn verified(
    context: &Context<'_>,
    check: &dyn Fn(&Repository) -> Report,
    repository: &Repository,
) -> Result<Report, MendError> {
    let found = check(repository);
    if context.observer.cancelled() {
        return Err(MendError::Cancelled);
    }
    match found.not_checked.first() {
        Some(left) if found.problems.is_empty() => Err(MendError::NotChecked(left.detail.clone())),
        _ => Ok(found),
    }
}

/// Keeps a bad file under a name that nobody takes for one of the format's; returns where.
fn to_trash(context: &Context<'_>, root: &Path, file: &str) -> Result<String, PublishError> {
    let (unix_ms, random) = context.ulid_parts();
    let name = file.rsplit('/').next().unwrap_or(file);
    let kept = format!("{TRASH}/{name}.{}", FileId::from_parts(unix_ms, random));
    files::rename(context, root, file, &kept)?;
    Ok(kept)
}

/// The files that are to blame for something which was lost on the way, once each.
fn blamed(found: &Report) -> BTreeSet<String> {
    let is_lost = |code: ProblemCode| {
        !matches!(
            code,
            ProblemCode::ManifestTooNew | ProblemCode::PackEncrypted | ProblemCode::ArtifactUnknown
        )
    };
    let lost = found.problems.iter().filter(|problem| is_lost(problem.code));
    let files = lost.filter_map(|problem| problem.file.clone());
    files.filter(|file| is_of_the_format(file)).collect()
}

/// Files that are not there and that the sums name: nothing else knows of a lost manifest, nor what index was last.
fn unlisted(store: &dyn Store) -> BTreeSet<String> {
    let recorded = RecordedSums::read(store).unwrap_or_default();
    let is_lost = |path: &String| is_of_the_format(path) && is_missing(store, path);
    recorded.files.into_keys().filter(is_lost).collect()
}

fn is_of_the_format(path: &str) -> bool {
    PackId::of_path(path).is_some() || IndexId::of_path(path).is_some() || SnapshotId::of_path(path).is_some()
}

struct Mend<'a> {
    context: &'a Context<'a>,
    request: &'a MendRequest<'a>,
    report: MendReport,
    /// Files that cannot be fetched, and why.
    refused: BTreeMap<String, String>,
}

impl Mend<'_> {
    /// Both, as they are now.
    fn open(&self) -> Result<(Repository, Repository), MendError> {
        let open = |root: &Path| Repository::open(DirectoryStore::new(root), Zstd);
        let (repository, from) = (open(self.request.root)?, open(self.request.from)?);
        let (expected, found) = (&repository.config().repo_id, &from.config().repo_id);
        if expected != found {
            return Err(MendError::Another {
                path: self.request.from.to_owned(),
                found: found.to_string(),
                expected: expected.to_string(),
            });
        }
        Ok((repository, from))
    }

    fn rehearse(&mut self, from: &Repository, file: &str) {
        match from.store().open(file) {
            Ok(_) => self.report.fetched.push(file.to_owned()),
            Err(error) => _ = self.refuse(file, of_copy(&error)),
        }
    }

    /// Fetches what helps; says whether anything did.
    fn fetch_all(
        &mut self,
        repository: &Repository,
        from: &Repository,
        files: &BTreeSet<String>,
        lock: &Lock,
    ) -> Result<bool, MendError> {
        let mut has_changed = false;
        for file in files {
            has_changed |= self.fetch(repository, from, file, lock)?;
        }
        Ok(has_changed)
    }

    /// Fetches one file, unless it would not help; says whether it did.
    fn fetch(
        &mut self,
        repository: &Repository,
        from: &Repository,
        file: &str,
        lock: &Lock,
    ) -> Result<bool, MendError> {
        if self.refused.contains_key(file) || self.report.fetched.iter().any(|fetched| fetched == file) {
            return Ok(false);
        }
        let root = self.request.root;
        let fetched = match fetch(self.context, (from.store(), from.memory()), root, file, None) {
            Ok(fetched) => fetched,
            Err(FetchError::Publish(error)) => return Err(error.into()),
            Err(FetchError::Cancelled) => return Err(MendError::Cancelled),
            Err(FetchError::Source(error)) => return Ok(self.refuse(file, of_copy(&error))),
            Err(error) => return Ok(self.refuse(file, format!("in the copy, {error}"))),
        };
        let there = sum_file(repository.store(), file, self.context.observer);
        if matches!(there, Ok(Some((sum, _))) if sum == fetched.sum) {
            return Ok(
                self.refuse(file, "the copy has the same bytes, so that nothing would be gained".to_owned())
            );
        }
        if let Some(reason) = self.is_another(repository, file, &fetched) {
            return Ok(self.refuse(file, reason));
        }
        self.replace(file, fetched, &there.map(drop), lock)?;
        Ok(true)
    }

    /// Snapshots that neither repository has and only their own sums know were interrupted at the very end.
    fn clear_interrupted(&self, from: &Repository) -> Result<(), MendError> {
        let store = DirectoryStore::new(self.request.root);
        let never_came = RecordedSums::read(&store)?.without_manifest(&store);
        if never_came.iter().all(|id| is_missing(from.store(), &id.path())) {
            sums::clear_interrupted(self.context, self.request.root)?;
        }
        Ok(())
    }

    fn refuse(&mut self, file: &str, detail: String) -> bool {
        self.refused.insert(file.to_owned(), detail);
        false
    }

    /// Why a pack is not the one that the indexes mean; none when it is, or when it is not a pack.
    fn is_another(&self, repository: &Repository, file: &str, fetched: &Fetched<'_>) -> Option<String> {
        let id = PackId::of_path(file)?;
        let index = repository.index();
        let named = (0..index.len()).filter_map(|position| index.at(position));
        match fetched.lacks(self.request.root, named.filter(|location| location.pack == id)) {
            Ok(None) => None,
            Ok(Some(blob)) => {
                Some(format!("the copy's is another pack: it does not hold blob {blob} where the index says"))
            }
            Err(error) => Some(error.to_string()),
        }
    }

    /// The bad file goes to the trash, and the good one takes its place.
    fn replace(
        &mut self,
        file: &str,
        fetched: Fetched<'_>,
        there: &Result<(), StoreError>,
        lock: &Lock,
    ) -> Result<(), MendError> {
        let root = self.request.root;
        lock.still_held()?;
        if !matches!(there, Err(StoreError::Missing { .. })) {
            let kept = to_trash(self.context, root, file)?;
            self.report.kept.push(kept);
        }
        let sum = fetched.publish()?;
        let path = file.to_owned();
        confirm(root, [file].into_iter())?;
        let stated = FileSums::from([(path.clone(), sum)]);
        sums::correct(self.context, root, stated)?;
        self.report.fetched.push(path);
        Ok(())
    }
}

fn of_copy(error: &StoreError) -> String {
    match error {
        StoreError::Missing { .. } => "the copy does not have it either".to_owned(),
        error => format!("in the copy, {error}"),
    }
}
