//! What the other tests rely on: archives that are reproducible, hold every oddity, and stay sound while they
//! change.

mod days;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use data_encoding::HEXLOWER;
use msgvault_verifier::format::pack::{Encoding, PackEntry, decode_footer, decode_trailer};
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{Churn, Options, SampleError, Summary, churn, make, row_digest, tree_digest};

const BEARS_CONTENT: &str = "content_hash <> '' AND storage_path <> '' AND storage_path NOT LIKE 'http%'";

struct Archive {
    dir: TempDir,
    summary: Summary,
}

impl Archive {
    fn make(options: &Options) -> Self {
        let dir = TempDir::new().unwrap();
        let summary = make(dir.path(), options).unwrap();
        Self { dir, summary }
    }

    fn churn(&mut self, day: &Churn) {
        self.summary = churn(self.home(), day).unwrap();
    }

    fn home(&self) -> &Path {
        self.dir.path()
    }

    fn open(&self) -> Connection {
        Connection::open(self.home().join("msgvault.db")).unwrap()
    }

    fn number(&self, sql: &str) -> i64 {
        self.open().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn text(&self, sql: &str) -> String {
        self.open().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn rows_where(&self, condition: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM attachments WHERE {condition}"))
    }

    fn database_bytes(&self) -> Vec<u8> {
        fs::read(self.home().join("msgvault.db")).unwrap()
    }

    fn digests(&self) -> (String, String) {
        let rows = row_digest(&self.home().join("msgvault.db")).unwrap();
        fs::remove_file(self.home().join("msgvault.db-shm")).ok();
        fs::remove_file(self.home().join("msgvault.db-wal")).ok();
        let files =
            ["attachments", "deletions"].map(|folder| tree_digest(&self.home().join(folder)).unwrap());
        (rows, files.concat())
    }

    /// The database is sound, its full-text index agrees with the bodies, and exactly the recorded files are
    /// there.
    fn assert_sound(&self) {
        let conn = self.open();
        let integrity: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(integrity, "ok");
        conn.execute("INSERT INTO messages_fts(messages_fts, rank) VALUES ('integrity-check', 1)", [])
            .unwrap();
        let dangling: i64 =
            conn.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
        assert_eq!(dangling, 0);
        drop(conn);
        assert_eq!(self.text("PRAGMA journal_mode"), "wal");
        self.assert_recorded_files_exist();
    }

    fn assert_recorded_files_exist(&self) {
        let conn = self.open();
        let sql = format!(
            "SELECT content_hash, storage_path FROM attachments WHERE {BEARS_CONTENT}
             UNION SELECT thumbnail_hash, thumbnail_path FROM attachments
                 WHERE thumbnail_hash <> '' AND thumbnail_path NOT LIKE 'http%'"
        );
        let mut statement = conn.prepare(&sql).unwrap();
        let rows =
            statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
        let mut recorded = 0;
        for row in rows {
            let (hash, path) = row.unwrap();
            let file = self.home().join("attachments").join(path);
            if let Some(bytes) = self.packed_content(&conn, &hash) {
                assert_eq!(HEXLOWER.encode(&Sha256::digest(&bytes)), hash);
                assert!(!file.exists());
                continue;
            }
            let bytes = fs::read(file).unwrap();
            assert_eq!(HEXLOWER.encode(&Sha256::digest(&bytes)), hash);
            recorded += 1;
        }
        assert_eq!(recorded + self.count_packs(), self.summary.attachment_files);
    }

    /// What the index says about a hash, checked against the footer of the pack.
    fn packed_content(&self, conn: &Connection, hash: &str) -> Option<Vec<u8>> {
        conn.table_exists(None, "attachment_pack_index").unwrap().then_some(())?;
        let (pack, offset, crc32c): (String, u64, u32) = conn
            .query_row(
                "SELECT pack_id, pack_offset, crc32c FROM attachment_pack_index WHERE blob_hash = ?",
                [hash],
                |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs(), row.get(2)?)),
            )
            .optional()
            .unwrap()?;
        let path = format!("attachments/packs/{}/{pack}.mvpack", &pack[..2]);
        let file = fs::read(self.home().join(path)).unwrap();
        let entry = pack_entries(&file).into_iter().find(|entry| entry.id.to_string() == hash).unwrap();
        assert_eq!((entry.offset, entry.crc32c), (offset, crc32c));
        let start = usize::try_from(offset).unwrap();
        let stored = &file[start..start + usize::try_from(entry.stored_len).unwrap()];
        Some(match entry.encoding {
            Encoding::Raw => stored.to_vec(),
            Encoding::Zstd => {
                zstd::bulk::decompress(stored, usize::try_from(entry.raw_len).unwrap()).unwrap()
            }
        })
    }

    fn count_packs(&self) -> u64 {
        if self.number("SELECT count(*) FROM sqlite_schema WHERE name = 'attachment_packs'") == 0 {
            return 0;
        }
        self.number("SELECT count(*) FROM attachment_packs").unsigned_abs()
    }
}

