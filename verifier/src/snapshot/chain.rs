//! Maps and the chain of deltas that they are made of (`docs/format.md` §5 and §6).

use crate::length::to_u64;
use std::collections::{HashMap, HashSet};

use crate::format::id::{BlobId, SnapshotId};
use crate::format::manifest::{Database, Manifest};
use crate::format::page_hash::{self, PageHashDecoder, PageHashObject};
use crate::format::page_map::{self, MapDecoder, MapKind, PageMap};
use crate::observer::Observer;
use crate::repository::{Repository, StoredBlob};

use super::{Maps, SnapshotError, SnapshotObject, check_maps, load_manifest};

/// What the maps are, for a sentence.
const MAP: &str = "the page map";
const HASHES: &str = "the page hashes";

/// Deltas that may lie between a snapshot and its keyframe.
pub const MAX_CHAIN_DELTAS: usize = 30;

/// Loads the maps of one snapshot after another, taking what they have in common with the ones before.
///
/// Snapshots mostly follow one another, so that the last maps are the base of the next. Where chains alternate or
/// fork, the maps at which they do are kept beside them, as far as the memory for that goes.
#[derive(Debug, Default)]
pub struct ChainReader {
    /// The maps that were used last come last.
    kept: Vec<Kept>,
    /// What the manifests say that were read before.
    links: HashMap<SnapshotId, Link>,
    /// Snapshots whose maps were put together before.
    replayed: HashSet<SnapshotId>,
}

/// Maps that another snapshot may build upon.
#[derive(Debug)]
struct Kept {
    id: SnapshotId,
    maps: Maps,
    /// Whether more than one snapshot did.
    is_fork: bool,
}

/// A snapshot in a chain.
#[derive(Debug, Clone)]
struct Link {
    id: SnapshotId,
    parent: Option<SnapshotId>,
    db: Database,
}

impl Link {
    fn of(manifest: &Manifest) -> Self {
        Self { id: manifest.snapshot_id.clone(), parent: manifest.parent_id.clone(), db: manifest.db.clone() }
    }
}

impl ChainReader {
    /// The maps of a snapshot, complete and of the geometry that the manifest states.
    pub fn load(
        &mut self,
        repository: &Repository,
        manifest: &Manifest,
        observer: &dyn Observer,
    ) -> Result<Maps, SnapshotError> {
        self.load_shared(repository, manifest, observer)?;
        self.kept.pop().map(|kept| kept.maps).ok_or(SnapshotError::Logical)
    }

    /// Like `load`, and keeps the maps for the next snapshot.
    pub fn load_shared(
        &mut self,
        repository: &Repository,
        manifest: &Manifest,
        observer: &dyn Observer,
    ) -> Result<&Maps, SnapshotError> {
        let mut chain = self.chain(repository, manifest)?;
        let mut maps = self.take_base(&mut chain);
        let fork = chain.iter().skip(1).find(|link| self.replayed.contains(&link.id));
        let fork = fork.map(|link| link.id.clone());
        for link in chain.iter().rev() {
            let longer = extend(repository, observer, maps, link)?;
            if fork.as_ref() == Some(&link.id) {
                self.kept.push(Kept { id: link.id.clone(), maps: longer.clone(), is_fork: true });
            }
            self.replayed.insert(link.id.clone());
            maps = Some(longer);
        }
        let maps = maps.ok_or(SnapshotError::Logical)?;
        check_maps(manifest, &maps)?;
        self.kept.push(Kept { id: manifest.snapshot_id.clone(), maps, is_fork: false });
        self.forget(repository.memory().for_maps());
        self.kept.last().map(|kept| &kept.maps).ok_or(SnapshotError::Logical)
    }

    /// The longest part of the chain whose maps are kept; what is left of the chain goes on from there.
    fn take_base(&mut self, chain: &mut Vec<Link>) -> Option<Maps> {
        let is_kept = |link: &Link| self.kept.iter().position(|kept| kept.id == link.id);
        let (len, kept) = chain.iter().enumerate().find_map(|(len, link)| Some((len, is_kept(link)?)))?;
        chain.truncate(len);
        let base = self.kept.remove(kept);
        if !base.is_fork {
            return Some(base.maps);
        }
        let maps = base.maps.clone();
        self.kept.push(base);
        Some(maps)
    }

    /// Forgets maps until those beside the last ones have at most so many bytes: forks last, old ones first.
    fn forget(&mut self, limit: u64) {
        while let Some((_, others)) = self.kept.split_last()
            && others.iter().fold(0, |sum: u64, kept| sum.saturating_add(kept.maps.bytes())) > limit
        {
            self.kept.remove(others.iter().position(|kept| !kept.is_fork).unwrap_or(0));
        }
    }

    /// The map objects that a snapshot's chain consists of, newest first.
    pub fn objects(
        &mut self,
        repository: &Repository,
        manifest: &Manifest,
    ) -> Result<Vec<(SnapshotId, BlobId, BlobId)>, SnapshotError> {
        let chain = self.chain(repository, manifest)?;
        let objects = chain.into_iter().filter_map(|Link { id, db, .. }| {
            let (map, hashes) = (db.page_map?, db.page_hash_map?);
            Some((id, map, hashes))
        });
        Ok(objects.collect())
    }

