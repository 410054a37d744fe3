//! Index files made anew from the footers of packs, where they are lost or damaged and no copy is at hand.
//!
//! An index says nothing that the packs do not say themselves, so nothing is lost with it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{BlobId, IndexId, PackId};
use msgvault_verifier::format::index::IndexEntry;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::StoreError;
use serde::Serialize;

use super::lock::{Lock, LockError};
use super::publish::{FileKind, PublishError, clean_staging};
use super::write_index::{all_packs, index_entry, next_index_id, write_index};
use crate::repo::sums::{self, FileSums, SumsError};

/// Why indexes cannot be rebuilt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// The lock is lost.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// An index cannot be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The sums cannot be written.
    #[error(transparent)]
    Sums(#[from] SumsError),
    /// The packs cannot be listed.
    #[error("the packs cannot be listed, so that nothing was rebuilt: {0}")]
    Listing(#[from] StoreError),
    /// The user stopped it.
    #[error("interrupted; the index files that are rebuilt so far stay")]
    Cancelled,
}

/// What was rebuilt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RebuildReport {
    /// Index files that were written.
    pub rebuilt: Vec<RebuiltIndex>,
    /// Packs that no index names and whose footers cannot be read.
    pub unreadable: Vec<UnreadablePack>,
    /// Index files that cannot be read from their medium, which were left as they are.
    pub left: Vec<String>,
}

/// An index file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RebuiltIndex {
    /// The file.
    pub file: String,
    /// Packs that it names.
    pub packs: usize,
    /// Blobs that it names.
    pub blobs: usize,
}

/// A pack that cannot be named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnreadablePack {
    /// The file.
    pub file: String,
    /// Why, in a sentence.
    pub detail: String,
}

/// Writes every lost or damaged index file anew, and one for packs that no index file names. Packs in `condemned`
/// are left out: nothing needs them, and they go soon.
///
/// `lock` is the exclusive one on the repository, which was opened under it.
pub fn rebuild_indexes(
    context: &Context<'_>,
    root: &std::path::Path,
    repository: &Repository,
    condemned: &BTreeSet<PackId>,
    lock: &Lock,
) -> Result<RebuildReport, RebuildError> {
    clean_staging(root)?;
    let mut rebuild = Rebuild {
        context: *context,
        root,
        repository,
        lock,
        named: repository.index().packs().iter().chain(condemned).copied().collect(),
        there: all_packs(repository)?,
        report: RebuildReport::default(),
        sums: FileSums::new(),
    };
    rebuild.of_manifests()?;
    rebuild.of_other_packs()?;
    sums::restate(context, root, [], rebuild.sums)?;
    Ok(rebuild.report)
}

struct Rebuild<'a> {
    context: Context<'a>,
    root: &'a std::path::Path,
    repository: &'a Repository,
    lock: &'a Lock,
    /// Packs that an index names, or that nothing needs.
    named: HashSet<PackId>,
    /// Packs that are there, by name.
    there: Vec<PackId>,
    report: RebuildReport,
    /// The sums of what was written.
    sums: FileSums,
}

impl Rebuild<'_> {
    /// Those that manifests name, under their own names and from the packs that the manifests name.
    fn of_manifests(&mut self) -> Result<(), RebuildError> {
        for lost in self.repository.lost_indexes() {
            let packs = self.unnamed(&lost.packs);
            let (entries, packs) = self.entries(&packs)?;
            if packs > 0 {
                self.publish(lost.index, &entries, packs)?;
            }
        }
        Ok(())
    }

    /// Packs that still no index names, in place of damaged files that no manifest names, or in a new one.
    fn of_other_packs(&mut self) -> Result<(), RebuildError> {
        let rebuilt: HashSet<&str> = self.report.rebuilt.iter().map(|index| &*index.file).collect();
        let (mut damaged, mut left) = (Vec::new(), Vec::new());
        for (file, _) in self.repository.damaged_indexes() {
            match IndexId::of_path(file) {
                _ if rebuilt.contains(&**file) => {}
                Some(index) if self.repository.is_broken_index(file) => damaged.push(index),
                _ => left.push(file.clone()),
            }
        }
        self.report.left = left;
        let packs = self.unnamed(&self.there);
        let (entries, packs) = self.entries(&packs)?;
        if damaged.is_empty() && packs > 0 {
            damaged.push(next_index_id(&self.context, self.repository.store()));
        }
        for index in damaged {
            self.publish(index, &entries, packs)?;
        }
        Ok(())
    }

    /// Those of some packs that are there and that no index names.
    fn unnamed(&self, packs: &[PackId]) -> Vec<PackId> {
        let is_unnamed =
            |pack: &&PackId| !self.named.contains(pack) && self.there.binary_search(pack).is_ok();
        packs.iter().filter(is_unnamed).copied().collect()
    }

    /// What the footers of packs say, and how many could be read.
    fn entries(&mut self, packs: &[PackId]) -> Result<(BTreeMap<BlobId, IndexEntry>, usize), RebuildError> {
        let (mut entries, mut read) = (BTreeMap::new(), 0);
        for id in packs {
            if self.context.observer.cancelled() {
                return Err(RebuildError::Cancelled);
            }
            match self.repository.pack(*id) {
                Ok(pack) => {
                    read += 1;
                    entries.extend(pack.entries().iter().map(|entry| (entry.id, index_entry(*id, entry))));
                }
                Err(error) => {
                    let unreadable = UnreadablePack { file: id.path(), detail: error.to_string() };
                    self.report.unreadable.push(unreadable);
                }
            }
            self.named.insert(*id);
        }
        Ok((entries, read))
    }

    fn publish(
        &mut self,
        index: IndexId,
        entries: &BTreeMap<BlobId, IndexEntry>,
        packs: usize,
    ) -> Result<(), RebuildError> {
        self.lock.still_held()?;
        // What takes the place of a file has another sum.
        sums::restate(&self.context, self.root, [index.path()], FileSums::new())?;
        let kind = FileKind::RebuiltIndex;
        write_index(&self.context, self.root, kind, index, entries.len(), entries.values().copied())?;
        let path = index.path();
        self.sums.insert(path.clone(), sums::of_published(self.root, &path)?);
        self.report.rebuilt.push(RebuiltIndex { file: path, packs, blobs: entries.len() });
        Ok(())
    }
}