fn pack_entries(file: &[u8]) -> Vec<PackEntry> {
    let (rest, trailer) = file.split_last_chunk::<40>().unwrap();
    let trailer = decode_trailer(file.len() as u64, trailer).unwrap();
    decode_footer(&trailer, &rest[usize::try_from(trailer.footer_offset).unwrap()..]).unwrap()
}

fn small() -> Options {
    Options { size: 600 << 10, ..Options::default() }
}

#[test]
fn the_same_seed_makes_the_same_archive_to_the_byte() {
    let one = Archive::make(&small());
    let same = Archive::make(&small());
    let other = Archive::make(&Options { seed: 2, ..small() });

    assert_eq!(one.summary, same.summary);
    assert_eq!(one.digests(), same.digests());
    assert!(one.database_bytes() == same.database_bytes());
    assert_ne!(one.digests().0, other.digests().0);
    assert_ne!(one.digests().1, other.digests().1);
}

#[test]
fn an_archive_has_the_size_that_was_asked_for() {
    for size in [1 << 20, 8 << 20] {
        let archive = Archive::make(&Options { size, ..Options::default() });
        let total = archive.summary.total_bytes();
        assert!((size * 9 / 10..size * 12 / 10).contains(&total), "{size} gave {total}");
        assert!(archive.summary.messages > 50 && archive.summary.attachment_blobs > 50);
        archive.assert_sound();
    }
}

#[test]
fn every_page_size_works() {
    for page_size in [512, 1024, 8192, 16384, 32768, 65536] {
        let mut archive = Archive::make(&Options { page_size, messages: Some(40), ..small() });
        assert_eq!(archive.summary.page_size, u64::from(page_size));
        archive.churn(&Churn { vacuum: true, ..Churn::default() });
        assert_eq!(archive.summary.page_size, u64::from(page_size));
        archive.assert_sound();
    }
    for page_size in [0, 256, 4095, 131_072] {
        let dir = TempDir::new().unwrap();
        let error = make(dir.path(), &Options { page_size, ..small() }).unwrap_err();
        assert!(matches!(error, SampleError::PageSize(size) if size == page_size));
    }
}

#[test]
fn the_attachment_table_shows_what_life_has_shown() {
    let archive = Archive::make(&small());
    let empty = HEXLOWER.encode(&Sha256::digest([]));
    assert!(archive.rows_where(&format!("content_hash = '{empty}'")) >= 2);
    for size in [1023, 1024, 1025] {
        assert!(archive.rows_where(&format!("size = {size}")) >= 2);
    }
    assert!(archive.rows_where("size IS NULL") >= 1);
    assert!(archive.rows_where("size = 7") == 1, "a row that records too small a size");
    assert!(archive.number("SELECT max(n) FROM (SELECT count(*) n FROM attachments WHERE content_hash <> '' GROUP BY content_hash)") >= 8);
    assert!(archive.rows_where("thumbnail_hash IS NOT NULL AND thumbnail_path NOT LIKE 'http%'") >= 4);
    assert!(archive.rows_where("thumbnail_hash = content_hash") >= 1);
    assert!(archive.rows_where("thumbnail_path LIKE 'https://%'") == 1);
    for prefix in ["http://", "https://", "HTTPS://"] {
        assert!(archive.rows_where(&format!("storage_path GLOB '{prefix}*' AND content_hash <> ''")) >= 1);
    }
    assert!(archive.rows_where("content_hash LIKE 'synthetic-%' AND storage_path = ''") == 1);
    assert!(archive.rows_where("content_hash = ''") >= 2);
    assert!(archive.rows_where("content_hash IS NULL") >= 1);
    let elsewhere = "storage_path <> substr(content_hash, 1, 2) || '/' || content_hash";
    assert_eq!(archive.rows_where(&format!("{BEARS_CONTENT} AND {elsewhere}")), 0);
}

#[test]
fn the_oddities_can_be_left_out() {
    let archive = Archive::make(&Options { null_sizes: false, rows_without_content: false, ..small() });
    assert_eq!(archive.rows_where("size IS NULL"), 0);
    assert_eq!(archive.rows_where(&format!("NOT coalesce({BEARS_CONTENT}, 0)")), 0);
}

#[test]
fn a_namespaced_archive_records_a_hash_at_two_paths() {
    let mut archive = Archive::make(&Options { namespaced: true, ..small() });
    assert!(archive.rows_where("storage_path LIKE 'synctech-sms/%'") > 5);
    let twice =
        "SELECT count(*) FROM (SELECT 1 FROM attachments WHERE content_hash <> '' GROUP BY content_hash
                 HAVING count(DISTINCT storage_path) = 2)";
    assert!(archive.number(twice) >= 1);
    archive.assert_sound();
    archive.churn(&Churn { remove_attachments: 40, ..Churn::default() });
    archive.assert_sound();
}

