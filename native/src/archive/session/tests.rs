use std::cell::{Cell, RefCell};
use std::os::unix::fs::FileExt;

use tempfile::TempDir;

use super::super::samples::database;
use super::*;

fn archive(journal_mode: &str) -> (TempDir, PathBuf, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("msgvault.db");
    let connection = database(&path, journal_mode);
    (dir, path, connection)
}

fn never(_: Duration) {
    panic!("waited");
}

fn insert(connection: &Connection) -> rusqlite::Result<usize> {
    connection
        .execute("INSERT INTO messages (sent_at, body) VALUES ('2026-01-01', hex(randomblob(5000)))", [])
}

/// The scan: every page of the main file.
fn scan(pinned: &Pinned) -> Vec<u8> {
    let bytes = pinned.page_count() * pinned.page_size().bytes();
    let mut scanned = vec![0; usize::try_from(bytes).unwrap()];
    pinned.file().read_exact_at(&mut scanned, 0).unwrap();
    scanned
}

/// Opens scanned bytes as a database of their own and counts the messages.
fn messages_in(scanned: &[u8]) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("copy.db");
    std::fs::write(&path, scanned).unwrap();
    let copy = Connection::open(&path).unwrap();
    assert_eq!(copy.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    schema::stats(&copy).unwrap().messages
}

/// Does something when the session reaches a point.
struct At<F: Fn()> {
    point: &'static str,
    action: F,
    reached: Cell<bool>,
    warnings: RefCell<Vec<String>>,
}

impl<F: Fn()> At<F> {
    fn new(point: &'static str, action: F) -> Self {
        Self { point, action, reached: Cell::new(false), warnings: RefCell::default() }
    }
}

impl<F: Fn()> Observer for At<F> {
    fn warn(&self, message: &str) {
        self.warnings.borrow_mut().push(message.to_owned());
    }

    fn reached(&self, point: &'static str) -> io::Result<()> {
        if point == self.point {
            self.reached.set(true);
            (self.action)();
        }
        Ok(())
    }
}

#[test]
fn the_scanned_file_stands_still_while_a_writer_writes_and_checkpoints() {
    let (_dir, path, live) = archive("wal");
    insert(&live).unwrap();
    let pinned = Session::open(&path, &()).unwrap().pin(&(), &never).unwrap();
    pinned.check_same_file().unwrap();
    assert_eq!(pinned.stats().unwrap().messages, 1);

    let before = scan(&pinned);
    for _ in 0..50 {
        insert(&live).unwrap();
        checkpoint(&live, "PASSIVE").unwrap();
    }
    assert_eq!(scan(&pinned), before);
    assert_eq!(messages_in(&before), 1);
    assert_eq!(pinned.stats().unwrap().messages, 1);
    assert!(pinned.recorded_contents().unwrap().contents.is_empty());

    // Once it is closed, the live log can be copied again.
    pinned.let_go().unwrap();
    assert!(checkpoint(&live, "TRUNCATE").unwrap());
    assert_eq!(messages_in(&std::fs::read(&path).unwrap()), 51);
}

/// The same steps without the write lock: this is what holding it is for.
#[test]
fn without_the_write_lock_checkpoints_change_the_file() {
    let (_dir, path, live) = archive("wal");
    live.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    insert(&live).unwrap();
    let reader = Connection::open(&path).unwrap();
    assert!(checkpoint(&reader, "PASSIVE").unwrap());
    // A writer slips in between the checkpoint and the read mark.
    insert(&live).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT 1 FROM sqlite_master LIMIT 1", [], |_| Ok(())).unwrap();
    let before = std::fs::read(&path).unwrap();
    checkpoint(&live, "PASSIVE").unwrap();
    assert!(std::fs::read(&path).unwrap() != before, "the reader does not keep the main file as it is");
}

#[test]
fn no_foreign_writer_slips_in_between_checkpoint_and_read_mark() {
    for point in ["session.checkpointed", "session.marked"] {
        let (_dir, path, live) = archive("wal");
        insert(&live).unwrap();
        live.busy_timeout(Duration::ZERO).unwrap();
        let observer = At::new(point, || {
            let refused = insert(&live).unwrap_err();
            assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::DatabaseBusy), "{refused}");
        });
        let pinned = Session::open(&path, &()).unwrap().pin(&observer, &never).unwrap();
        assert!(observer.reached.get(), "{point}");
        // Afterwards it can write, and its frames stay in the log.
        insert(&live).unwrap();
        assert_eq!(messages_in(&scan(&pinned)), 1, "{point}");
    }
}

