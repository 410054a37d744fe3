use std::fs;
use std::io;
use std::path::Path;

use msgvault_verifier::format::attachment_list::{self, Attachment};
use msgvault_verifier::format::id::{BlobId, IndexId, PackId, PageHash, SnapshotId};
use msgvault_verifier::format::index::{self, IndexEntry};
use msgvault_verifier::format::manifest::{Attachments, Database, Extras, Manifest, Options};
use msgvault_verifier::format::pack::{self, Encoding, PackEntry};
use msgvault_verifier::format::page_hash::PageHashes;
use msgvault_verifier::format::page_map::{MapKind, PageMap, Run};
use msgvault_verifier::format::page_size::PageSize;
use msgvault_verifier::store::MemoryStore;

use crate::frames::Unfolding;

const PAGE: u32 = 512;

/// A page of a database, unless the forge was told another size.
pub type Page = [u8; PAGE as usize];

/// Makes a repository by hand, a snapshot at a time: a consistent one, or one that no honest program would
/// write.
#[derive(Debug)]
pub struct Forge {
    /// Its files.
    pub store: MemoryStore,
    page_size: u32,
    pending: Vec<(PackEntry, Vec<u8>)>,
    packs: u64,
    seconds: u64,
}

impl Forge {
    /// One without a snapshot.
    pub fn new() -> Self {
        Self::of_pages(PAGE)
    }

    /// One without a snapshot, whose databases have pages of so many bytes.
    pub fn of_pages(page_size: u32) -> Self {
        let config = format!(
            "repo_id = \"bae039f3-3156-4fdd-9fd8-5516011c27f6\"\nformat_version = 1\nmin_reader_version = 1\n\
            encryption = \"none\"\ncreated_at = \"2026-11-23T13:35:58Z\"\npage_size = {page_size}\n"
        );
        let mut store = MemoryStore::default();
        store.insert("config.toml", config);
        store.insert("snapshots/.gitkeep", "");
        Self { store, page_size, pending: Vec::new(), packs: 0, seconds: 0 }
    }

    /// Adds a blob to the pack that the next snapshot seals.
    pub fn blob(&mut self, raw: &[u8]) -> BlobId {
        self.stored(BlobId::of(raw), raw.to_vec(), raw.len() as u64, Encoding::Raw)
    }

    /// Adds a blob whose stored bytes are given.
    pub fn stored(&mut self, id: BlobId, stored: Vec<u8>, raw_len: u64, encoding: Encoding) -> BlobId {
        let crc32c = crc32c::crc32c(&stored);
        let entry = PackEntry { id, offset: 0, stored_len: stored.len() as u64, raw_len, encoding, crc32c };
        if self.pending.iter().all(|(other, _)| other.id != id) {
            self.pending.push((entry, stored));
        }
        id
    }

    /// Adds a blob that unfolds into its content.
    pub fn unfolding(&mut self, content: Unfolding<'_>, window_log: Option<u8>) -> BlobId {
        self.stored(content.id(), content.frame(window_log), content.raw_len(), Encoding::Zstd)
    }

    /// Seals what is pending into a pack and an index file of its own.
    pub fn seal(&mut self) {
        self.packs += 1;
        let pack = PackId::from_parts(self.packs, 0);
        let mut bytes = pack::HEADER.to_vec();
        let mut entries = Vec::new();
        for (mut entry, stored) in std::mem::take(&mut self.pending) {
            entry.offset = bytes.len() as u64;
            bytes.extend(stored);
            entries.push(entry);
        }
        bytes.extend(pack::encode_footer(&entries));
        self.store.insert(pack.path(), bytes);
        entries.sort_by_key(|entry| entry.id);
        let of = |entry: &PackEntry| IndexEntry {
            id: entry.id,
            pack,
            offset: entry.offset,
            stored_len: entry.stored_len,
            encoding: entry.encoding,
        };
        let index: Vec<IndexEntry> = entries.iter().map(of).collect();
        self.store.insert(IndexId::from_parts(self.packs, 0).path(), index::encode(&index));
    }

