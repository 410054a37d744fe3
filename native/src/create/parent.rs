//! The snapshot that a new one builds upon.

use std::collections::HashMap;
use std::mem;
use std::ops::Range;

use msgvault_platform::context::Context;
use msgvault_verifier::Observer;
use msgvault_verifier::format::attachment_list::Attachment;
use msgvault_verifier::format::id::{BlobId, SnapshotId};
use msgvault_verifier::format::manifest::{Manifest, ManifestError};
use msgvault_verifier::format::page_map::MapKind;
use msgvault_verifier::repository::{LoadError, Repository};
use msgvault_verifier::snapshot::{
    ChainReader, Maps, SnapshotError, chain_objects, check_maps, load_manifest, load_page_map,
    visit_attachments,
};

use super::known::KnownBlobs;
use super::{CreateError, CreateRequest, cache};

/// A chain of more deltas is not begun.
const MAX_DEPTH: u64 = 29;

/// The greatest snapshot that can be read, and what is needed of it.
pub(super) struct Parent {
    /// Its manifest.
    pub(super) manifest: Manifest,
    /// Its maps; none when it has no database or when they are damaged.
    pub(super) maps: Option<Maps>,
    /// Its attachments; none when the lists are damaged.
    attachments: Option<Listed>,
    /// The keyframe of the chain that a delta on it would go on with, or why the rules allow none.
    pub(super) keyframe: Result<SnapshotId, &'static str>,
}

/// Finds the parent. Damaged snapshots are warned of and passed over, since a new backup is needed all the
/// more.
pub(super) fn find(
    repository: &Repository,
    known: &KnownBlobs<'_>,
    context: &Context<'_>,
    request: &CreateRequest<'_>,
) -> Result<Option<Parent>, CreateError> {
    let observer = context.observer;
    for (path, error) in repository.damaged_indexes() {
        observer.warn(&format!("{path} is of no use: {error}; what it names is stored again"));
    }
    let listing = repository.listing().map_err(CreateError::Listing)?;
    refuse_newer(repository, &listing.snapshots)?;
    for id in listing.snapshots.iter().rev() {
        match load_manifest(repository, id) {
            Ok(manifest) => {
                observer.explain(&format!("the new snapshot builds upon {id}, the newest that can be read"));
                let parent = load(repository, known, manifest, observer, request);
                return if observer.cancelled() { Err(CreateError::Cancelled) } else { Ok(Some(parent)) };
            }
            Err(error) => observer.warn(&format!("{error}; the new snapshot does not build upon it")),
        }
    }
    observer.explain("there is no snapshot to build upon: everything is captured");
    Ok(None)
}

/// A newer program works on this repository, and this one does not know its rules, whichever snapshot is newest.
fn refuse_newer(repository: &Repository, snapshots: &[SnapshotId]) -> Result<(), CreateError> {
    for id in snapshots {
        if let Err(
            error @ SnapshotError::Load { error: LoadError::Manifest(ManifestError::TooNew { .. }), .. },
        ) = load_manifest(repository, id)
        {
            return Err(CreateError::Parent(error));
        }
    }
    Ok(())
}

fn load(
    repository: &Repository,
    known: &KnownBlobs<'_>,
    manifest: Manifest,
    observer: &dyn Observer,
    request: &CreateRequest<'_>,
) -> Parent {
    let id = &manifest.snapshot_id;
    let maps = match load_maps(repository, known, &manifest, observer, request) {
        Ok(maps) => Some(maps),
        Err(SnapshotError::Logical) => None,
        Err(error) => {
            observer.warn(&format!("snapshot {id}: {error}; all pages are captured anew"));
            distrust_maps(repository, known, &manifest);
            None
        }
    };
    let attachments = Listed::load(repository, &manifest, observer).inspect_err(|error| {
        observer.warn(&format!("snapshot {id}: {error}; all are listed anew"));
        manifest.lists().iter().for_each(|list| known.distrust(*list));
    });
    let attachments = attachments.ok();
    let keyframe = match maps {
        Some(_) => open_chain(repository, &manifest),
        None => Err("the last snapshot has no maps to compare with"),
    };
    if let Some(maps) = &maps {
        known.want_raw_lens(&maps.pages.blobs);
    }
    Parent { manifest, maps, attachments, keyframe }
}

/// Has the maps of a damaged chain stored again, should the new ones turn out to be the same.
fn distrust_maps(repository: &Repository, known: &KnownBlobs<'_>, manifest: &Manifest) {
    let chain = chain_objects(repository, manifest).unwrap_or_default();
    let maps = chain.into_iter().flat_map(|(_, map, hashes)| [map, hashes]);
    maps.chain(manifest.db.page_map).chain(manifest.db.page_hash_map).for_each(|id| known.distrust(id));
}

