//! A repository of one snapshot, written by hand so that every part of it can be wrong.

use msgvault_verifier::format::attachment_list::{self, Attachment};
use msgvault_verifier::format::id::{BlobId, IndexId, PackId, PageHash};
use msgvault_verifier::format::index::{self, IndexEntry};
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::format::pack::{self, Encoding, PackEntry};
use msgvault_verifier::format::page_hash::PageHashes;
use msgvault_verifier::format::page_map::{MapKind, PageMap, Run as PageRun};
use msgvault_verifier::format::page_size::PageSize;
use rusqlite::Connection;

use crate::archive::{content_table, samples, schema};

use super::*;

const PAGE: u32 = 4096;

/// What a snapshot is made of.
pub(super) struct Tiny {
    pub(super) database: Vec<u8>,
    pub(super) stats: String,
    pub(super) attachments: Vec<Vec<u8>>,
    /// Paths as they are written into the tree, with modes and contents.
    pub(super) extras: Vec<(&'static str, u32, &'static [u8])>,
    /// Pages whose hashes are wrong.
    pub(super) wrong_pages: Vec<usize>,
    /// What the page map says it is; the manifest takes it for a keyframe.
    pub(super) map_kind: MapKind,
}

impl Tiny {
    /// A snapshot of an archive into which `fill` puts rows.
    pub(super) fn new(journal_mode: &str, fill: impl FnOnce(&Connection)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("msgvault.db");
        let connection = samples::database(&path, journal_mode);
        fill(&connection);
        let stats = schema::stats(&connection).unwrap().to_json();
        connection.close().unwrap();
        let database = fs::read(path).unwrap();
        Self {
            database,
            stats,
            attachments: Vec::new(),
            extras: Vec::new(),
            wrong_pages: Vec::new(),
            map_kind: MapKind::Keyframe,
        }
    }

    /// A snapshot with two attachments, one of them at two paths, and two other files.
    pub(super) fn sample() -> Self {
        let contents = [b"first".to_vec(), b"second".to_vec()];
        let [first, second] = contents.each_ref().map(|content| BlobId::of(content));
        let mut tiny = Self::new("wal", |db| {
            samples::attach(db, 1, (&first.to_string(), &content_table::canonical_path(&first)), None);
            samples::attach(db, 2, (&first.to_string(), "mail/first.txt"), None);
            samples::attach(db, 3, (&second.to_string(), &content_table::canonical_path(&second)), None);
            db.execute_batch("INSERT INTO messages (sent_at) VALUES ('2026-01-01')").unwrap();
        });
        tiny.attachments = contents.to_vec();
        tiny.extras = vec![("config.toml", 0o100_640, b"new config"), ("deletions/a.json", 0, b"new a")];
        tiny
    }

    /// Writes the repository.
    pub(super) fn write(&self, root: &Path) -> SnapshotId {
        let context = Context { observer: &(), now: &|| Timestamp::UNIX_EPOCH, random: &|| 7 };
        crate::repo::init::init(root, &context).unwrap();
        let mut pack = Pack::default();
        let manifest = self.manifest(&mut pack);
        pack.write(root);
        fs::write(root.join(manifest.snapshot_id.path()), manifest.encode()).unwrap();
        manifest.snapshot_id
    }

    fn manifest(&self, pack: &mut Pack) -> Manifest {
        let page_size = PageSize::new(PAGE).unwrap();
        let page_count = u32::try_from(self.database.len()).unwrap() / PAGE;
        let run = PageRun { start_page: 0, page_count, blob_index: 0, blob_offset: 0 };
        let blobs = vec![pack.add(&self.database)];
        let pages = PageMap { page_size, page_count: page_count.into(), blobs, runs: vec![run] };
        let mut hashes: Vec<PageHash> =
            self.database.chunks(page_size.in_memory()).map(PageHash::of).collect();
        for page in &self.wrong_pages {
            hashes[*page] = PageHash::default();
        }
        let list: Vec<Attachment> = self
            .attachments
            .iter()
            .map(|content| Attachment { id: pack.add(content), size: content.len() as u64 })
            .collect();
        let bytes: u64 = list.iter().map(|attachment| attachment.size).sum();
        let extras = self.extras.iter().map(|(path, mode, content)| {
            let (size, blob) = (content.len(), pack.add(content));
            format!(r#"{{"path":{path:?},"mode":{mode},"size":{size},"blob":"{blob}"}}"#)
        });
        let extras = format!(r#"{{"entries":[{}]}}"#, extras.collect::<Vec<_>>().join(","));
        let text = format!(
            r#"{{"format_version":1,"min_reader_version":1,"msgvault_version":"v",
            "snapshot_id":"19700101T000000Z-00000000000000000000000000000000","parent_id":"",
            "created_at":"1970-01-01T00:00:00Z",
            "options":{{"include_config":false,"include_tokens":false,"zstd_level":3,"tag":""}},
            "db":{{"engine":"sqlite","page_size":{PAGE},"page_count":{page_count},"page_map":"{}",
            "page_hash_map":"{}","map_chain_depth":0}},
            "attachments":{{"layout":["loose"],"rows":0,"blobs":{},"blob_bytes":{bytes},"recipes":[],
            "lists":["{}"]}},
            "extras":{{"tree":"{}"}},"excluded":null,"stats":{},"new_packs":null,"new_index":"",
            "duration_seconds":1,"bytes_added":0}}"#,
            pack.add(&pages.encode(self.map_kind)),
            pack.add(&PageHashes { page_size, hashes }.encode()),
            list.len(),
            pack.add(&attachment_list::encode(&list)),
            pack.add(extras.as_bytes()),
            self.stats,
        );
        let mut manifest: Manifest = serde_json::from_str(&text).unwrap();
        manifest.snapshot_id = manifest.computed_id().parse().unwrap();
        manifest
    }
}

/// One pack of raw blobs.
#[derive(Default)]
struct Pack {
    frames: Vec<u8>,
    entries: Vec<PackEntry>,
}

impl Pack {
    fn add(&mut self, raw: &[u8]) -> BlobId {
        let id = BlobId::of(raw);
        if !self.entries.iter().any(|entry| entry.id == id) {
            let offset = pack::HEADER_LEN + self.frames.len() as u64;
            let (stored_len, raw_len) = (raw.len() as u64, raw.len() as u64);
            let (encoding, crc32c) = (Encoding::Raw, crc32c::crc32c(raw));
            self.entries.push(PackEntry { id, offset, stored_len, raw_len, encoding, crc32c });
            self.frames.extend_from_slice(raw);
        }
        id
    }

    fn write(mut self, root: &Path) {
        let (pack, index) = (PackId::from_parts(1, 1), IndexId::from_parts(1, 2));
        let bytes = [&pack::HEADER[..], &self.frames, &pack::encode_footer(&self.entries)].concat();
        fs::create_dir_all(root.join(pack.path()).parent().unwrap()).unwrap();
        fs::write(root.join(pack.path()), bytes).unwrap();
        self.entries.sort_by_key(|entry| entry.id);
        let entry = |entry: &PackEntry| {
            let PackEntry { id, offset, stored_len, encoding, .. } = *entry;
            IndexEntry { id, pack, offset, stored_len, encoding }
        };
        let entries: Vec<IndexEntry> = self.entries.iter().map(entry).collect();
        fs::write(root.join(index.path()), index::encode(&entries)).unwrap();
    }
}
