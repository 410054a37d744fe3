//! Snapshots whose parts do not fit, although every hash is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::page_map::MapKind;
use msgvault_verifier::snapshot::SnapshotError;
use msgvault_verifier::store::{Store, StoreEntry, StoreError};
use msgvault_verifier::verify::{self, Depth, ProblemCode, Scope, Verdict};
use rusqlite::Connection;

use crate::archive::content_table::canonical_path;
use crate::archive::samples::attach;
use crate::archive::schema::SchemaError;

use super::tiny::Tiny;
use super::*;

/// Restores over an old archive, which must not change.
fn refused(tiny: &Tiny) -> RestoreError {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    let snapshot = tiny.write(&root);
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("msgvault.db"), "old").unwrap();
    let before = tree(&home);
    let error = restore(&(), &root, &snapshot, &home, |request| request.overwrite = true).unwrap_err();
    let mut after = tree(&home);
    after.retain(|path, _| !path.starts_with("attachments/"));
    assert_eq!(after, before, "{error}");
    assert!(!folder.path().join("outside").exists(), "{error}");
    error
}

/// What a full verification finds wrong.
fn found_by_verify(tiny: &Tiny) -> Vec<ProblemCode> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    tiny.write(&root);
    let repository = Repository::open(DirectoryStore::new(root), Zstd).unwrap();
    verify::verify(&repository, &Scope::All, Depth::Full, &())
        .problems
        .iter()
        .map(|problem| problem.code)
        .collect()
}

/// A medium of which one opening of a file fails, or the listing of a folder.
struct Flaky {
    unlisted: &'static str,
    files: DirectoryStore,
    opened: AtomicU32,
    fails: AtomicU32,
}

impl Flaky {
    fn new(unlisted: &'static str, root: &Path) -> Self {
        let never = || AtomicU32::new(0);
        Self { unlisted, files: DirectoryStore::new(root), opened: never(), fails: never() }
    }
}

impl Store for Flaky {
    fn list(&self, folder: &str) -> Result<Vec<StoreEntry>, StoreError> {
        if folder == self.unlisted {
            return Err(StoreError::Unreadable {
                path: folder.to_owned(),
                reason: "a bad sector".to_owned(),
            });
        }
        self.files.list(folder)
    }

    fn open(&self, path: &str) -> Result<Box<dyn msgvault_verifier::store::StoreFile + '_>, StoreError> {
        if self.opened.fetch_add(1, Ordering::Relaxed) + 1 == self.fails.load(Ordering::Relaxed) {
            return Err(StoreError::Unreadable { path: path.to_owned(), reason: "once".to_owned() });
        }
        self.files.open(path)
    }
}

#[test]
fn a_medium_that_fails_once_is_never_called_intact() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    Tiny::sample().write(&root);
    let store = Arc::new(Flaky::new("-", &root));
    let repository = Repository::open(Arc::clone(&store), Zstd).unwrap();
    for depth in [Depth::Quick, Depth::Full] {
        for nth in 1.. {
            store.opened.store(0, Ordering::Relaxed);
            store.fails.store(nth, Ordering::Relaxed);
            let report = verify::verify(&repository, &Scope::All, depth, &());
            if store.opened.load(Ordering::Relaxed) < nth {
                assert_eq!(report.verdict, Verdict::Intact);
                break;
            }
            assert_eq!(report.verdict, Verdict::Damaged, "{depth:?}, opening {nth}");
        }
    }
}

#[test]
fn index_files_that_cannot_be_listed_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    Tiny::sample().write(&root);
    let repository = Repository::open(Flaky::new("indexes", &root), Zstd).unwrap();
    let report = verify::verify(&repository, &Scope::All, Depth::Full, &());
    let told = |problem: &verify::Problem| {
        problem.code == ProblemCode::IndexDamaged && problem.detail.contains("a bad sector")
    };
    assert!(report.problems.iter().any(told), "{}", report.to_text());
}

