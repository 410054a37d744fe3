//! What is needed of half-used packs, written into new ones.

use std::collections::BTreeMap;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::index::IndexEntry;
use msgvault_verifier::repository::Repository;

use super::mark::Live;
use super::plan::PackUse;
use super::{PruneError, PruneRequest, stop_if_cancelled};
use crate::phase;
use crate::repo::pack_writer::{FrameCopier, FrameCopyError};
use crate::repo::sums::FileSums;

/// What was written.
pub(super) struct Repacked {
    /// Where each blob is now.
    pub(super) moved: BTreeMap<BlobId, IndexEntry>,
    /// New packs.
    pub(super) packs: usize,
    /// Bytes of them.
    pub(super) bytes: u64,
    /// The sums of them.
    pub(super) sums: FileSums,
}

/// Copies the needed blobs of these packs, in the order in which they lie there, and says where each is now.
pub(super) fn repack(
    context: &Context<'_>,
    request: &PruneRequest<'_>,
    repository: &Repository,
    live: &Live,
    packs: &[PackUse],
) -> Result<Repacked, PruneError> {
    context.observer.begin(phase::REPACK, packs.iter().map(|pack| pack.needed).sum());
    let mut copier = FrameCopier::new(*context, request.root);
    let mut packs: Vec<&PackUse> = packs.iter().collect();
    packs.sort_by_key(|pack| pack.id);
    for PackUse { id, .. } in packs {
        let doubt = |reason: String| PruneError::Doubt { reason, too_new: false };
        let pack = repository.pack(*id).map_err(|error| doubt(format!("{}: {error}", id.path())))?;
        let mut entries: Vec<_> = pack.entries().iter().collect();
        entries.sort_by_key(|entry| entry.offset);
        for entry in entries {
            stop_if_cancelled(context)?;
            let Some(position) = repository.index().position(&entry.id) else { continue };
            let is_here = repository.index().at(position).is_some_and(|location| {
                location.pack == *id && location.check(std::slice::from_ref(entry)).is_ok()
            });
            if !is_here || !live.contains(position) {
                continue;
            }
            copier.copy(live.kind(position), &pack, entry).map_err(|error| match error {
                FrameCopyError::Frame(error) => doubt(format!("blob {} in {}: {error}", entry.id, id.path())),
                FrameCopyError::Publish(error) => error.into(),
            })?;
            context.observer.advance(entry.stored_len);
        }
    }
    let packed = copier.finish()?;
    let mut bytes = 0u64;
    for pack in &packed.packs {
        bytes = bytes.saturating_add(repository.store().open(&pack.path())?.len());
    }
    let moved = packed.blobs.entries().map(|entry| (entry.id, entry)).collect();
    Ok(Repacked { moved, packs: packed.packs.len(), bytes, sums: packed.sums })
}