#[test]
fn a_packed_archive_has_half_of_its_content_in_packs() {
    let options = Options { packed: true, namespaced: true, ..small() };
    let mut archive = Archive::make(&options);
    assert_eq!(archive.digests(), Archive::make(&options).digests());
    let packed = archive.number("SELECT count(*) FROM attachment_pack_index");
    let blobs = i64::try_from(archive.summary.attachment_blobs).unwrap();
    assert!(packed > blobs / 4 && packed < blobs * 3 / 4, "{packed} of {blobs}");
    assert!(archive.number("SELECT count(*) FROM attachment_packs") > 1);
    assert_eq!(archive.number("SELECT sum(entry_count) FROM attachment_packs"), packed);
    assert!(archive.number("SELECT count(DISTINCT flags) FROM attachment_pack_index") == 2);
    archive.assert_sound();

    archive.churn(&Churn { remove_attachments: 50, ..Churn::default() });
    assert!(archive.number("SELECT count(*) FROM attachment_pack_index") < packed);
    archive.assert_sound();

    let nothing_new = Churn { attachments: false, remove_attachments: 100, ..Churn::default() };
    archive.churn(&Churn { day: 2, ..nothing_new });
    assert_eq!(archive.number("SELECT count(*) FROM attachment_packs"), 0);
    assert_eq!(archive.summary.attachment_files, 0);
}

#[test]
fn attachments_and_messages_can_be_absent_or_counted() {
    let none = Archive::make(&Options { attachments: Some(0), ..small() });
    assert_eq!((none.summary.attachment_rows, none.summary.attachment_files), (0, 0));
    assert!(none.summary.messages > 50);

    let silent = Archive::make(&Options { messages: Some(0), ..small() });
    assert_eq!((silent.summary.messages, silent.summary.conversations), (0, 0));
    assert!(silent.summary.attachment_files > 20);
    silent.assert_sound();

    let counted = Archive::make(&Options { messages: Some(77), attachments: Some(123), ..small() });
    assert_eq!(counted.summary.messages, 77);
    assert_eq!(
        counted
            .number(&format!("SELECT count(DISTINCT content_hash) FROM attachments WHERE {BEARS_CONTENT}")),
        123
    );

    let wide = Archive::make(&Options { attachments: Some(40), attachment_rows: Some(3000), ..small() });
    assert_eq!(wide.summary.attachment_rows, 3000);
    wide.assert_sound();

    let remote = Archive::make(&Options { attachments: Some(0), attachment_rows: Some(9), ..small() });
    assert_eq!((remote.summary.attachment_rows, remote.summary.attachment_blobs), (9, 0));
}

#[test]
fn the_smallest_database_is_one_page() {
    for page_size in [1024, 4096, 65536] {
        let archive = Archive::make(&Options { single_page: true, page_size, ..small() });
        assert_eq!(archive.summary.page_count, 1);
        assert_eq!(archive.number("SELECT count(sent_at) FROM messages"), 0);
        let error = churn(archive.home(), &Churn::default()).unwrap_err();
        assert!(matches!(error, SampleError::NotAnArchive(_)));
    }
    let dir = TempDir::new().unwrap();
    let error = make(dir.path(), &Options { single_page: true, page_size: 512, ..small() }).unwrap_err();
    assert!(matches!(error, SampleError::SinglePage(512)));
}

#[test]
fn the_home_has_its_layout_and_modes() {
    let archive = Archive::make(&Options { secrets: true, derived_state: true, ledger: true, ..small() });
    let mode = |path: &str| fs::metadata(archive.home().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("client_secret_x.json"), 0o600);
    assert_eq!(mode("tokens/ada@example.org.json"), 0o600);
    assert_eq!(mode("config.toml"), 0o600);
    assert_eq!(mode("deletions/completed/before-the-archive.json"), 0o644);
    assert_eq!(mode("deletions/pending/big-newsletters.json"), 0o600);
    assert_eq!(mode("logs/daemon.log"), 0o644);
    assert!(!archive.home().join("msgvault.db-wal").exists());
    assert_eq!(archive.number("SELECT sum(balance) FROM ledger"), 100_000);

    let error = make(archive.home(), &small()).unwrap_err();
    assert!(matches!(error, SampleError::Exists(_)));
}

#[test]
fn messages_begin_on_the_first_day() {
    let archive = Archive::make(&Options { start: "2019-12-31".to_owned(), ..small() });
    assert!(archive.text("SELECT min(sent_at) FROM messages").starts_with("2019-12-31 00:"));
    assert!(archive.number("SELECT count(*) FROM messages WHERE reply_to_id IS NOT NULL") > 20);

    let dir = TempDir::new().unwrap();
    let error = make(dir.path(), &Options { start: "yesterdayish".to_owned(), ..small() }).unwrap_err();
    assert!(matches!(error, SampleError::Start(_)));
}
