//! A repository of one snapshot, written by hand so that every part of it can be wrong.

use msgvault_testing::{Forge, run};
use msgvault_verifier::format::attachment_list::Attachment;
use msgvault_verifier::format::id::{BlobId, PageHash};
use msgvault_verifier::format::manifest::{Auxiliary, DOCUMENT_DERIVATIVES, Manifest};
use msgvault_verifier::format::page_hash::PageHashes;
use msgvault_verifier::format::page_map::{MapKind, PageMap};
use msgvault_verifier::format::page_size::PageSize;
use rusqlite::Connection;
use serde_json::value::RawValue;

use crate::archive::{content_table, samples, schema};

use super::*;

const PAGE: u32 = 4096;
const DOCUMENT_FORMAT: &str =
    "application/vnd.msgvault.document-derivatives+json; contains-normalized-plaintext=true";

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
    /// What it says about texts derived from documents.
    pub(super) disclosure: Option<&'static str>,
    /// Under which name it says that.
    pub(super) artifact: &'static str,
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
            disclosure: None,
            artifact: DOCUMENT_DERIVATIVES,
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
        let mut forge = Forge::of_pages(PAGE);
        let manifest = self.manifest(&mut forge);
        let snapshot = forge.publish(manifest);
        forge.write_to(root).unwrap();
        snapshot
    }

    fn manifest(&self, forge: &mut Forge) -> Manifest {
        let page_size = PageSize::new(PAGE).unwrap();
        let page_count = u32::try_from(self.database.len()).unwrap() / PAGE;
        let blobs = vec![forge.blob(&self.database)];
        let pages =
            PageMap { page_size, page_count: page_count.into(), blobs, runs: vec![run(0, page_count, 0)] };
        let mut hashes: Vec<PageHash> =
            self.database.chunks(page_size.in_memory()).map(PageHash::of).collect();
        for page in &self.wrong_pages {
            hashes[*page] = PageHash::default();
        }
        let hashes = PageHashes { page_size, hashes }.encode();
        let db = forge.maps(&pages.encode(self.map_kind), &hashes, page_count.into(), 0);
        let list: Vec<Attachment> = self
            .attachments
            .iter()
            .map(|content| Attachment { id: forge.blob(content), size: content.len() as u64 })
            .collect();
        let extras = self.extras.iter().map(|(path, mode, content)| {
            let (size, blob) = (content.len(), forge.blob(content));
            format!(r#"{{"path":{path:?},"mode":{mode},"size":{size},"blob":"{blob}"}}"#)
        });
        let extras = format!(r#"{{"entries":[{}]}}"#, extras.collect::<Vec<_>>().join(","));

        let mut manifest = forge.manifest(None, db);
        manifest.attachments.blobs = list.len() as u64;
        manifest.attachments.blob_bytes = list.iter().map(|attachment| attachment.size).sum();
        manifest.attachments.lists = Some(vec![forge.list(&list)]);
        manifest.extras.tree = Some(forge.blob(extras.as_bytes()));
        manifest.stats = RawValue::from_string(self.stats.clone()).unwrap();
        if let Some(disclosure) = self.disclosure {
            let blob = forge.blob(disclosure.as_bytes());
            let (name, format) = (self.artifact.to_owned(), DOCUMENT_FORMAT.to_owned());
            let bytes = disclosure.len() as u64;
            manifest.auxiliary = Some(vec![Auxiliary { name, format, blob, bytes, sha256: blob }]);
            (manifest.format_version, manifest.min_reader_version) = (4, 4);
        }
        manifest
    }
}
