//! Maps and the chain of deltas that they are made of (`docs/format.md` §5 and §6).

use crate::length::to_u64;
use std::collections::HashMap;

use crate::format::id::{BlobId, SnapshotId};
use crate::format::manifest::{Database, Manifest};
use crate::format::page_hash::{self, PageHashObject};
use crate::format::page_map::{self, MapKind};
use crate::repository::Repository;

use super::{Maps, SnapshotError, check_maps, load_manifest, object};

/// Deltas that may lie between a snapshot and its keyframe.
pub const MAX_CHAIN_DELTAS: usize = 30;

/// Loads the maps of one snapshot after another, taking what the last one has in common with the next.
#[derive(Debug, Default)]
pub struct ChainReader {
    last: Option<(SnapshotId, Maps)>,
    /// What the manifests say that were read before.
    links: HashMap<SnapshotId, Link>,
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
    pub fn load(&mut self, repository: &Repository, manifest: &Manifest) -> Result<Maps, SnapshotError> {
        self.load_shared(repository, manifest)?;
        self.last.take().map(|(_, maps)| maps).ok_or(SnapshotError::Logical)
    }

    /// Like `load`, and keeps the maps for the next snapshot.
    pub fn load_shared(
        &mut self,
        repository: &Repository,
        manifest: &Manifest,
    ) -> Result<&Maps, SnapshotError> {
        let mut chain = self.chain(repository, manifest)?;
        let mut maps = None;
        if let Some((last, base)) = self.last.take()
            && let Some(position) = chain.iter().position(|link| link.id == last)
        {
            chain.truncate(position);
            maps = Some(base);
        }
        for link in chain.iter().rev() {
            maps = Some(extend(repository, maps, link)?);
        }
        let maps = maps.ok_or(SnapshotError::Logical)?;
        check_maps(manifest, &maps)?;
        Ok(&self.last.insert((manifest.snapshot_id.clone(), maps)).1)
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

fn extend(repository: &Repository, base: Option<Maps>, link: &Link) -> Result<Maps, SnapshotError> {
    let (Some(map_blob), Some(hash_blob)) = (link.db.page_map, link.db.page_hash_map) else {
        return Err(SnapshotError::Logical);
    };
    let pages = link.db.page_count;
    let blobs = to_u64(repository.index().len());
    let map_len = page_map::max_len(pages, blobs.saturating_add(pages));
    let hash_len = page_hash::max_len(pages);
    let (kind, map) = object(repository, "the page map", map_blob, map_len, page_map::decode)?;
    let hashes = object(repository, "the page hashes", hash_blob, hash_len, page_hash::decode)?;
    let of_map = |error| SnapshotError::Object { what: "the page map", blob: map_blob, error };
    let of_hashes = |error| SnapshotError::Object { what: "the page hashes", blob: hash_blob, error };
    match (base, kind, hashes) {
        (None, MapKind::Keyframe, PageHashObject::Keyframe(hashes)) => Ok(Maps { pages: map, hashes }),
        (Some(mut maps), MapKind::Delta, PageHashObject::Delta(delta)) => {
            maps.pages = maps.pages.apply(&map).map_err(of_map)?;
            maps.hashes.apply(&delta).map_err(of_hashes)?;
            Ok(maps)
        }
        (base, ..) => {
            let expected = if base.is_some() { "deltas" } else { "keyframes" };
            let reason = format!("the maps of snapshot {} should be {expected}", link.id);
            Err(SnapshotError::Chain { reason })
        }
    }
}
