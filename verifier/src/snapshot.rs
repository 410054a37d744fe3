//! One snapshot made whole: maps, attachments and extras.

mod attachments;
mod chain;
mod content_digest;
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
use crate::length::to_u64;
use crate::observer::Observer;
use crate::pack::FrameError;
use crate::repository::{BlobError, BlobFault, LoadError, Repository, StoredBlob};

pub use attachments::{AttachmentReader, AttachmentSet, load_attachments, visit_attachments};
pub use chain::{ChainReader, MAX_CHAIN_DELTAS, chain_objects, load_page_map};
pub use content_digest::ContentDigest;

/// The largest extras tree, in bytes: a million files.
const MAX_TREE_LEN: u64 = 256 << 20;
/// Bytes of memory for a byte of the tree: its text, and the entries that are made of it.
const TREE_FACTOR: u64 = 3;

/// Both maps of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maps {
    /// Which blob holds every page.
    pub pages: PageMap,
    /// What every page hashes to.
    pub hashes: PageHashes,
}

impl Maps {
    /// Bytes that they take in memory.
    fn bytes(&self) -> u64 {
        let PageMap { blobs, runs, .. } = &self.pages;
        to_u64(size_of_val(blobs.as_slice()) + size_of_val(runs.as_slice()))
            .saturating_add(to_u64(size_of_val(self.hashes.hashes.as_slice())))
    }
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

impl SnapshotError {
    /// Whether the observer stopped it.
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Blob { error, .. } if error.fault == BlobFault::Frame(FrameError::Stopped))
    }
}

impl Snapshot {
    /// Loads everything that describes a snapshot with a database.
    pub fn load(
        repository: &Repository,
        id: &SnapshotId,
        observer: &dyn Observer,
    ) -> Result<Self, SnapshotError> {
        let manifest = load_manifest(repository, id)?;
        let maps = ChainReader::default().load(repository, &manifest, observer)?;
        let attachments = load_attachments(repository, &manifest, observer)?;
        let extras = load_extras(repository, &manifest, observer)?;
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
pub fn load_extras(
    repository: &Repository,
    manifest: &Manifest,
    observer: &dyn Observer,
) -> Result<Vec<ExtraFile>, SnapshotError> {
    let Some(tree) = manifest.extras.tree else { return Ok(Vec::new()) };
    let object = SnapshotObject { repository, observer, what: "the extras tree", blob: tree };
    let stored = object.find(MAX_TREE_LEN)?;
    object.allow(&stored, stored.raw_len().saturating_mul(TREE_FACTOR))?;
    let mut json = Vec::new();
    object.stream(&stored, &mut |piece| json.extend_from_slice(piece))?;
    extras::decode(&json).map_err(|error| object.invalid(error))
}

/// An object that describes a snapshot, and is about to be read.
struct SnapshotObject<'a> {
    repository: &'a Repository,
    observer: &'a dyn Observer,
    /// What it is, for a sentence.
    what: &'static str,
    blob: BlobId,
}

impl<'a> SnapshotObject<'a> {
    /// Finds it, if it has at most `limit` bytes, which is more than one that fits the manifest can have: a small
    /// frame can promise gigabytes.
    fn find(&self, limit: u64) -> Result<StoredBlob<'a>, SnapshotError> {
        self.repository.stored_blob(&self.blob, limit.min(MAX_RAW_LEN)).map_err(|error| self.failed(error))
    }

    /// Refuses it when what it becomes needs more memory than there may be.
    fn allow(&self, stored: &StoredBlob<'_>, needed: u64) -> Result<(), SnapshotError> {
        stored.allow(needed).map_err(|error| self.failed(error))
    }

    fn stream(&self, stored: &StoredBlob<'_>, sink: &mut dyn FnMut(&[u8])) -> Result<(), SnapshotError> {
        stored.stream(self.observer, sink).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: BlobError) -> SnapshotError {
        SnapshotError::Blob { what: self.what, error }
    }

    fn invalid(&self, error: DecodeError) -> SnapshotError {
        SnapshotError::Object { what: self.what, blob: self.blob, error }
    }
}
