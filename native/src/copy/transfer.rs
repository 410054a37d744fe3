//! What goes over: packs on all cores, then what names them, then what makes snapshots of them.

use std::collections::BTreeMap;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{PackId, SnapshotId};
use msgvault_verifier::format::index::IndexEntry;
use msgvault_verifier::repository::{Location, MAX_MANIFEST_LEN, Repository, read_config, tail_of};
use msgvault_verifier::store::{DirectoryStore, Store, StoreError, is_missing, read_file};
use msgvault_verifier::sums::RecordedSums;
use msgvault_verifier::verify::{Depth, Report, Scope, Verdict, verify};
use rayon::prelude::*;

use super::choose::Choice;
use super::{CopyError, CopyRequest, DamagedFile};
use crate::decompress::Zstd;
use crate::repo::fetch::{FetchError, fetch};
use crate::repo::lock::Lock;
use crate::repo::overlay::Overlay;
use crate::repo::publish::{FileKind, confirm, publish_bytes};
use crate::repo::sums::{self, FileSums};
use crate::repo::write_index::{next_index_id, write_index};

/// So many new snapshots are proven one by one; of more, all at once.
const ONE_BY_ONE: usize = 8;

/// The packs that went over.
#[derive(Default)]
pub(super) struct Copied {
    /// Their sums.
    pub(super) sums: FileSums,
    /// Bytes in them.
    pub(super) bytes: u64,
    /// Those that did not.
    pub(super) damaged: Vec<(PackId, DamagedFile)>,
}

/// Whether the packs that are there already are the source's.
pub(super) fn compare(
    source: &Repository,
    request: &CopyRequest<'_>,
    choice: &Choice,
    there: &BTreeMap<PackId, u64>,
) -> Result<(), CopyError> {
    let target = DirectoryStore::new(request.to);
    for pack in choice.packs.keys().filter(|pack| there.contains_key(pack)) {
        is_the_same(source.store(), &target, &pack.path())?;
    }
    Ok(())
}

/// Packs and indexes end in a checksum of what they name.
fn is_the_same(source: &dyn Store, target: &dyn Store, file: &str) -> Result<(), CopyError> {
    if tail_of(source, file)? == tail_of(target, file)? {
        Ok(())
    } else {
        Err(CopyError::Differs { file: file.to_owned() })
    }
}

/// Copies packs, as many at a time as there are jobs. One that is damaged stays behind.
pub(super) fn packs(
    context: &Context<'_>,
    request: &CopyRequest<'_>,
    source: &Repository,
    missing: &[(PackId, u64)],
    recorded: &RecordedSums,
) -> Result<Copied, CopyError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(request.jobs).build();
    let pool = pool.map_err(|error| CopyError::Threads(error.to_string()))?;
    let one = |(pack, _): &(PackId, u64)| {
        let path = pack.path();
        let stated = recorded.files.get(&path).copied();
        let from = (source.store(), source.memory());
        let fetched = fetch(context, from, request.to, &path, stated);
        (*pack, fetched.and_then(|fetched| Ok((fetched.len, fetched.publish()?))))
    };
    let done: Vec<_> = pool.install(|| missing.par_iter().map(one).collect());
    let mut copied = Copied::default();
    for (pack, outcome) in done {
        match outcome {
            Ok((len, sum)) => {
                copied.bytes = copied.bytes.saturating_add(len);
                copied.sums.insert(pack.path(), sum);
            }
            Err(error) => copied.damaged.push((pack, blame(&pack.path(), error)?)),
        }
    }
    confirm(request.to, copied.sums.keys().map(String::as_str))?;
    Ok(copied)
}

/// A file that stays behind; an error where the source is not to blame.
fn blame(file: &str, error: FetchError) -> Result<DamagedFile, CopyError> {
    match error {
        FetchError::Publish(error) => Err(error.into()),
        FetchError::Cancelled => Err(CopyError::Cancelled),
        // Nobody could look: that is no damage.
        FetchError::Source(error @ StoreError::Unavailable { .. }) => Err(error.into()),
        error @ (FetchError::Source(_) | FetchError::Damaged { .. }) => {
            Ok(DamagedFile { file: file.to_owned(), detail: error.to_string() })
        }
    }
}

/// Copies the index files, where all that they name is there; else writes one of what is there.
pub(super) fn indexes(
    context: &Context<'_>,
    request: &CopyRequest<'_>,
    source: &Repository,
    choice: &Choice,
    files: &mut FileSums,
) -> Result<(), CopyError> {
    let store = DirectoryStore::new(request.to);
    if choice.is_all {
        for (index, _) in source.index_files()? {
            copy_file(context, request, source, &index.path(), files)?;
        }
        return Ok(());
    }
    let target = Repository::open(store.clone(), Zstd)?;
    let is_new = |location: &Location| {
        choice.packs.contains_key(&location.pack)
            && target.index().find(&location.id).is_none_or(|there| there.pack != location.pack)
    };
    let index = source.index();
    let new: Vec<Location> = (0..index.len()).filter_map(|n| index.at(n)).filter(is_new).collect();
    if new.is_empty() {
        return Ok(());
    }
    let id = next_index_id(context, &store);
    write_index(context, request.to, FileKind::Index, id, new.len(), new.into_iter().map(IndexEntry::from))?;
    let path = id.path();
    let sum = sums::of_published(request.to, &path)?;
    files.insert(path, sum);
    Ok(())
}