fn with_attachment_at(path: &str) -> Tiny {
    let content = b"content".to_vec();
    let mut tiny = Tiny::new("delete", |db| attach(db, 1, (&BlobId::of(&content).to_string(), path), None));
    tiny.attachments = vec![content];
    tiny
}

#[test]
fn numbers_that_differ_from_the_manifest_are_no_proof() {
    let mut tiny = Tiny::sample();
    tiny.stats = tiny.stats.replace(r#""messages":1"#, r#""messages":2"#);
    assert!(matches!(refused(&tiny), RestoreError::Proof { .. }));
    tiny.stats = r#"{"of":"another program"}"#.to_owned();
    assert!(matches!(refused(&tiny), RestoreError::Proof { .. }));
}

#[test]
fn a_page_must_have_its_hash() {
    let mut tiny = Tiny::sample();
    tiny.wrong_pages = vec![3];
    assert!(matches!(refused(&tiny), RestoreError::Page { page: 3, .. }));
}

#[test]
fn verify_finds_a_delta_taken_for_a_keyframe() {
    assert_eq!(found_by_verify(&Tiny::sample()), []);
    let mut tiny = Tiny::sample();
    tiny.map_kind = MapKind::Delta;
    assert!(matches!(refused(&tiny), RestoreError::Snapshot(SnapshotError::Chain { .. })));
    assert_eq!(found_by_verify(&tiny), [ProblemCode::ChainBroken]);
}

#[test]
fn attachments_are_exactly_those_of_the_database() {
    let mut tiny = Tiny::sample();
    tiny.attachments.push(b"nobody wants it".to_vec());
    assert!(matches!(refused(&tiny), RestoreError::NotReferenced { .. }));
    tiny.attachments.truncate(1);
    assert!(matches!(refused(&tiny), RestoreError::NotListed { .. }));
}

#[test]
fn attachment_paths_stay_below_the_attachments() {
    for path in ["../outside", "/outside", "a/../../../outside", "a./b", "a\u{0}b"] {
        let error = refused(&with_attachment_at(path));
        let unsafe_path = matches!(error, RestoreError::Schema(SchemaError::UnsafePath { .. }));
        assert!(unsafe_path, "{path:?}: {error}");
    }
    restore_and_read(&with_attachment_at("./a//b"), "attachments/a/b");
}

fn restore_and_read(tiny: &Tiny, path: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    let snapshot = tiny.write(&root);
    let home = folder.path().join("home");
    restore(&(), &root, &snapshot, &home, |_| ()).unwrap();
    fs::read(home.join(path)).unwrap()
}

#[test]
fn extras_stay_off_the_archive_and_in_the_target() {
    for path in
        ["../outside", "/outside", "msgvault.db", "attachments/x", "MSGVAULT.DB-wal", "x/../../outside"]
    {
        let mut tiny = Tiny::sample();
        tiny.extras = vec![(path, 0o600, b"x")];
        assert!(matches!(refused(&tiny), RestoreError::Snapshot(SnapshotError::Object { .. })), "{path}");
    }
    let mut tiny = Tiny::sample();
    tiny.extras = vec![("a", 0o600, b"x"), ("A", 0o600, b"y")];
    assert!(matches!(refused(&tiny), RestoreError::Snapshot(_)));
    // A file where another one needs a folder.
    tiny.extras = vec![("a", 0o600, b"x"), ("a/b", 0o600, b"y")];
    assert!(matches!(refused(&tiny), RestoreError::Snapshot(_)));
    assert_eq!(found_by_verify(&tiny), [ProblemCode::ObjectInvalid]);
}

#[test]
fn what_is_no_database_is_not_published() {
    let mut tiny = Tiny::sample();
    tiny.database = b"no database ".repeat(4096);
    let error = refused(&tiny);
    assert!(matches!(error, RestoreError::Sqlite(_) | RestoreError::Schema(_)), "{error}");
}

#[test]
fn triggers_and_views_of_a_restored_schema_never_run() {
    let mut tiny = Tiny::new("delete", |db| {
        packed(db);
        db.execute_batch(
            "CREATE TRIGGER harm AFTER DELETE ON attachment_packs BEGIN
                INSERT INTO messages (sent_at) VALUES ('by the trigger'); END;",
        )
        .unwrap();
    });
    let database = open_restored(&tiny);
    let messages: i64 = database.query_row("SELECT COUNT(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(messages, 0);

    tiny = Tiny::new("delete", |db| {
        db.execute_batch("ALTER TABLE labels RENAME TO hidden; CREATE VIEW labels AS SELECT * FROM hidden")
            .unwrap();
    });
    assert!(matches!(refused(&tiny), RestoreError::Schema(SchemaError::NotAnArchive { .. })));
}

#[test]
fn columns_that_a_hostile_schema_computes_are_not_read() {
    let tiny = Tiny::new("delete", |db| {
        db.execute_batch(
            "ALTER TABLE attachments RENAME TO stored;
             CREATE TABLE attachments (id INTEGER PRIMARY KEY, size, thumbnail_hash, thumbnail_path, storage_path,
                content_hash AS (printf('%.1000c', id)));
             INSERT INTO attachments (id, storage_path) VALUES (1, 'x');",
        )
        .unwrap();
    });
    let error = refused(&tiny);
    assert!(matches!(error, RestoreError::Schema(SchemaError::Computed { .. })), "{error}");
}

#[test]
fn no_check_computes_a_value_longer_than_the_database() {
    let tiny = Tiny::new("delete", |db| {
        db.execute_batch(
            "CREATE TABLE more (id INTEGER PRIMARY KEY); INSERT INTO more DEFAULT VALUES;
             CREATE INDEX lengths ON more (length(printf('%.64000000c', id)));",
        )
        .unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    let snapshot = tiny.write(&root);
    let home = folder.path().join("home");
    let error = restore(&(), &root, &snapshot, &home, |request| request.integrity_check = true).unwrap_err();
    assert!(error.to_string().contains("too big"), "{error}");
}

/// Puts rows into the tables of packed attachments.
fn packed(db: &Connection) {
    db.execute_batch(
        "CREATE TABLE attachment_pack_index (blob_hash TEXT PRIMARY KEY, pack_id TEXT, pack_offset, stored_len,
            raw_len, flags, crc32c);
         CREATE TABLE attachment_packs (pack_id TEXT PRIMARY KEY, entry_count, stored_bytes, created_at TEXT);
         INSERT INTO attachment_pack_index VALUES ('aa', 'p', 6, 1, 1, 0, 0);
         INSERT INTO attachment_packs VALUES ('p', 1, 1, '');",
    )
    .unwrap();
}

/// The database that a snapshot restores to, with its tables of packed attachments emptied.
fn open_restored(tiny: &Tiny) -> Connection {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    let snapshot = tiny.write(&root);
    let home = folder.path().join("home");
    let report = restore(&(), &root, &snapshot, &home, |request| request.integrity_check = true).unwrap();
    assert!(report.pack_tables_emptied && report.integrity_checked);
    assert_eq!(tree(&home).len(), 1 + tiny.attachments.len());
    let copy = tempfile::NamedTempFile::new().unwrap();
    fs::copy(home.join("msgvault.db"), copy.path()).unwrap();
    let mut memory = Connection::open_in_memory().unwrap();
    memory.execute("ATTACH ?1 AS restored", [copy.path().to_str().unwrap()]).map(drop).unwrap();
    let tables = ["messages", "attachments", "attachment_pack_index", "attachment_packs"];
    let transaction = memory.transaction().unwrap();
    for table in tables {
        transaction
            .execute_batch(&format!("CREATE TABLE main.{table} AS SELECT * FROM restored.{table}"))
            .unwrap();
    }
    transaction.commit().unwrap();
    memory.execute_batch("DETACH restored").unwrap();
    memory
}

#[test]
fn tables_of_packed_attachments_are_emptied_because_everything_is_loose_then() {
    for journal_mode in ["wal", "delete"] {
        let content = b"content".to_vec();
        let id = BlobId::of(&content);
        let mut tiny = Tiny::new(journal_mode, |db| {
            attach(db, 1, (&id.to_string(), &canonical_path(&id)), None);
            packed(db);
        });
        tiny.attachments = vec![content];
        let database = open_restored(&tiny);
        for table in ["attachment_pack_index", "attachment_packs"] {
            let sql = format!("SELECT COUNT(*) FROM {table}");
            assert_eq!(database.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
        }
    }
}

#[test]
fn rows_that_refer_to_packs_stay_with_them() {
    for action in ["CASCADE", "RESTRICT"] {
        let tiny = Tiny::new("wal", |db| {
            packed(db);
            let column = format!("pack_id TEXT REFERENCES attachment_packs ON DELETE {action}");
            db.execute_batch(&format!(
                "ALTER TABLE messages ADD COLUMN {column}; INSERT INTO messages (pack_id) VALUES ('p')"
            ))
            .unwrap();
        });
        let database = open_restored(&tiny);
        let messages: i64 =
            database.query_row("SELECT COUNT(*) FROM messages", [], |row| row.get(0)).unwrap();
        assert_eq!(messages, 1, "{action}");
    }
}

#[test]
fn a_rehearsal_proves_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    let mut tiny = Tiny::sample();
    let snapshot = tiny.write(&root);
    let scratch = folder.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    let context = Context { observer: &(), now: &|| Timestamp::UNIX_EPOCH, random: &|| 1 };
    let rehearse_all = |root: &Path, snapshot: &SnapshotId| {
        let repository = Repository::open(DirectoryStore::new(root), Zstd).unwrap();
        let result = rehearse(&context, &repository, snapshot, &scratch, 1);
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
        result
    };
    rehearse_all(&root, &snapshot).unwrap();

    tiny.stats = "{}".to_owned();
    let root = folder.path().join("another");
    let snapshot = tiny.write(&root);
    assert!(matches!(rehearse_all(&root, &snapshot), Err(RestoreError::Proof { .. })));
}

#[test]
fn a_disclosure_is_reported_and_a_broken_one_refused() {
    let mut tiny = Tiny::sample();
    tiny.disclosure = Some(r#"{"schema_version":1,"documents":2,"normalized_plaintext":true}"#);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    let snapshot = tiny.write(&root);
    let report = restore(&(), &root, &snapshot, &folder.path().join("home"), |_| ()).unwrap();
    let [disclosure] = &report.disclosures[..] else { panic!("{report:?}") };
    assert_eq!((disclosure.counts["documents"], disclosure.flags["normalized_plaintext"]), (2, true));

    tiny.disclosure = Some(r#"{"schema_version":3}"#);
    assert!(matches!(refused(&tiny), RestoreError::Disclosure { .. }));
}

#[test]
fn an_unknown_artifact_is_refused_by_restore_and_told_by_verify() {
    let mut tiny = Tiny::sample();
    (tiny.disclosure, tiny.artifact) = (Some(r#"{"schema_version":1}"#), "fulltext");
    let error = refused(&tiny);
    assert!(matches!(&error, RestoreError::UnknownArtifact { name } if name == "fulltext"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    tiny.write(folder.path());
    let repository = Repository::open(DirectoryStore::new(folder.path()), Zstd).unwrap();
    let report = verify::verify(&repository, &Scope::All, Depth::Full, &());
    let codes: Vec<_> = report.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [ProblemCode::ArtifactUnknown]);
    assert!(report.needs_newer_program());
}