/// A reader that began before the last write, so that the write stays in the log.
fn reader_of_an_old_state(path: &Path, live: &Connection) -> Connection {
    let reader = Connection::open(path).unwrap();
    insert(live).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT COUNT(*) FROM messages", [], |_| Ok(())).unwrap();
    insert(live).unwrap();
    reader
}

#[test]
fn an_old_reader_does_not_block_writers_at_checkpoints() {
    let (_dir, path, live) = archive("wal");
    insert(&live).unwrap();
    let _old_reader = reader_of_an_old_state(&path, &live);
    live.busy_timeout(BUSY_TIMEOUT / 2).unwrap();
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| Session::open(&path, &()).map(drop));
        while !opening.is_finished() {
            insert(&live).unwrap();
        }
        opening.join().unwrap().unwrap();
    });
}

#[test]
fn the_write_lock_is_taken_as_soon_as_it_is_free() {
    let (_dir, path, live) = archive("wal");
    let session = Session::open(&path, &()).unwrap();
    live.execute_batch("BEGIN IMMEDIATE").unwrap();
    insert(&live).unwrap();
    let waited = Cell::new(0);
    let wait = |time: Duration| {
        assert_eq!(time, Duration::from_millis(1));
        waited.set(waited.get() + 1);
        if waited.get() == 3 {
            live.execute_batch("COMMIT").unwrap();
        }
    };
    let pinned = session.pin(&(), &wait).unwrap();
    assert_eq!((waited.get(), messages_in(&scan(&pinned))), (3, 1));
}

#[test]
fn a_write_lock_that_is_never_free_fails_after_bounded_tries() {
    let (_dir, path, live) = archive("wal");
    let session = Session::open(&path, &()).unwrap();
    live.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waited = Cell::new(0);
    let pinned = session.pin(&(), &|_| waited.set(waited.get() + 1));
    assert!(matches!(pinned, Err(SessionError::Busy { .. })));
    assert_eq!(waited.get(), 4999);
}

#[test]
fn frames_that_an_old_reader_holds_back_are_waited_for() {
    let (_dir, path, live) = archive("wal");
    insert(&live).unwrap();
    let session = Session::open(&path, &()).unwrap();
    let old_reader = reader_of_an_old_state(&path, &live);
    let waited = Cell::new(0);
    let wait = |time: Duration| {
        assert_eq!(time, Duration::from_millis(100));
        waited.set(waited.get() + 1);
        if waited.get() == 3 {
            old_reader.execute_batch("COMMIT").unwrap();
        }
    };
    let pinned = session.pin(&(), &wait).unwrap();
    assert_eq!((waited.get(), messages_in(&scan(&pinned))), (3, 3));
}

#[test]
fn a_log_that_is_never_copied_fails_after_bounded_tries() {
    let (_dir, path, live) = archive("wal");
    insert(&live).unwrap();
    let session = Session::open(&path, &()).unwrap();
    let _old_reader = reader_of_an_old_state(&path, &live);
    let waited = Cell::new(0);
    let pinned = session.pin(&(), &|_| waited.set(waited.get() + 1));
    assert!(matches!(pinned, Err(SessionError::LogNotCopied { .. })));
    assert_eq!(waited.get(), 549);
    // The lock went with the session.
    insert(&live).unwrap();
}

#[test]
fn a_database_without_a_log_is_captured_with_a_warning() {
    let (_dir, path, live) = archive("delete");
    insert(&live).unwrap();
    live.busy_timeout(Duration::ZERO).unwrap();
    let observer = At::new("session.checkpointed", || assert!(insert(&live).is_err()));
    let pinned = Session::open(&path, &()).unwrap().pin(&observer, &never).unwrap();
    assert_eq!(observer.warnings.borrow().len(), 1);
    assert_eq!(messages_in(&scan(&pinned)), 1);
    assert!(insert(&live).is_err());
    pinned.let_go().unwrap();
    insert(&live).unwrap();
}

#[test]
fn a_replaced_database_is_noticed() {
    let (dir, path, live) = archive("wal");
    drop(live);
    let pinned = Session::open(&path, &()).unwrap().pin(&(), &never).unwrap();
    std::fs::rename(&path, dir.path().join("moved.db")).unwrap();
    assert!(matches!(pinned.check_same_file(), Err(SessionError::Replaced { .. })));
    drop(database(&path, "wal"));
    assert!(matches!(pinned.check_same_file(), Err(SessionError::Replaced { .. })));
}

