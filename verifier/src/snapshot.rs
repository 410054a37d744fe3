//! One snapshot made whole: maps, attachments and extras.

use std::collections::HashSet;

use crate::decompress::Decompressor;
use crate::format::DecodeError;
use crate::format::attachment_list::{self, Attachment};
use crate::format::extras::{self, ExtraFile};
use crate::format::id::{BlobId, SnapshotId};
use crate::format::manifest::Manifest;
use crate::format::page_hash::{self, PageHashObject, PageHashes};
use crate::format::page_map::{self, MapKind, PageMap};
use crate::format::page_size::PageSize;
use crate::repository::{BlobError, LoadError, Repository};
use crate::store::Store;

/// Deltas that may lie between a snapshot and its keyframe.
pub const MAX_CHAIN_DELTAS: usize = 30;
/// The largest map, list or tree, in bytes.
const MAX_OBJECT_LEN: u64 = 1 << 32;

/// Both maps of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maps {
    /// Which blob holds every page.
    pub pages: PageMap,
    /// What every page hashes to.
    pub hashes: PageHashes,
}

/// A snapshot's content, loaded and checked against its manifest.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The manifest.
    pub manifest: Manifest,
    /// The maps of the database.
    pub maps: Maps,
    /// Attachments in first-seen order.
    pub attachments: Vec<Attachment>,
    /// Other files.
    pub extras: Vec<ExtraFile>,
}

/// Why a snapshot cannot be made whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// A manifest of the snapshot or of its chain cannot be loaded.
    #[error("snapshot {id}: {error}")]
    Load {
        /// Whose manifest.
        id: SnapshotId,
        /// Why.
        error: LoadError,
    },
    /// It holds no database pages, only portable metadata.
    #[error(
        "the snapshot holds a portable logical metadata blob instead of a database; this program verifies it and cannot restore it"
    )]
    Logical,
    /// The chain to the keyframe is broken.
    #[error("the chain of page maps is broken: {reason}")]
    Chain {
        /// How.
        reason: String,
    },
    /// A blob that the snapshot is described by cannot be had.
    #[error("{what}: {error}")]
    Blob {
        /// What the blob is.
        what: &'static str,
        /// Why.
        error: BlobError,
    },
    /// A blob that the snapshot is described by is not what it should be.
    #[error("{what} in blob {blob}: {error}")]
    Object {
        /// What the blob is.
        what: &'static str,
        /// Which blob.
        blob: BlobId,
        /// Why.
        error: DecodeError,
    },
    /// Maps, lists or manifest do not fit together.
    #[error("{what}: {reason}")]
    Mismatch {
        /// What does not fit.
        what: &'static str,
        /// How.
        reason: String,
    },
}

impl Snapshot {
    /// Loads everything that describes a snapshot with a database.
    pub fn load<S: Store, D: Decompressor>(
        repository: &Repository<S, D>,
        id: &SnapshotId,
    ) -> Result<Self, SnapshotError> {
        let manifest = load_manifest(repository, id)?;
        let maps = ChainReader::default().load(repository, &manifest)?;
        let attachments = load_attachments(repository, &manifest)?;
        let extras = load_extras(repository, &manifest)?;
        Ok(Self { manifest, maps, attachments, extras })
    }
}

/// Loads the maps of one snapshot after another, taking what the last one has in common with the next.
#[derive(Debug, Default)]
pub struct ChainReader {
    last: Option<(SnapshotId, Maps)>,
}

impl ChainReader {
    /// The maps of a snapshot, complete and of the geometry that the manifest states.
    pub fn load<S: Store, D: Decompressor>(
        &mut self,
        repository: &Repository<S, D>,
        manifest: &Manifest,
    ) -> Result<Maps, SnapshotError> {
        self.load_shared(repository, manifest)?;
        self.last.take().map(|(_, maps)| maps).ok_or(SnapshotError::Logical)
    }

    /// Like `load`, and keeps the maps for the next snapshot.
    pub fn load_shared<S: Store, D: Decompressor>(
        &mut self,
        repository: &Repository<S, D>,
        manifest: &Manifest,
    ) -> Result<&Maps, SnapshotError> {
        let (base, deltas) = self.chain(repository, manifest)?;
        let mut maps = base;
        for manifest in deltas.into_iter().rev() {
            maps = Some(extend(repository, maps, &manifest)?);
        }
        let maps = maps.ok_or(SnapshotError::Logical)?;
        check_maps(manifest, &maps)?;
        Ok(&self.last.insert((manifest.snapshot_id.clone(), maps)).1)
    }

    /// The manifests to apply, newest first, and the maps that they are applied to.
    fn chain<S: Store, D: Decompressor>(
        &mut self,
        repository: &Repository<S, D>,
        manifest: &Manifest,
    ) -> Result<(Option<Maps>, Vec<Manifest>), SnapshotError> {
        let broken = |reason: String| SnapshotError::Chain { reason };
        let mut last = self.last.take();
        let mut chain = vec![manifest.clone()];
        let mut seen = HashSet::from([manifest.snapshot_id.clone()]);
        loop {
            let Some(newest) = chain.last() else { return Ok((None, chain)) };
            if newest.db.map_chain_depth == 0 {
                return Ok((None, chain));
            }
            if chain.len() > MAX_CHAIN_DELTAS {
                return Err(broken(format!("more than {MAX_CHAIN_DELTAS} deltas without a keyframe")));
            }
            let parent = newest.parent_id.clone().ok_or_else(|| {
                broken(format!("snapshot {} is a delta and has no parent", newest.snapshot_id))
            })?;
            if let Some((_, maps)) = last.take_if(|(id, _)| *id == parent) {
                return Ok((Some(maps), chain));
            }
            if !seen.insert(parent.clone()) {
                return Err(broken(format!("snapshot {parent} is its own ancestor")));
            }
            chain.push(load_manifest(repository, &parent)?);
        }
    }
}

