//! Which snapshots are copied, and the packs that they need.

use std::collections::{BTreeMap, BTreeSet};

use msgvault_platform::context::Context;
use msgvault_verifier::ReadError;
use msgvault_verifier::format::id::{BlobId, PackId, SnapshotId};
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::repository::{LoadError, Repository};
use msgvault_verifier::snapshot::references::{ReferenceReader, Role};
use msgvault_verifier::snapshot::{SnapshotError, load_manifest};
use msgvault_verifier::store::StoreError;

use super::{CopyError, DamagedFile};

/// What is copied.
pub(super) struct Choice {
    /// Snapshots, oldest first; every one with those that it is built upon.
    pub(super) snapshots: Vec<SnapshotId>,
    /// Packs, and the bytes of their files.
    pub(super) packs: BTreeMap<PackId, u64>,
    /// Whether it is everything that the source's indexes name.
    pub(super) is_all: bool,
    /// Snapshots that cannot be copied.
    pub(super) left_out: Vec<SnapshotId>,
    /// What is known to be wrong with the source.
    pub(super) damaged: Vec<DamagedFile>,
}

pub(super) fn choose(
    context: &Context<'_>,
    source: &Repository,
    wanted: &[SnapshotId],
) -> Result<Choice, CopyError> {
    let is_all = wanted.is_empty();
    let mut snapshots: BTreeSet<SnapshotId> = if is_all {
        source.listing()?.snapshots.into_iter().collect()
    } else {
        wanted.iter().cloned().collect()
    };
    let mut choice = Choice {
        snapshots: Vec::new(),
        packs: BTreeMap::new(),
        is_all: is_all && source.damaged_indexes().is_empty(),
        left_out: Vec::new(),
        damaged: Vec::new(),
    };
    for (file, error) in source.damaged_indexes() {
        if let ReadError::Store(error @ StoreError::Unavailable { .. }) = error {
            return Err(error.clone().into());
        }
        choice.damaged.push(DamagedFile { file: file.clone(), detail: error.to_string() });
    }
    let mut bases = Vec::new();
    for id in &snapshots {
        choice.follow_chain(source, id, &mut bases)?;
    }
    snapshots.extend(bases);
    snapshots.retain(|id| !choice.left_out.contains(id));
    choice.snapshots = snapshots.into_iter().collect();

    let files: BTreeMap<PackId, u64> = source.pack_files()?.into_iter().collect();
    let needed = if choice.is_all {
        source.index().packs().iter().copied().collect()
    } else {
        needed_packs(context, source, &choice.snapshots)?
    };
    let mut missing = BTreeSet::new();
    for pack in needed {
        match files.get(&pack) {
            Some(len) => drop(choice.packs.insert(pack, *len)),
            None => drop(missing.insert(pack)),
        }
    }
    if !missing.is_empty() {
        for pack in &missing {
            let detail = "it is missing, and an index names it".to_owned();
            choice.damaged.push(DamagedFile { file: pack.path(), detail });
        }
        choice.leave_out(context, source, &missing)?;
    }
    Ok(choice)
}

impl Choice {
    /// Adds what a snapshot is built upon; one whose chain cannot be read is left out.
    fn follow_chain(
        &mut self,
        source: &Repository,
        id: &SnapshotId,
        bases: &mut Vec<SnapshotId>,
    ) -> Result<(), CopyError> {
        let mut next = Some(id.clone());
        let mut chain = Vec::new();
        while let Some(current) = next.take() {
            match load_manifest(source, &current) {
                Ok(manifest) => next = manifest.base().filter(|base| !chain.contains(*base)).cloned(),
                Err(SnapshotError::Load {
                    error: LoadError::Store(error @ StoreError::Unavailable { .. }),
                    ..
                }) => return Err(error.into()),
                Err(error) => {
                    let file = DamagedFile { file: current.path(), detail: error.to_string() };
                    if !self.damaged.contains(&file) {
                        self.damaged.push(file);
                    }
                    self.left_out.push(id.clone());
                    return Ok(());
                }
            }
            chain.push(current);
        }
        bases.append(&mut chain);
        Ok(())
    }

    /// Leaves out the snapshots that need a pack which cannot be copied, and those that are built upon one of them.
    pub(super) fn leave_out(
        &mut self,
        context: &Context<'_>,
        source: &Repository,
        packs: &BTreeSet<PackId>,
    ) -> Result<(), CopyError> {
        if packs.is_empty() {
            return Ok(());
        }
        self.is_all = false;
        self.packs.retain(|pack, _| !packs.contains(pack));
        let mut kept = Vec::new();
        for id in std::mem::take(&mut self.snapshots) {
            let manifest = load_manifest(source, &id)?;
            let is_lost = manifest.base().is_some_and(|base| self.left_out.contains(base));
            let is_whole = !is_lost && {
                let needed = needed_packs(context, source, std::slice::from_ref(&id));
                // What cannot even be read is not copied either.
                stop_or(needed)?.is_some_and(|needed| needed.is_disjoint(packs))
            };
            if is_whole { kept.push(id) } else { self.left_out.push(id) }
        }
        self.snapshots = kept;
        self.left_out.sort();
        Ok(())
    }

    /// Leaves out what is built upon a snapshot that is left out.
    pub(super) fn drop_descendants(
        &mut self,
        new: &mut BTreeMap<SnapshotId, Vec<u8>>,
    ) -> Result<(), CopyError> {
        for (id, json) in std::mem::take(new) {
            let manifest = Manifest::decode(&id, &json)
                .map_err(|error| SnapshotError::Load { id: id.clone(), error: error.into() })?;
            if manifest.base().is_some_and(|base| self.left_out.contains(base)) {
                self.left_out.push(id);
            } else {
                new.insert(id, json);
            }
        }
        self.left_out.sort();
        Ok(())
    }
}

fn stop_or<T>(outcome: Result<T, CopyError>) -> Result<Option<T>, CopyError> {
    match outcome {
        Err(CopyError::Cancelled) => Err(CopyError::Cancelled),
        outcome => Ok(outcome.ok()),
    }
}

/// The packs that snapshots need.
fn needed_packs(
    context: &Context<'_>,
    source: &Repository,
    snapshots: &[SnapshotId],
) -> Result<BTreeSet<PackId>, CopyError> {
    let index = source.index();
    let mut needed = BTreeSet::new();
    let mut references = ReferenceReader::default();
    let mut failed: Option<SnapshotError> = None;
    for id in snapshots {
        let manifest = load_manifest(source, id)?;
        let mut visit = |blob: &BlobId, _: Role<'_>| match index.find(blob) {
            Some(location) => {
                needed.insert(location.pack);
                true
            }
            None => false,
        };
        references.each(source, &manifest, context.observer, &mut visit, &mut |error| {
            failed = Some(error.clone());
        });
        if context.observer.cancelled() {
            return Err(CopyError::Cancelled);
        }
        if let Some(error) = failed.take() {
            return Err(error.into());
        }
    }
    Ok(needed)
}