    /// The snapshot and its ancestors down to the keyframe.
    fn chain(&mut self, repository: &Repository, manifest: &Manifest) -> Result<Vec<Link>, SnapshotError> {
        let broken = |reason: String| SnapshotError::Chain { reason };
        let mut chain: Vec<Link> = Vec::new();
        let mut next = Link::of(manifest);
        self.links.insert(next.id.clone(), next.clone());
        while next.db.map_chain_depth > 0 {
            if chain.len() >= MAX_CHAIN_DELTAS {
                return Err(broken(format!("more than {MAX_CHAIN_DELTAS} deltas without a keyframe")));
            }
            let parent = next
                .parent
                .clone()
                .ok_or_else(|| broken(format!("snapshot {} is a delta and has no parent", next.id)))?;
            chain.push(next);
            if chain.iter().any(|link| link.id == parent) {
                return Err(broken(format!("snapshot {parent} is its own ancestor")));
            }
            next = self.link(repository, &parent)?;
        }
        chain.push(next);
        Ok(chain)
    }

    fn link(&mut self, repository: &Repository, id: &SnapshotId) -> Result<Link, SnapshotError> {
        if let Some(link) = self.links.get(id) {
            return Ok(link.clone());
        }
        let link = Link::of(&load_manifest(repository, id)?);
        self.links.insert(id.clone(), link.clone());
        Ok(link)
    }
}

/// The map objects that a snapshot's chain consists of, newest first.
pub fn chain_objects(
    repository: &Repository,
    manifest: &Manifest,
) -> Result<Vec<(SnapshotId, BlobId, BlobId)>, SnapshotError> {
    ChainReader::default().objects(repository, manifest)
}

/// Loads the page map of a snapshot by itself.
pub fn load_page_map(
    repository: &Repository,
    manifest: &Manifest,
    observer: &dyn Observer,
) -> Result<(MapKind, PageMap), SnapshotError> {
    let blob = manifest.db.page_map.ok_or(SnapshotError::Logical)?;
    let object = SnapshotObject { repository, observer, what: MAP, blob };
    let stored = find_map(&object, manifest.db.page_count)?;
    object.allow(&stored, stored.raw_len())?;
    read_map(&object, &stored)
}

fn extend(
    repository: &Repository,
    observer: &dyn Observer,
    base: Option<Maps>,
    link: &Link,
) -> Result<Maps, SnapshotError> {
    let (Some(map_blob), Some(hash_blob)) = (link.db.page_map, link.db.page_hash_map) else {
        return Err(SnapshotError::Logical);
    };
    let of_map = SnapshotObject { repository, observer, what: MAP, blob: map_blob };
    let of_hashes = SnapshotObject { repository, observer, what: HASHES, blob: hash_blob };
    let pages = link.db.page_count;
    let stored_map = find_map(&of_map, pages)?;
    let stored_hashes = of_hashes.find(page_hash::max_len(pages))?;
    // Before anything is unpacked: a database of so many pages has a hash for each of them.
    let (len, least) = (stored_hashes.raw_len(), page_hash::keyframe_len(pages));
    if base.is_none() && len < least {
        let reason = format!("they have {len} bytes, and those of {pages} pages have {least}");
        return Err(SnapshotError::Map { what: HASHES, reason });
    }
    let below = base.as_ref().map_or(0, Maps::bytes);
    of_map.allow(&stored_map, stored_map.raw_len().saturating_add(len).saturating_add(below))?;
    let (kind, map) = read_map(&of_map, &stored_map)?;
    let mut decoder = PageHashDecoder::new(len);
    of_hashes.stream(&stored_hashes, &mut |piece| decoder.push(piece))?;
    let hashes = decoder.finish().map_err(|error| of_hashes.invalid(error))?;
    match (base, kind, hashes) {
        (None, MapKind::Keyframe, PageHashObject::Keyframe(hashes)) => Ok(Maps { pages: map, hashes }),
        (Some(mut maps), MapKind::Delta, PageHashObject::Delta(delta)) => {
            maps.pages = maps.pages.apply(&map).map_err(|error| of_map.invalid(error))?;
            maps.hashes.apply(&delta).map_err(|error| of_hashes.invalid(error))?;
            Ok(maps)
        }
        (base, ..) => {
            let expected = if base.is_some() { "deltas" } else { "keyframes" };
            let reason = format!("the maps of snapshot {} should be {expected}", link.id);
            Err(SnapshotError::Chain { reason })
        }
    }
}

/// Finds the map of a database of so many pages.
fn find_map<'a>(object: &SnapshotObject<'a>, pages: u64) -> Result<StoredBlob<'a>, SnapshotError> {
    object.find(page_map::max_len(pages, spare_blobs(object).saturating_add(pages)))
}

fn read_map(
    object: &SnapshotObject<'_>,
    stored: &StoredBlob<'_>,
) -> Result<(MapKind, PageMap), SnapshotError> {
    let mut decoder = MapDecoder::new(stored.raw_len(), spare_blobs(object));
    object.stream(stored, &mut |piece| decoder.push(piece))?;
    decoder.finish().map_err(|error| object.invalid(error))
}

/// How many blobs a map may name that no run points at: those that there are. Blobs that it needs count by its
/// runs, so that a map still names them when their index is lost.
fn spare_blobs(object: &SnapshotObject<'_>) -> u64 {
    to_u64(object.repository.index().len())
}
