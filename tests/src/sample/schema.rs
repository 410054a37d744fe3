//! The database of a sample archive: the tables that a backup queries, and enough around them to scatter
//! changes.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{Result, SampleError};

/// Random identifiers and several indexes per table make one new message touch pages all over the file.
/// Triggers keep the full-text index in step with the bodies.
const TABLES: &str = "
CREATE TABLE sources (id INTEGER PRIMARY KEY, source_type TEXT NOT NULL, identifier TEXT NOT NULL,
    last_sync_at TEXT);
CREATE TABLE account_identities (id INTEGER PRIMARY KEY, source_id INTEGER NOT NULL REFERENCES sources(id),
    address TEXT NOT NULL);
CREATE TABLE participants (id INTEGER PRIMARY KEY, display_name TEXT, address TEXT NOT NULL UNIQUE);
CREATE TABLE labels (id INTEGER PRIMARY KEY, source_id INTEGER NOT NULL REFERENCES sources(id), name TEXT NOT NULL,
    UNIQUE (source_id, name));
CREATE TABLE conversations (id INTEGER PRIMARY KEY, source_id INTEGER NOT NULL REFERENCES sources(id), title TEXT,
    message_count INTEGER NOT NULL DEFAULT 0, last_message_at INTEGER);
CREATE TABLE messages (id INTEGER PRIMARY KEY,
    conversation_id INTEGER NOT NULL REFERENCES conversations(id),
    source_id INTEGER NOT NULL REFERENCES sources(id),
    source_message_id TEXT NOT NULL,
    reply_to_id INTEGER REFERENCES messages(id) ON DELETE SET NULL,
    sender_id INTEGER REFERENCES participants(id),
    sent_at DATETIME, subject TEXT, snippet TEXT,
    is_read INTEGER NOT NULL DEFAULT 0, has_attachments INTEGER NOT NULL DEFAULT 0);
CREATE TABLE message_bodies (message_id INTEGER PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE,
    body TEXT NOT NULL);
CREATE TABLE message_labels (message_id INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
    label_id INTEGER NOT NULL REFERENCES labels(id), PRIMARY KEY (message_id, label_id)) WITHOUT ROWID;
CREATE TABLE attachments (id INTEGER PRIMARY KEY,
    message_id INTEGER REFERENCES messages(id) ON DELETE CASCADE,
    filename TEXT, mime_type TEXT, size INTEGER,
    content_hash TEXT, storage_path TEXT, thumbnail_hash TEXT, thumbnail_path TEXT);

CREATE INDEX messages_by_conversation ON messages(conversation_id);
CREATE UNIQUE INDEX messages_by_origin ON messages(source_message_id);
CREATE INDEX messages_by_time ON messages(source_id, sent_at);
CREATE INDEX messages_by_sender ON messages(sender_id, is_read);
CREATE INDEX messages_by_reply ON messages(reply_to_id);
CREATE INDEX message_labels_by_label ON message_labels(label_id);
CREATE INDEX conversations_by_time ON conversations(last_message_at);
CREATE INDEX attachments_by_message ON attachments(message_id);
CREATE INDEX attachments_by_hash ON attachments(content_hash);
CREATE INDEX attachments_by_thumbnail ON attachments(thumbnail_hash);

CREATE VIRTUAL TABLE messages_fts USING fts5(body, content='message_bodies', content_rowid='message_id');
CREATE TRIGGER body_added AFTER INSERT ON message_bodies BEGIN
    INSERT INTO messages_fts(rowid, body) VALUES (new.message_id, new.body);
END;
CREATE TRIGGER body_removed AFTER DELETE ON message_bodies BEGIN
    INSERT INTO messages_fts(messages_fts, rowid, body) VALUES ('delete', old.message_id, old.body);
END;
CREATE TRIGGER body_changed AFTER UPDATE ON message_bodies BEGIN
    INSERT INTO messages_fts(messages_fts, rowid, body) VALUES ('delete', old.message_id, old.body);
    INSERT INTO messages_fts(rowid, body) VALUES (new.message_id, new.body);
END;
";

/// Every table has a root page of its own; views have none, so the database keeps to one page.
const VIEWS: &str = "
CREATE VIEW messages AS SELECT 0 sent_at WHERE 0;
CREATE VIEW conversations AS SELECT 0 id WHERE 0;
CREATE VIEW sources AS SELECT 0 id WHERE 0;
CREATE VIEW account_identities AS SELECT 0 id WHERE 0;
CREATE VIEW labels AS SELECT 0 id WHERE 0;
CREATE VIEW attachments AS SELECT 0 id,0 content_hash,0 storage_path,0 size,0 thumbnail_hash,0 thumbnail_path WHERE 0;
";

const LEDGER: &str = "CREATE TABLE ledger (account INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO ledger SELECT i, 1000 FROM n;";

/// Which tables a new database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) page_size: u32,
    pub(super) single_page: bool,
    pub(super) ledger: bool,
}

/// `SQLite` ignores a page size that it does not support; a sample must not.
pub(super) fn check_page_size(page_size: u32) -> Result<()> {
    if page_size.is_power_of_two() && (512..=65536).contains(&page_size) {
        Ok(())
    } else {
        Err(SampleError::PageSize(page_size))
    }
}

/// A new database, open for loading: no journal and no syncs, since a crash only means starting again.
pub(super) fn create(path: &Path, shape: Shape) -> Result<Connection> {
    let conn = Connection::open(path)?;
    conn.pragma_update(None, "page_size", shape.page_size)?;
    conn.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA cache_size = -262144; PRAGMA foreign_keys = OFF;",
    )?;
    conn.execute_batch(if shape.single_page { VIEWS } else { TABLES })?;
    if shape.ledger {
        conn.execute_batch(LEDGER)?;
    }
    Ok(conn)
}

/// Ends the loading: from now on the database is in WAL mode, and no WAL is left behind.
pub(super) fn finish(conn: Connection) -> Result<()> {
    conn.execute_batch(
        "PRAGMA locking_mode = NORMAL; PRAGMA journal_mode = WAL; PRAGMA wal_checkpoint(TRUNCATE);",
    )?;
    conn.close().map_err(|(_, error)| error.into())
}

/// An existing database, opened for changes as the daemon opens it: WAL, foreign keys enforced.
pub(super) fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536; PRAGMA foreign_keys = ON;",
    )?;
    Ok(conn)
}