/// The map objects that a snapshot's chain consists of, newest first.
pub fn chain_objects<S: Store, D: Decompressor>(
    repository: &Repository<S, D>,
    manifest: &Manifest,
) -> Result<Vec<(SnapshotId, BlobId, BlobId)>, SnapshotError> {
    let (_, chain) = ChainReader::default().chain(repository, manifest)?;
    let objects = chain.into_iter().filter_map(|manifest| {
        Some((manifest.snapshot_id, manifest.db.page_map?, manifest.db.page_hash_map?))
    });
    Ok(objects.collect())
}

/// Loads a manifest of the chain.
pub fn load_manifest<S: Store, D: Decompressor>(
    repository: &Repository<S, D>,
    id: &SnapshotId,
) -> Result<Manifest, SnapshotError> {
    repository.manifest(id).map_err(|error| SnapshotError::Load { id: id.clone(), error })
}

fn extend<S: Store, D: Decompressor>(
    repository: &Repository<S, D>,
    base: Option<Maps>,
    manifest: &Manifest,
) -> Result<Maps, SnapshotError> {
    let (Some(map_blob), Some(hash_blob)) = (manifest.db.page_map, manifest.db.page_hash_map) else {
        return Err(SnapshotError::Logical);
    };
    let (kind, map) = object(repository, "the page map", map_blob, page_map::decode)?;
    let hashes = object(repository, "the page hashes", hash_blob, page_hash::decode)?;
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
            let reason = format!("the maps of snapshot {} should be {expected}", manifest.snapshot_id);
            Err(SnapshotError::Chain { reason })
        }
    }
}

/// Checks that both maps have the geometry that the manifest states, and that every page is mapped.
pub fn check_maps(manifest: &Manifest, maps: &Maps) -> Result<(), SnapshotError> {
    let db = &manifest.db;
    let stated = (PageSize::new(db.page_size), db.page_count);
    let mismatch = |what, reason: String| Err(SnapshotError::Mismatch { what, reason });
    let state = |(size, count): (Option<PageSize>, u64)| {
        format!("{count} pages of {} bytes", size.map_or(0, PageSize::get))
    };
    let of_map = (Some(maps.pages.page_size), maps.pages.page_count);
    if of_map != stated {
        return mismatch("the page map", format!("it has {}, the manifest {}", state(of_map), state(stated)));
    }
    let of_hashes = (Some(maps.hashes.page_size), maps.hashes.page_count());
    if of_hashes != stated {
        return mismatch(
            "the page hashes",
            format!("they are for {}, the manifest has {}", state(of_hashes), state(stated)),
        );
    }
    if !maps.pages.is_complete() {
        return mismatch("the page map", "it does not cover every page of the database".to_owned());
    }
    let step = maps.pages.page_size.bytes();
    if let Some(run) = maps.pages.runs.iter().find(|run| run.blob_offset % step != 0) {
        let reason = format!("the run at page {} does not begin at a page of its blob", run.start_page);
        return mismatch("the page map", reason);
    }
    Ok(())
}

/// Loads the attachment lists and checks them against each other and the manifest.
pub fn load_attachments<S: Store, D: Decompressor>(
    repository: &Repository<S, D>,
    manifest: &Manifest,
) -> Result<Vec<Attachment>, SnapshotError> {
    let mut attachments = Vec::new();
    for blob in manifest.lists() {
        let list = object(repository, "the attachment list", *blob, attachment_list::decode)?;
        attachments.extend(list);
    }
    let mismatch = |reason: String| Err(SnapshotError::Mismatch { what: "the attachment lists", reason });
    let mut ids: Vec<&BlobId> = attachments.iter().map(|attachment| &attachment.id).collect();
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|pair| pair.first() == pair.last()) {
        return mismatch(format!(
            "{} occurs twice",
            pair.first().map(ToString::to_string).unwrap_or_default()
        ));
    }
    let stated = (manifest.attachments.blobs, manifest.attachments.blob_bytes);
    let bytes = attachments.iter().fold(0u64, |sum, attachment| sum.saturating_add(attachment.size));
    let actual = (u64::try_from(attachments.len()).unwrap_or(u64::MAX), bytes);
    if actual != stated {
        return mismatch(format!(
            "they hold {} attachments of {} bytes, the manifest states {} of {}",
            actual.0, actual.1, stated.0, stated.1
        ));
    }
    Ok(attachments)
}

/// Loads the extras tree.
pub fn load_extras<S: Store, D: Decompressor>(
    repository: &Repository<S, D>,
    manifest: &Manifest,
) -> Result<Vec<ExtraFile>, SnapshotError> {
    match manifest.extras.tree {
        Some(blob) => object(repository, "the extras tree", blob, extras::decode),
        None => Ok(Vec::new()),
    }
}

fn object<S: Store, D: Decompressor, T>(
    repository: &Repository<S, D>,
    what: &'static str,
    blob: BlobId,
    decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
) -> Result<T, SnapshotError> {
    let bytes =
        repository.blob(&blob, MAX_OBJECT_LEN).map_err(|error| SnapshotError::Blob { what, error })?;
    decode(&bytes).map_err(|error| SnapshotError::Object { what, blob, error })
}
