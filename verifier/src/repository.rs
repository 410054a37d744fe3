//! An opened repository: its configuration, the index of its blobs, and its manifests.

mod blob_index;
mod foreign;
mod lost_index;
mod pack_files;
mod stored_blob;

use crate::length::to_usize;
use std::sync::{Arc, Mutex};

use serde::Serialize;

pub use blob_index::{BlobIndex, BlobSet, Location, PackSet};
pub use foreign::{ForeignFile, is_pack_folder, tail_of};
pub use lost_index::LostIndex;
pub use pack_files::{index_files, pack_files};
pub use stored_blob::{BlobError, BlobFault, StoredBlob};

use crate::decompress::Decompressor;
use crate::format::config::{ConfigError, RepoConfig};
use crate::format::id::{BlobId, PackId, SnapshotId};
use crate::format::index::{IndexDecoder, IndexEntry};
use crate::format::manifest::{Manifest, ManifestError};
use crate::format::pack::PackEntry;
use crate::memory::Memory;
use crate::pack::{FrameError, Pack, PackReader, ReadError};
use crate::store::{Store, StoreError, read_file};

/// The largest configuration, in bytes.
const MAX_CONFIG_LEN: u64 = 1 << 20;
/// The largest manifest, in bytes.
pub const MAX_MANIFEST_LEN: u64 = 64 << 20;
/// The largest index file: 2^32 entries.
const MAX_INDEX_LEN: u64 = (65 << 32) + 42;
/// Bytes of an index file that are read at once.
const PIECE_LEN: u64 = 1 << 20;
/// For so many bytes of index files there is room beforehand.
const MAX_RESERVED: u64 = 256 << 20;

/// A repository that can be read.
pub struct Repository {
    packs: PackReader,
    config: RepoConfig,
    listing: Result<Listing, StoreError>,
    index: BlobIndex,
    damaged_indexes: Vec<(String, ReadError)>,
    /// The footer that was read last: the objects of one snapshot lie side by side.
    last_footer: Mutex<Option<(PackId, Footer)>>,
}

type Footer = Arc<Vec<PackEntry>>;

/// Why a repository cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder is not there.
    #[error("there is no repository: {0}; check the path, or make one with `msgvault backup init`")]
    Missing(StoreError),
    /// The folder holds something else.
    #[error("the folder is not a msgvault repository: it has no config.toml beside snapshots/ and packs/")]
    NotARepository,
    /// The configuration cannot be read.
    #[error(transparent)]
    Store(StoreError),
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Why a manifest cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Its file cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is refused.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Which snapshot a user means.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// There are none.
    #[error("the repository has no snapshot yet")]
    Empty,
    /// None begins so.
    #[error("no snapshot begins with {prefix:?}; `list` shows those that there are")]
    Unknown {
        /// What was asked for.
        prefix: String,
    },
    /// Several begin so.
    #[error(
        "{count} snapshots begin with {prefix:?}, for example {first} and {second}; give more of the name"
    )]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// How many there are.
        count: usize,
        /// The first of them.
        first: SnapshotId,
        /// The second of them.
        second: SnapshotId,
    },
    /// The folder cannot be listed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The snapshots of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// Snapshots, oldest first.
    pub snapshots: Vec<SnapshotId>,
}

impl Repository {
    /// Opens a repository and reads all its index files.
    ///
    /// A damaged index file is kept for the report; blobs that only it names are not to be found. The
    /// snapshots are listed first: a backup that ends meanwhile has published its index before its manifest,
    /// so that no snapshot is seen without its blobs.
    pub fn open(
        store: impl Store + 'static,
        decompressor: impl Decompressor + 'static,
    ) -> Result<Self, OpenError> {
        Self::open_within(store, decompressor, Memory::unlimited())
    }

