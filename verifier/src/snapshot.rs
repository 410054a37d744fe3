//! One snapshot made whole: maps, attachments and extras.

mod attachments;
mod chain;
pub mod density;
pub mod references;

use crate::format::DecodeError;
use crate::format::blob::MAX_RAW_LEN;
use crate::format::extras::{self, ExtraFile};
use crate::format::id::{BlobId, SnapshotId};
use crate::format::manifest::Manifest;
use crate::format::page_hash::PageHashes;
use crate::format::page_map::PageMap;
use crate::format::page_size::PageSize;
use crate::repository::{BlobError, LoadError, Repository};

pub use attachments::{AttachmentReader, AttachmentSet, load_attachments, visit_attachments};
pub use chain::{ChainReader, MAX_CHAIN_DELTAS, chain_objects};

/// The largest extras tree, in bytes: a million files.
const MAX_TREE_LEN: u64 = 256 << 20;

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
    pub attachments: AttachmentSet,
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
    /// A map does not fit the manifest.
    #[error("{what}: {reason}")]
    Map {
        /// Which of the two maps.
        what: &'static str,
        /// How.
        reason: String,
    },
    /// The attachment lists do not fit each other or the manifest.
    #[error("the attachment lists: {reason}")]
    Lists {
        /// How.
        reason: String,
    },
}

impl Snapshot {
    /// Loads everything that describes a snapshot with a database.
    pub fn load(repository: &Repository, id: &SnapshotId) -> Result<Self, SnapshotError> {
        let manifest = load_manifest(repository, id)?;
        let maps = ChainReader::default().load(repository, &manifest)?;
        let attachments = load_attachments(repository, &manifest)?;
        let extras = load_extras(repository, &manifest)?;
        Ok(Self { manifest, maps, attachments, extras })
    }
}

/// Loads a manifest of the chain.
pub fn load_manifest(repository: &Repository, id: &SnapshotId) -> Result<Manifest, SnapshotError> {
    repository.manifest(id).map_err(|error| SnapshotError::Load { id: id.clone(), error })
}

/// Checks that both maps have the geometry that the manifest states, and that every page is mapped.
pub fn check_maps(manifest: &Manifest, maps: &Maps) -> Result<(), SnapshotError> {
    let db = &manifest.db;
    let stated = (PageSize::new(db.page_size), db.page_count);
    let mismatch = |what, reason: String| Err(SnapshotError::Map { what, reason });
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

/// Loads the extras tree.
pub fn load_extras(repository: &Repository, manifest: &Manifest) -> Result<Vec<ExtraFile>, SnapshotError> {
    match manifest.extras.tree {
        Some(blob) => object(repository, "the extras tree", blob, MAX_TREE_LEN, extras::decode),
        None => Ok(Vec::new()),
    }
}

/// Reads an object of at most `limit` bytes, which is more than one that fits the manifest can have: a small
/// frame can promise gigabytes.
fn object<T>(
    repository: &Repository,
    what: &'static str,
    blob: BlobId,
    limit: u64,
    decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
) -> Result<T, SnapshotError> {
    let bytes = repository
        .blob(&blob, limit.min(MAX_RAW_LEN))
        .map_err(|error| SnapshotError::Blob { what, error })?;
    decode(&bytes).map_err(|error| SnapshotError::Object { what, blob, error })
}