    /// A database of these pages, both maps as keyframes, each page in a blob of its own.
    pub fn database(&mut self, pages: &[Page]) -> Database {
        let blobs: Vec<BlobId> = pages.iter().map(|page| self.blob(page)).collect();
        let runs = (0..).zip(pages).map(|(n, _)| run(n, 1, u32::try_from(n).unwrap()));
        let map = PageMap { page_size: size(), page_count: pages.len() as u64, blobs, runs: runs.collect() };
        let hashes =
            PageHashes { page_size: size(), hashes: pages.iter().map(|page| PageHash::of(page)).collect() };
        let (map, hashes) = (map.encode(MapKind::Keyframe), hashes.encode());
        self.maps(&map, &hashes, pages.len() as u64, 0)
    }

    /// A database with these map objects.
    pub fn maps(&mut self, map: &[u8], hashes: &[u8], page_count: u64, depth: u64) -> Database {
        Database {
            engine: "sqlite".to_owned(),
            page_size: self.page_size,
            page_count,
            page_map: Some(self.blob(map)),
            page_hash_map: Some(self.blob(hashes)),
            map_chain_depth: depth,
        }
    }

    /// A list of these contents.
    pub fn list(&mut self, attachments: &[Attachment]) -> BlobId {
        self.blob(&attachment_list::encode(attachments))
    }

    /// A manifest, a second after the last one, to be changed and published.
    pub fn manifest(&mut self, parent: Option<&SnapshotId>, db: Database) -> Manifest {
        self.seconds += 1;
        let (minutes, seconds) = (self.seconds / 60, self.seconds % 60);
        Manifest {
            format_version: 1,
            min_reader_version: 1,
            msgvault_version: "forge".to_owned(),
            snapshot_id: "20261123T000000Z-00000000000000000000000000000000".parse().unwrap(),
            parent_id: parent.cloned(),
            created_at: format!("2026-11-23T{:02}:{:02}:{seconds:02}Z", minutes / 60, minutes % 60),
            options: Options {
                include_config: false,
                include_tokens: false,
                zstd_level: 3,
                tag: String::new(),
            },
            db,
            metadata: None,
            auxiliary: None,
            attachments: Attachments {
                layout: Some(vec!["loose".to_owned()]),
                rows: 0,
                blobs: 0,
                blob_bytes: 0,
                recipes: Some(Vec::new()),
                lists: None,
            },
            extras: Extras { tree: None },
            excluded: None,
            stats: serde_json::value::RawValue::from_string("{}".to_owned()).unwrap(),
            new_packs: None,
            new_index: None,
            duration_seconds: 1.0,
            bytes_added: 0,
        }
    }

    /// Seals what is pending and writes the manifest under the ID that it has.
    pub fn publish(&mut self, mut manifest: Manifest) -> SnapshotId {
        self.seal();
        manifest.snapshot_id = manifest.computed_id().parse().unwrap();
        self.store.insert(manifest.snapshot_id.path(), manifest.encode());
        manifest.snapshot_id
    }

    /// Writes its files below a folder.
    pub fn write_to(&self, root: &Path) -> io::Result<()> {
        for path in self.store.paths() {
            let file = root.join(path);
            fs::create_dir_all(file.parent().unwrap_or(root))?;
            fs::write(file, self.store.file(path).unwrap_or_default())?;
        }
        Ok(())
    }
}

impl Default for Forge {
    fn default() -> Self {
        Self::new()
    }
}

/// The size of a [`Page`].
///
/// # Panics
///
/// Never.
pub fn size() -> PageSize {
    PageSize::new(PAGE).unwrap()
}

/// Pages that begin at the beginning of a blob.
pub fn run(start_page: u64, page_count: u32, blob_index: u32) -> Run {
    Run { start_page, page_count, blob_index, blob_offset: 0 }
}

/// A page that is full of one byte.
pub fn page(fill: u8) -> Page {
    [fill; PAGE as usize]
}