/// Copies a file that is not there yet.
fn copy_file(
    context: &Context<'_>,
    request: &CopyRequest<'_>,
    source: &Repository,
    path: &str,
    files: &mut FileSums,
) -> Result<(), CopyError> {
    let target = DirectoryStore::new(request.to);
    match target.open(path) {
        Err(StoreError::Missing { .. }) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => return is_the_same(source.store(), &target, path),
    }
    let from = (source.store(), source.memory());
    let fetched = fetch(context, from, request.to, path, None).map_err(|error| match error {
        FetchError::Publish(error) => CopyError::from(error),
        FetchError::Source(error) => error.into(),
        FetchError::Cancelled => CopyError::Cancelled,
        FetchError::Damaged { .. } => CopyError::Damaged(error),
    })?;
    files.insert(path.to_owned(), fetched.publish()?);
    Ok(())
}

/// Gives the copy the source's page size.
pub(super) fn config(
    context: &Context<'_>,
    request: &CopyRequest<'_>,
    source: &Repository,
) -> Result<(), CopyError> {
    let config = read_config(&DirectoryStore::new(request.to))?;
    if config.page_size != source.config().page_size {
        let text = source.config().encode();
        publish_bytes(*context, request.to, FileKind::Config, "config.toml", text.as_bytes())?;
    }
    Ok(())
}

/// Leaves out every snapshot that would not be whole if it were listed in the copy, and returns the manifests of the
/// others that are new there.
pub(super) fn prove(
    context: &Context<'_>,
    request: &CopyRequest<'_>,
    source: &Repository,
    choice: &mut Choice,
) -> Result<BTreeMap<SnapshotId, Vec<u8>>, CopyError> {
    let store = DirectoryStore::new(request.to);
    let mut new = BTreeMap::new();
    let mut overlay = Overlay::new(request.to);
    for id in &choice.snapshots {
        if is_missing(&store, &id.path()) {
            let json = read_file(source.store(), &id.path(), MAX_MANIFEST_LEN)?;
            overlay.add(id.path(), json.clone());
            new.insert(id.clone(), json);
        }
    }
    let target = Repository::open_within(overlay, Zstd, source.memory().clone())?;
    let reports: Vec<Report> = if new.len() > ONE_BY_ONE {
        vec![verify(&target, &Scope::All, Depth::Quick, context.observer)]
    } else {
        new.keys()
            .map(|id| verify(&target, &Scope::One(id.clone()), Depth::Quick, context.observer))
            .collect()
    };
    if context.observer.cancelled() {
        return Err(CopyError::Cancelled);
    }
    for report in &reports {
        for snapshot in report.snapshots.iter().filter(|snapshot| snapshot.verdict != Verdict::Intact) {
            if new.remove(&snapshot.id).is_some() {
                let of_it = report.problems.iter().filter(|one| one.snapshot.as_ref() == Some(&snapshot.id));
                choice.damaged.extend(of_it.take(1).map(|problem| DamagedFile {
                    file: problem.file.clone().unwrap_or_else(|| snapshot.id.path()),
                    detail: problem.detail.clone(),
                }));
                choice.left_out.push(snapshot.id.clone());
            }
        }
    }
    choice.drop_descendants(&mut new)?;
    Ok(new)
}

/// Copies the sums as they are, where all that they name is there; else states what is known.
pub(super) fn sums(
    context: &Context<'_>,
    request: &CopyRequest<'_>,
    source: &Repository,
    choice: &Choice,
    recorded: &RecordedSums,
    mut files: FileSums,
) -> Result<(), CopyError> {
    if choice.is_all && choice.left_out.is_empty() && recorded.unreadable.is_empty() {
        for name in &recorded.names {
            copy_file(context, request, source, &name.path(), &mut files)?;
        }
        return Ok(());
    }
    let packs = choice.packs.keys().map(|pack| pack.path());
    for path in packs {
        if let (false, Some(sum)) = (files.contains_key(&path), recorded.files.get(&path)) {
            files.insert(path, *sum);
        }
    }
    Ok(sums::state(context, request.to, files)?)
}

/// Makes the snapshots, oldest first.
pub(super) fn manifests(
    context: &Context<'_>,
    request: &CopyRequest<'_>,
    new: &BTreeMap<SnapshotId, Vec<u8>>,
    lock: &Lock,
) -> Result<(), CopyError> {
    for (id, json) in new {
        if context.observer.cancelled() {
            return Err(CopyError::Cancelled);
        }
        lock.still_held()?;
        publish_bytes(*context, request.to, FileKind::Manifest, &id.path(), json)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_could_look_at_is_no_damage() {
        let unavailable = StoreError::Unavailable { path: "x".to_owned(), reason: "refused".to_owned() };
        assert!(matches!(blame("x", unavailable.into()), Err(CopyError::Store(_))));
        let missing = StoreError::Missing { path: "x".to_owned() };
        assert_eq!(blame("x", missing.into()).unwrap().file, "x");
    }
}
