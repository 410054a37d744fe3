//! Sums for what has none yet: snapshots from before there were sums, and those of other programs.

use std::collections::BTreeSet;
use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{IndexId, SnapshotId};
use msgvault_verifier::format::sums::{FileSum, Sums, SumsName};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::load_manifest;
use msgvault_verifier::store::StoreError;
use msgvault_verifier::sums::sum_file;
use msgvault_verifier::{Observer, Phase};
use serde::Serialize;

use super::{FileSums, SumsError, clear_interrupted, restate, unstated, write};
use crate::repo::lock::Lock;

/// What was stated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SumsReport {
    /// Snapshots that have sums now and had none.
    pub snapshots: Vec<SnapshotId>,
    /// Files that were read for it.
    pub files: usize,
    /// Bytes in them.
    pub bytes: u64,
}

/// Writes what is missing: the sums of snapshots, oldest first, and then of files that no snapshot added.
///
/// `lock` is the exclusive one on the repository, which was opened under it. Files are stated as they are now: whoever
/// wants to be sure that they are right verifies first.
pub fn complete(
    context: &Context<'_>,
    root: &Path,
    repository: &Repository,
    lock: &Lock,
) -> Result<SumsReport, SumsError> {
    let recorded = clear_interrupted(context, root)?;
    if let Some((file, error)) = recorded.unreadable.first() {
        return Err(SumsError::Damaged { file: file.clone(), reason: error.to_string() });
    }
    let mut heads = recorded.heads.clone();
    let mut unstated: BTreeSet<String> = unstated(repository, &recorded)?.into_iter().collect();
    let mut work = Work { context, repository, report: SumsReport::default() };
    work.begin(&unstated)?;
    for id in repository.listing()?.snapshots {
        if recorded.files.contains_key(&id.path()) {
            continue;
        }
        let manifest = load_manifest(repository, &id)?;
        let packs = manifest.new_packs.iter().flatten().map(|pack| pack.path());
        let added = packs.chain(manifest.new_index.map(IndexId::path)).filter(|path| unstated.remove(path));
        let added: Vec<String> = added.chain([id.path()]).collect();
        let mut files = work.sums_of(&added)?;
        // Each names the one before, so that none can be lost unnoticed.
        files.append(&mut heads);
        let name = SumsName::Snapshot(id.clone());
        let sums = Sums { files, gone: BTreeSet::new() };
        heads.insert(name.path(), FileSum::of(sums.encode().as_bytes()));
        lock.still_held()?;
        write(context, root, &name, &sums)?;
        work.report.snapshots.push(id);
    }
    let left: Vec<String> = unstated.into_iter().collect();
    if !left.is_empty() {
        let files = work.sums_of(&left)?;
        lock.still_held()?;
        restate(context, root, [], files)?;
    }
    Ok(work.report)
}

struct Work<'a> {
    context: &'a Context<'a>,
    repository: &'a Repository,
    report: SumsReport,
}

impl Work<'_> {
    fn begin(&self, files: &BTreeSet<String>) -> Result<(), StoreError> {
        let mut bytes = 0u64;
        for path in files {
            bytes = bytes.saturating_add(self.repository.store().open(path)?.len());
        }
        self.context.observer.begin(Phase::CHECK, bytes);
        Ok(())
    }

    fn sums_of(&mut self, paths: &[String]) -> Result<FileSums, SumsError> {
        let mut files = FileSums::new();
        let observer: &dyn Observer = self.context.observer;
        for path in paths {
            let read = sum_file(self.repository.store(), path, observer)?;
            let (sum, len) = read.ok_or(SumsError::Cancelled)?;
            files.insert(path.clone(), sum);
            self.report.files += 1;
            self.report.bytes = self.report.bytes.saturating_add(len);
        }
        Ok(files)
    }
}
