//! Sums beside snapshots: what `sha256sum` needs to prove a repository with nothing of ours (`docs/format.md` §13).
//!
//! ```text
//! create           sums/<snapshot>.sha256: what it added, and the sums before; then the manifest
//! forget, prune    sums/prune-<ulid>.sha256: all that stays, in the place of the sums before; then files go
//! ```
//!
//! At every moment each file that counts has the sum that is stated, and no sums name a file that this program
//! removed: sums come before the manifests that they name, and change before files go.

mod complete;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{FileId, IndexId, PackId, SnapshotId};
use msgvault_verifier::format::sums::{FileSum, Sums, SumsName};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::SnapshotError;
use msgvault_verifier::store::{DirectoryStore, StoreError, is_missing};
use msgvault_verifier::sums::{RecordedSums, sum_file};

use crate::repo::files;
use crate::repo::lock::LockError;
use crate::repo::publish::{FileKind, PublishError, publish_bytes};

pub use complete::{SumsReport, complete};

/// Files and their sums, by path.
pub(crate) type FileSums = BTreeMap<String, FileSum>;

/// Why sums were not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SumsError {
    /// The lock is lost.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A manifest cannot be read, so that nobody knows what its snapshot added.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A folder or a file cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The repository cannot be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A sums file is of no use, and what it stated is not known.
    #[error(
        "{file} is of no use ({reason}); fetch it from another copy of the repository, or remove it after a \
         `msgvault backup verify --all` that finds nothing wrong, and run again"
    )]
    Damaged {
        /// The sums file.
        file: String,
        /// Why.
        reason: String,
    },
    /// The user stopped it.
    #[error("interrupted; the sums that are written so far stay")]
    Cancelled,
}