#[test]
fn what_is_no_archive_says_so_and_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.db");
    assert!(matches!(Session::open(&missing, &()), Err(SessionError::Missing { .. })));
    assert!(!missing.exists());
    assert!(matches!(Session::open(dir.path(), &()), Err(SessionError::NotADatabase { .. })));

    let text = dir.path().join("text.db");
    std::fs::write(&text, "no database, but long enough to have a header\n".repeat(100)).unwrap();
    assert!(matches!(Session::open(&text, &()), Err(SessionError::NotADatabase { .. })));

    let empty = dir.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    let error = Session::open(&empty, &()).unwrap_err();
    assert!(
        matches!(error, SessionError::Schema { source: SchemaError::NotAnArchive { .. }, .. }),
        "{error}"
    );
    assert_eq!(std::fs::metadata(&empty).unwrap().len(), 0);
}

#[test]
fn a_library_that_can_corrupt_is_refused() {
    for (number, trusted) in [(3_007_000, false), (3_051_002, false), (3_051_003, true), (3_054_001, true)] {
        assert_eq!(check_library(number, "x").is_ok(), trusted, "{number}");
    }
}

/// Makes a folder and what is in it unwritable until dropped; `None` for whoever may write everywhere.
struct ReadOnlyFolder(PathBuf);

impl ReadOnlyFolder {
    fn new(folder: &Path) -> Option<Self> {
        set_modes(folder, 0o555, 0o444);
        let unwritable = Self(folder.to_owned());
        if platform::may_write(folder) {
            eprintln!("SKIPPED: permissions do not bind this user");
            return None;
        }
        Some(unwritable)
    }
}

impl Drop for ReadOnlyFolder {
    fn drop(&mut self) {
        set_modes(&self.0, 0o755, 0o644);
    }
}

fn set_modes(folder: &Path, folder_mode: u32, file_mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set(folder, 0o755);
    for entry in std::fs::read_dir(folder).unwrap() {
        set(&entry.unwrap().path(), file_mode);
    }
    set(folder, folder_mode);
}

/// A folder with a copy of the files of a database that is in use, as in a snapshot of the file system.
fn snapshot_of(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["msgvault.db", "msgvault.db-wal"] {
        std::fs::copy(dir.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[test]
fn a_read_only_database_without_a_log_is_read_as_it_is() {
    let (dir, path, connection) = archive("wal");
    insert(&connection).unwrap();
    drop(connection);
    let Some(_unwritable) = ReadOnlyFolder::new(dir.path()) else { return };
    let before = std::fs::read_dir(dir.path()).unwrap().count();
    let pinned = Session::open(&path, &()).unwrap().pin(&(), &never).unwrap();
    pinned.check_same_file().unwrap();
    assert_eq!(messages_in(&scan(&pinned)), 1);
    pinned.let_go().unwrap();
    assert!(pinned.place().connect().is_ok());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), before);
}

#[test]
fn a_read_only_database_with_a_log_is_read_through_a_copy() {
    let (live, _, connection) = archive("wal");
    insert(&connection).unwrap();
    let dir = snapshot_of(live.path());
    let Some(_unwritable) = ReadOnlyFolder::new(dir.path()) else { return };
    let observer = At::new("", || {});
    let path = dir.path().join("msgvault.db");
    let pinned = Session::open(&path, &observer).unwrap().pin(&observer, &never).unwrap();
    assert!(observer.warnings.borrow()[0].contains("cannot be written to here"));
    assert_eq!(messages_in(&scan(&pinned)), 1);
    let copy = pinned.place();
    pinned.let_go().unwrap();
    assert!(copy.path().exists() && !copy.path().starts_with(dir.path()));
    drop(pinned);
    assert!(!copy.path().exists());
}

#[test]
fn a_change_behind_a_read_only_database_is_noticed() {
    let (dir, path, connection) = archive("wal");
    insert(&connection).unwrap();
    drop(connection);
    let Some(unwritable) = ReadOnlyFolder::new(dir.path()) else { return };
    let pinned = Session::open(&path, &()).unwrap().pin(&(), &never).unwrap();
    drop(unwritable);
    insert(&Connection::open(&path).unwrap()).unwrap();
    assert!(matches!(pinned.let_go(), Err(SessionError::Changed { .. })));
}