    /// The same, with a limit to the memory that objects of the repository may take.
    pub fn open_within(
        store: impl Store + 'static,
        decompressor: impl Decompressor + 'static,
        memory: Memory,
    ) -> Result<Self, OpenError> {
        let config = read_config(&store)?;
        let listing = list_snapshots(&store);
        let mut index = BlobIndex::default();
        let mut damaged_indexes = Vec::new();
        let files = index_files(&store).unwrap_or_else(|error| {
            damaged_indexes.push(("indexes".to_owned(), error.into()));
            Vec::new()
        });
        let bytes = files.iter().fold(0u64, |sum, (_, len)| sum.saturating_add(*len));
        // A file with holes can be longer than its medium.
        index.reserve(bytes.min(memory.limit()).min(MAX_RESERVED));
        for (file, _) in files {
            let path = file.path();
            let before = index.mark();
            if let Err(error) = each_entry(&store, &path, &mut |entry| index.add(entry)) {
                index.take_back(before);
                damaged_indexes.push((path, error));
            }
        }
        index.finish();
        Ok(Self {
            packs: PackReader::new(store, decompressor).within(memory),
            config,
            listing,
            index,
            damaged_indexes,
            last_footer: Mutex::new(None),
        })
    }

    /// The files.
    pub fn store(&self) -> &dyn Store {
        self.packs.store()
    }

    /// The door to the packs.
    pub fn packs(&self) -> &PackReader {
        &self.packs
    }

    /// Opens a pack and reads its footer.
    pub fn pack(&self, id: PackId) -> Result<Pack<'_>, ReadError> {
        self.packs.open(id)
    }

    /// Identity and versions.
    pub fn config(&self) -> &RepoConfig {
        &self.config
    }

    /// Where the blobs are.
    pub fn index(&self) -> &BlobIndex {
        &self.index
    }

    /// Index files that are of no use, by path, or their folder.
    pub fn damaged_indexes(&self) -> &[(String, ReadError)] {
        &self.damaged_indexes
    }

    /// The snapshots that there were when the repository was opened.
    pub fn listing(&self) -> Result<Listing, StoreError> {
        self.listing.clone()
    }

    /// The snapshot that a user means: a full ID, a prefix that only one has, or `latest`.
    pub fn select(&self, wanted: &str) -> Result<SnapshotId, SelectError> {
        let mut snapshots = self.listing()?.snapshots;
        if wanted == "latest" {
            return snapshots.pop().ok_or(SelectError::Empty);
        }
        snapshots.retain(|id| !wanted.is_empty() && id.as_str().starts_with(wanted));
        let prefix = wanted.to_owned();
        match snapshots.as_slice() {
            [] => Err(SelectError::Unknown { prefix }),
            [only] => Ok(only.clone()),
            [first, second, ..] => Err(SelectError::Ambiguous {
                prefix,
                count: snapshots.len(),
                first: first.clone(),
                second: second.clone(),
            }),
        }
    }

    /// Loads a snapshot's manifest.
    pub fn manifest(&self, id: &SnapshotId) -> Result<Manifest, LoadError> {
        read_manifest(self.store(), id)
    }

    /// The limit to the memory that objects may take.
    pub fn memory(&self) -> &Memory {
        self.packs.memory()
    }

    /// Reads a blob of at most `limit` bytes.
    pub fn blob(&self, id: &BlobId, limit: u64) -> Result<Vec<u8>, BlobError> {
        let blob = self.stored_blob(id, limit)?;
        blob.allow(blob.raw_len())?;
        let mut raw = Vec::new();
        blob.stream(&(), &mut |piece| raw.extend_from_slice(piece))?;
        Ok(raw)
    }

    /// Finds a blob of at most `limit` bytes, without reading it.
    pub fn stored_blob(&self, id: &BlobId, limit: u64) -> Result<StoredBlob<'_>, BlobError> {
        let location = self.index.find(id);
        let pack = location.map(|location| location.pack);
        let failed = |fault: BlobFault| BlobError { blob: *id, pack, fault };
        let Some(location) = location else { return Err(failed(BlobFault::NotIndexed)) };
        let opened = self.pack_again(location.pack).map_err(|error| failed(error.into()))?;
        let entry = *location.check(opened.find(id)).map_err(failed)?;
        if entry.raw_len > limit {
            return Err(failed(FrameError::TooLarge { raw_len: entry.raw_len, limit }.into()));
        }
        Ok(StoredBlob::new(self.memory(), opened, location.pack, entry))
    }

    /// Opens a pack, with the footer that was read last if it is the same pack's.
    fn pack_again(&self, id: PackId) -> Result<Pack<'_>, ReadError> {
        let cached = match self.last_footer.lock() {
            Ok(slot) => slot.as_ref().filter(|(last, _)| *last == id).map(|(_, footer)| Arc::clone(footer)),
            Err(_) => None,
        };
        if let Some(footer) = cached {
            return Ok(self.packs.open_with_footer(id, footer)?);
        }
        let pack = self.pack(id)?;
        if let Ok(mut slot) = self.last_footer.lock() {
            *slot = Some((id, pack.footer()));
        }
        Ok(pack)
    }
}

