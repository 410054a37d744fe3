//! Attachments that maintenance has moved into packs: `attachments/packs/`, and the two tables that lead
//! there.

use std::fs;
use std::path::PathBuf;

use msgvault_verifier::format::blob::{MIN_COMPRESSED_LEN, keeps_compressed};
use msgvault_verifier::format::id::{BlobId, PackId};
use msgvault_verifier::format::pack::{Encoding, HEADER, PackEntry, SEAL_LEN, encode_footer};
use rusqlite::{Connection, Statement, params};

use super::home::Home;
use super::rng::Rng;
use super::{Result, SampleError, sql_int};

const TABLES: &str = "
CREATE TABLE attachment_packs (pack_id TEXT PRIMARY KEY, entry_count INTEGER NOT NULL,
    stored_bytes INTEGER NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE attachment_pack_index (blob_hash TEXT PRIMARY KEY, pack_id TEXT NOT NULL,
    pack_offset INTEGER NOT NULL, stored_len INTEGER NOT NULL, raw_len INTEGER NOT NULL, flags INTEGER NOT NULL,
    crc32c INTEGER NOT NULL);
CREATE INDEX attachment_pack_index_by_pack ON attachment_pack_index(pack_id);
";

/// When the first pack was created, in milliseconds since 1970; each later one is a day younger.
const FIRST_PACK: u64 = 1_700_000_000_000;
const DAY: u64 = 86_400_000;

/// Even the smallest archive gets more than one pack, so packs may be sealed far below the usual length.
const SHORTEST_PACK: u64 = 64 << 10;

/// Collects blobs and writes them as packs.
pub(super) struct Packer<'c> {
    root: PathBuf,
    rng: Rng,
    seal_len: u64,
    made: u64,
    bytes: Vec<u8>,
    entries: Vec<PackEntry>,
    add_pack: Statement<'c>,
    add_entry: Statement<'c>,
}

impl<'c> Packer<'c> {
    /// Creates the tables; `budget` is roughly how many bytes of attachments there will be.
    pub(super) fn create(conn: &'c Connection, home: &Home, rng: Rng, budget: u64) -> Result<Self> {
        conn.execute_batch(TABLES)?;
        Ok(Self {
            root: home.attachments(),
            rng,
            seal_len: (budget / 8).clamp(SHORTEST_PACK, SEAL_LEN),
            made: 0,
            bytes: HEADER.to_vec(),
            entries: Vec::new(),
            add_pack: conn
                .prepare("INSERT INTO attachment_packs VALUES (?, ?, ?, datetime(?, 'unixepoch'))")?,
            add_entry: conn.prepare("INSERT INTO attachment_pack_index VALUES (?, ?, ?, ?, ?, ?, ?)")?,
        })
    }

    /// Adds one blob, and seals the pack if it is long enough.
    pub(super) fn add(&mut self, raw: &[u8]) -> Result<()> {
        let compressed = compress(raw);
        let (encoding, stored) = match &compressed {
            Some(frame) => (Encoding::Zstd, frame.as_slice()),
            None => (Encoding::Raw, raw),
        };
        self.entries.push(PackEntry {
            id: BlobId::of(raw),
            offset: length(&self.bytes),
            stored_len: length(stored),
            raw_len: length(raw),
            encoding,
            crc32c: crc32c::crc32c(stored),
        });
        self.bytes.extend_from_slice(stored);
        if length(&self.bytes) >= self.seal_len { self.seal() } else { Ok(()) }
    }

    /// Seals the last pack.
    pub(super) fn finish(mut self) -> Result<()> {
        if self.entries.is_empty() { Ok(()) } else { self.seal() }
    }

    fn seal(&mut self) -> Result<()> {
        let time = FIRST_PACK.saturating_add(DAY.saturating_mul(self.made));
        let id = PackId::from_parts(time, u128::from(self.rng.next()));
        self.made = self.made.saturating_add(1);
        self.record(id, time)?;
        self.bytes.extend_from_slice(&encode_footer(&self.entries));
        let path = self.root.join(id.path());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(SampleError::io(folder))?;
        }
        fs::write(&path, &self.bytes).map_err(SampleError::io(&path))?;
        self.bytes.truncate(HEADER.len());
        self.entries.clear();
        Ok(())
    }

    fn record(&mut self, id: PackId, time: u64) -> Result<()> {
        let id = id.to_string();
        let stored_bytes = self.entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.stored_len));
        self.add_pack.execute(params![
            id,
            sql_int(u64::try_from(self.entries.len()).unwrap_or(u64::MAX)),
            sql_int(stored_bytes),
            sql_int(time / 1000)
        ])?;
        for entry in &self.entries {
            self.add_entry.execute(params![
                entry.id.to_string(),
                id,
                sql_int(entry.offset),
                sql_int(entry.stored_len),
                sql_int(entry.raw_len),
                entry.encoding.flags(),
                entry.crc32c
            ])?;
        }
        Ok(())
    }
}

/// Forgets packed content that no row of `attachments` refers to, and removes the packs that hold nothing
/// else.
pub(super) fn remove_unreferenced(conn: &Connection, home: &Home) -> Result<()> {
    if !conn.table_exists(None, "attachment_packs")? {
        return Ok(());
    }
    conn.execute(
        "DELETE FROM attachment_pack_index
         WHERE NOT EXISTS (SELECT 1 FROM attachments WHERE content_hash = blob_hash)
           AND NOT EXISTS (SELECT 1 FROM attachments WHERE thumbnail_hash = blob_hash)",
        [],
    )?;
    let mut empty = conn.prepare(
        "DELETE FROM attachment_packs WHERE pack_id NOT IN (SELECT pack_id FROM attachment_pack_index)
         RETURNING pack_id",
    )?;
    let ids = empty.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    for id in ids {
        let id: PackId = id.parse().map_err(|_| SampleError::Path(id))?;
        let path = home.attachments().join(id.path());
        fs::remove_file(&path).map_err(SampleError::io(&path))?;
    }
    Ok(())
}

/// One frame that states its size, if compressing is worth it.
fn compress(raw: &[u8]) -> Option<Vec<u8>> {
    if length(raw) < MIN_COMPRESSED_LEN {
        return None;
    }
    let frame = zstd::bulk::compress(raw, 3).ok()?;
    keeps_compressed(length(raw), length(&frame)).then_some(frame)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