/// The sum of a file that was just published. It is read back for it, while the system still has it in memory.
pub(crate) fn of_published(root: &Path, name: &str) -> Result<FileSum, PublishError> {
    let store = DirectoryStore::new(root);
    let failed = |reason: String| PublishError::NotReadBack { path: root.join(name), reason };
    match sum_file(&store, name, &()) {
        Ok(Some((sum, _))) => Ok(sum),
        Ok(None) => Err(failed("stopped".to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Writes the sums of what a snapshot added, before its manifest. What interrupted runs left and it can refer to is
/// stated with it. Under the exclusive lock.
pub(crate) fn state_snapshot(
    context: &Context<'_>,
    root: &Path,
    repository: &Repository,
    id: &SnapshotId,
    mut files: FileSums,
) -> Result<(), SumsError> {
    let recorded = clear_interrupted(context, root)?;
    warn_of_unreadable(context, &recorded);
    if !recorded.is_empty() {
        for path in nobodys(repository, &recorded, &files)? {
            let sum = of_published(root, &path)?;
            files.insert(path, sum);
        }
    }
    files.extend(recorded.heads);
    write(context, root, &SumsName::Snapshot(id.clone()), &Sums { files, gone: BTreeSet::new() })
}

/// Takes the place of all sums so far: without the files in `gone`, and with those in `added`. Before anything goes,
/// and under the exclusive lock. Where there are no sums, none are written.
pub(crate) fn restate(
    context: &Context<'_>,
    root: &Path,
    gone: impl IntoIterator<Item = String>,
    added: FileSums,
) -> Result<(), SumsError> {
    let recorded = clear_interrupted(context, root)?;
    warn_of_unreadable(context, &recorded);
    let gone: BTreeSet<String> = gone.into_iter().filter(|path| recorded.files.contains_key(path)).collect();
    if recorded.is_empty() || (gone.is_empty() && added.is_empty()) {
        return Ok(());
    }
    replace(context, root, recorded, gone, added)
}

/// The same, where nothing goes; and where there are no sums, these are the first.
pub(crate) fn state(context: &Context<'_>, root: &Path, added: FileSums) -> Result<(), SumsError> {
    let recorded = clear_interrupted(context, root)?;
    warn_of_unreadable(context, &recorded);
    if added.iter().all(|(path, sum)| recorded.files.get(path) == Some(sum)) {
        return Ok(());
    }
    replace(context, root, recorded, BTreeSet::new(), added)
}

/// The same for files that took the place of others: of those that have a stated sum, these are right from now on.
pub(crate) fn correct(context: &Context<'_>, root: &Path, files: FileSums) -> Result<(), SumsError> {
    let recorded = read(context, root)?;
    let is_wrong =
        |(path, sum): &(String, FileSum)| recorded.files.get(path).is_some_and(|stated| stated != sum);
    let added: FileSums = files.into_iter().filter(is_wrong).collect();
    if added.is_empty() { Ok(()) } else { replace(context, root, recorded, BTreeSet::new(), added) }
}

fn replace(
    context: &Context<'_>,
    root: &Path,
    recorded: RecordedSums,
    gone: BTreeSet<String>,
    added: FileSums,
) -> Result<(), SumsError> {
    let mut files = recorded.files;
    files.retain(|path, _| !gone.contains(path) && SumsName::of_path(path).is_none());
    files.extend(added);
    // Whoever follows the sums backwards finds each that is named until the last of those before is gone.
    let before: Vec<String> = recorded.names.iter().chain(&recorded.replaced).map(SumsName::path).collect();
    let (unix_ms, random) = context.ulid_parts();
    let name = SumsName::Restated(FileId::from_parts(unix_ms, random));
    let gone = gone.into_iter().chain(before.iter().cloned()).collect();
    write(context, root, &name, &Sums { files, gone })?;
    let (of_snapshots, restated): (Vec<String>, Vec<String>) =
        before.into_iter().rev().partition(|path| !is_restated(path));
    let in_order: Vec<String> = of_snapshots.into_iter().chain(restated).collect();
    Ok(files::remove(context, root, &in_order)?)
}

fn is_restated(path: &str) -> bool {
    matches!(SumsName::of_path(path), Some(SumsName::Restated(_)))
}

fn write(context: &Context<'_>, root: &Path, name: &SumsName, sums: &Sums) -> Result<(), SumsError> {
    Ok(publish_bytes(*context, root, FileKind::Sums, &name.path(), sums.encode().as_bytes())?)
}

/// The sums that count. One that is of no use keeps nobody from working; a verification tells of it as well.
fn read(context: &Context<'_>, root: &Path) -> Result<RecordedSums, StoreError> {
    let recorded = RecordedSums::read(&DirectoryStore::new(root))?;
    warn_of_unreadable(context, &recorded);
    Ok(recorded)
}

fn warn_of_unreadable(context: &Context<'_>, recorded: &RecordedSums) {
    for (file, error) in &recorded.unreadable {
        context.observer.warn(&format!(
            "{file} is of no use ({error}): `verify --sums` finds that too; fetch it from another copy of the repository"
        ));
    }
}

/// Removes the sums of a snapshot that never came to be, whose run ended between the sums and the manifest; returns
/// what the others say. Under the exclusive lock.
///
/// Those that these name were there when they were written, so that a manifest which they miss is lost.
pub(crate) fn clear_interrupted(context: &Context<'_>, root: &Path) -> Result<RecordedSums, SumsError> {
    let store = DirectoryStore::new(root);
    let recorded = RecordedSums::read(&store)?;
    let without_manifest = recorded.without_manifest(&store).into_iter();
    let left: Vec<String> = without_manifest.map(|id| SumsName::Snapshot(id).path()).collect();
    if left.is_empty() {
        return Ok(recorded);
    }
    for path in &left {
        context.observer.warn(&format!(
            "{path} is removed, since there is no snapshot of that name: its backup was interrupted at the very end, or \
             its manifest is lost"
        ));
    }
    files::remove(context, root, &left)?;
    Ok(RecordedSums::read(&store)?)
}

/// Packs and indexes without a sum that belong to no snapshot that is listed: interrupted runs left them, and new
/// snapshots can refer to them. What snapshots without sums added is left to `complete`, since it can be all there is.
///
/// `new` is what the run wrote itself.
fn nobodys(
    repository: &Repository,
    recorded: &RecordedSums,
    new: &FileSums,
) -> Result<Vec<String>, SumsError> {
    let mut files = unstated(repository, recorded)?;
    files.retain(|path| !new.contains_key(path));
    if files.is_empty() {
        return Ok(files);
    }
    let mut owned = BTreeSet::new();
    for id in repository.listing()?.snapshots {
        // What cannot be read owns nothing, so that its files are stated here.
        let Ok(manifest) = repository.manifest(&id) else { continue };
        owned.extend(manifest.new_packs.iter().flatten().map(|pack| pack.path()));
        owned.extend(manifest.new_index.map(IndexId::path));
    }
    files.retain(|path| !owned.contains(path));
    Ok(files)
}

/// The packs and indexes that have no sum, as the repository was when it was opened.
fn unstated(repository: &Repository, recorded: &RecordedSums) -> Result<Vec<String>, StoreError> {
    let packs = repository.index().packs().iter().map(|pack: &PackId| pack.path());
    let indexes = repository.index_files()?.into_iter().map(|(index, _)| index.path());
    let is_there = |path: &String| !is_missing(repository.store(), path);
    let unknown = packs.chain(indexes).filter(|path| !recorded.files.contains_key(path));
    Ok(unknown.filter(is_there).collect())
}