fn list_snapshots(store: &dyn Store) -> Result<Listing, StoreError> {
    let entries = store.list("snapshots")?;
    let ids = entries.iter().filter_map(|entry| SnapshotId::of_path(&format!("snapshots/{}", entry.name)));
    let mut snapshots: Vec<SnapshotId> = ids.collect();
    snapshots.sort();
    Ok(Listing { snapshots })
}

/// Reads and checks a manifest.
pub fn read_manifest(store: &dyn Store, id: &SnapshotId) -> Result<Manifest, LoadError> {
    let json = read_file(store, &id.path(), MAX_MANIFEST_LEN)?;
    Ok(Manifest::decode(id, &json)?)
}

/// Reads an index file and checks it as a whole.
pub fn check_index(store: &dyn Store, path: &str) -> Result<(), ReadError> {
    each_entry(store, path, &mut |_| ())
}

/// Reads and checks `config.toml`.
pub fn read_config(store: &dyn Store) -> Result<RepoConfig, OpenError> {
    let bytes = match read_file(store, "config.toml", MAX_CONFIG_LEN) {
        Ok(bytes) => bytes,
        Err(StoreError::Missing { .. }) => {
            return Err(match store.list("") {
                Err(error @ StoreError::Missing { .. }) => OpenError::Missing(error),
                Err(error) => OpenError::Store(error),
                Ok(_) => OpenError::NotARepository,
            });
        }
        Err(error) => return Err(OpenError::Store(error)),
    };
    // An archive home has a config.toml of its own.
    let looks_like_one = store.list("snapshots").is_ok() || store.list("packs").is_ok();
    match RepoConfig::decode(&bytes) {
        Ok(config) => Ok(config),
        Err(ConfigError::Malformed { .. }) if !looks_like_one => Err(OpenError::NotARepository),
        Err(error) => Err(error.into()),
    }
}

/// Visits what an index file names, which counts only when this returns `Ok`.
fn each_entry(store: &dyn Store, path: &str, visit: &mut dyn FnMut(&IndexEntry)) -> Result<(), ReadError> {
    let file = store.open(path)?;
    let len = file.len();
    if len > MAX_INDEX_LEN {
        return Err(StoreError::TooLarge { path: path.to_owned(), len, limit: MAX_INDEX_LEN }.into());
    }
    let mut decoder = IndexDecoder::default();
    let mut piece = Vec::new();
    let mut offset = 0;
    while offset < len {
        let count = len.saturating_sub(offset).min(PIECE_LEN);
        piece.resize(to_usize(count), 0);
        file.read_at(offset, &mut piece)?;
        decoder.push(&piece, &mut |entry| visit(&entry));
        // A file with holes can go on for hours.
        if let Some(fault) = decoder.fault() {
            return Err(fault.clone().into());
        }
        offset = offset.saturating_add(count);
    }
    Ok(decoder.finish()?)
}
