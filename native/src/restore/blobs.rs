//! Reading many blobs, pack by pack and in the order in which they lie there.

use msgvault_verifier::length::{to_u64, to_usize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;

use msgvault_platform::context::SharedObserver;
use msgvault_verifier::Pack;
use msgvault_verifier::format::id::{BlobId, PackId};
use msgvault_verifier::format::pack::PackEntry;
use msgvault_verifier::format::path::RelativePath;
use msgvault_verifier::repository::{BlobError, BlobFault, BlobIndex, Repository};

use super::Restore;
use super::error::RestoreError;

/// The blobs that are wanted of one pack, each with what it is wanted for.
pub(super) struct PackWork<T> {
    pack: PackId,
    /// Positions in the repository's index.
    blobs: Vec<(u32, T)>,
}

/// Groups blobs by the pack that an index names for them.
pub(super) struct ByPack<'r, T> {
    index: &'r BlobIndex,
    packs: BTreeMap<PackId, Vec<(u32, T)>>,
    /// The first blob that no index names.
    lost: Option<BlobId>,
}

impl<'r, T> ByPack<'r, T> {
    pub(super) fn new(index: &'r BlobIndex) -> Self {
        Self { index, packs: BTreeMap::new(), lost: None }
    }

    pub(super) fn add(&mut self, blob: &BlobId, purpose: T) {
        let position = self.index.position(blob);
        let location = position.and_then(|position| self.index.at(position));
        match (position.and_then(|position| u32::try_from(position).ok()), location) {
            (Some(position), Some(location)) => {
                self.packs.entry(location.pack).or_default().push((position, purpose));
            }
            _ => self.lost = self.lost.or(Some(*blob)),
        }
    }

    /// The work by pack, in the order in which the blobs lie there. Fails when no index names one of them.
    pub(super) fn finish(self) -> Result<Vec<PackWork<T>>, RestoreError> {
        if let Some(blob) = self.lost {
            return Err(BlobError { blob, pack: None, fault: BlobFault::NotIndexed }.into());
        }
        let index = self.index;
        let offset =
            |position: u32| index.at(usize::try_from(position).ok()?).map(|location| location.offset);
        let work = self.packs.into_iter().map(|(pack, mut blobs)| {
            blobs.sort_by_key(|(position, _)| (offset(*position), *position));
            blobs.shrink_to_fit();
            PackWork { pack, blobs }
        });
        Ok(work.collect())
    }
}

/// Visits the wanted blobs of one pack, each after its footer entry was compared with the index.
pub(super) fn each_blob<T>(
    repository: &Repository,
    observer: SharedObserver<'_>,
    work: &PackWork<T>,
    mut visit: impl FnMut(&T, &Pack<'_>, &PackEntry) -> Result<(), RestoreError>,
) -> Result<(), RestoreError> {
    let mut file = None;
    for (position, purpose) in &work.blobs {
        if observer.cancelled() {
            return Err(RestoreError::Cancelled);
        }
        let position = to_usize(*position);
        let Some(location) = repository.index().at(position) else { continue };
        let failed = |fault: BlobFault| BlobError { blob: location.id, pack: Some(work.pack), fault };
        if file.is_none() {
            let opened = repository.pack(work.pack);
            file = Some(opened.map_err(|error| failed(error.into()))?);
        }
        let Some(file) = &file else { continue };
        let entry = location.check(file.find(&location.id)).map_err(failed)?;
        visit(purpose, file, entry)?;
    }
    Ok(())
}

/// Writes a blob to a new staged file.
pub(super) fn stage(
    restore: &Restore<'_>,
    name: &RelativePath,
    pack: &Pack<'_>,
    entry: &PackEntry,
) -> Result<File, RestoreError> {
    let observer = restore.context.observer;
    let mut file = restore.staging.create_file(name)?;
    stream(restore.repository, observer, pack, entry, |piece| {
        file.write_all(piece).map_err(|source| restore.staging.failed("write", name, source))?;
        observer.advance(to_u64(piece.len()));
        Ok(())
    })?;
    Ok(file)
}

/// Hands a blob to `sink`, piece by piece; the pieces are only worth something once this returns `Ok`.
pub(super) fn stream(
    repository: &Repository,
    observer: SharedObserver<'_>,
    file: &Pack<'_>,
    entry: &PackEntry,
    mut sink: impl FnMut(&[u8]) -> Result<(), RestoreError>,
) -> Result<(), RestoreError> {
    let mut failure = None;
    let streamed = file.stream(entry, &mut |piece| {
        let taken = if observer.cancelled() { Err(RestoreError::Cancelled) } else { sink(piece) };
        match taken {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    match (failure, streamed) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(()),
        (None, Err(fault)) => {
            let pack = repository.index().find(&entry.id).map(|location| location.pack);
            Err(BlobError { blob: entry.id, pack, fault: fault.into() }.into())
        }
    }
}