/// Loads the maps; the hashes come from the cache if they are proven to be the same and the repository holds
/// them too, since what builds upon them needs them there.
fn load_maps(
    repository: &Repository,
    known: &KnownBlobs<'_>,
    manifest: &Manifest,
    observer: &dyn Observer,
    request: &CreateRequest<'_>,
) -> Result<Maps, SnapshotError> {
    let cached = cache::read(&request.home.cache_dir, &repository.config().repo_id, manifest);
    if let Some(hashes) = cached
        && manifest.db.page_hash_map.is_some_and(|hashes| known.holds(&hashes))
        && let Ok((MapKind::Keyframe, pages)) = load_page_map(repository, manifest, observer)
    {
        let maps = Maps { pages, hashes };
        if check_maps(manifest, &maps).is_ok() {
            observer.explain(
                "the old page hashes come from the cache, which is proven to be the last keyframe's",
            );
            return Ok(maps);
        }
    }
    observer.explain(match manifest.db.map_chain_depth {
        0 => "the old page hashes come from the repository, since the cache does not hold them",
        _ => "the old page hashes come from the repository: the cache holds those of keyframes alone",
    });
    ChainReader::default().load(repository, manifest, observer)
}

/// The keyframe of a chain that a delta may follow, or why none may: the chain stays short, and its page-map deltas
/// together smaller than their keyframe.
fn open_chain(repository: &Repository, manifest: &Manifest) -> Result<SnapshotId, &'static str> {
    if manifest.db.map_chain_depth >= MAX_DEPTH {
        return Err("the chain of deltas is as long as it may be");
    }
    let stored_len = |id| repository.index().find(id).map_or(u64::MAX, |location| location.stored_len);
    let chain = chain_objects(repository, manifest).unwrap_or_default();
    let Some(((id, keyframe, _), deltas)) = chain.split_last() else {
        return Err("the chain of deltas cannot be followed");
    };
    let sum = deltas.iter().fold(0u64, |sum, (_, map, _)| sum.saturating_add(stored_len(map)));
    if sum > stored_len(keyframe) {
        return Err("the deltas together have become larger than their keyframe");
    }
    Ok(id.clone())
}

impl Parent {
    /// Its name.
    pub(super) fn id(&self) -> &SnapshotId {
        &self.manifest.snapshot_id
    }

    /// How many attachments its lists hold; none when they are damaged.
    pub(super) fn listed(&self) -> u64 {
        self.attachments.as_ref().map_or(0, |listed| listed.len)
    }

    /// Whether its lists hold an attachment, with this size.
    pub(super) fn lists(&self, repository: &Repository, attachment: &Attachment) -> bool {
        let listed = self.attachments.as_ref();
        listed.and_then(|listed| listed.size(repository, &attachment.id)) == Some(attachment.size)
    }

    /// The pages whose blobs the repository has lost, ascending.
    pub(super) fn lost_pages(&self, known: &KnownBlobs<'_>) -> Vec<Range<u64>> {
        let Some(maps) = &self.maps else { return Vec::new() };
        let runs = maps.pages.runs.iter();
        let lost = runs.filter(|run| maps.pages.blob(run).is_none_or(|blob| !known.holds(blob)));
        lost.map(|run| run.start_page..run.end_page()).collect()
    }
}

/// What the lists of a snapshot hold; 8 bytes per blob of the repository.
#[derive(Default)]
struct Listed {
    /// The size of every listed attachment by its position in the index, `NOT_LISTED` for other blobs.
    sizes: Vec<u64>,
    /// Those that no index names.
    elsewhere: HashMap<BlobId, u64>,
    len: u64,
}

/// No attachment has so many bytes.
const NOT_LISTED: u64 = u64::MAX;

impl Listed {
    fn load(
        repository: &Repository,
        manifest: &Manifest,
        observer: &dyn Observer,
    ) -> Result<Self, SnapshotError> {
        let mut listed = Self { sizes: vec![NOT_LISTED; repository.index().len()], ..Self::default() };
        visit_attachments(repository, manifest, observer, &mut |Attachment { id, size }| {
            listed.len += 1;
            let position = repository.index().position(&id);
            match position.and_then(|position| listed.sizes.get_mut(position)) {
                Some(slot) => mem::replace(slot, size) == NOT_LISTED,
                None => listed.elsewhere.insert(id, size).is_none(),
            }
        })?;
        Ok(listed)
    }

    fn size(&self, repository: &Repository, id: &BlobId) -> Option<u64> {
        match repository.index().position(id) {
            Some(position) => self.sizes.get(position).copied().filter(|size| *size != NOT_LISTED),
            None => self.elsewhere.get(id).copied(),
        }
    }
}
