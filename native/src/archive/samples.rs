//! Hand-made archives for tests.

use std::path::Path;

use rusqlite::Connection;

/// Two lowercase hex digits, repeated to a hash.
pub(crate) fn hash(digits: &str) -> String {
    digits.repeat(32)
}

/// Creates a database with the tables of an archive, in this journal mode, and keeps it open.
pub(crate) fn database(path: &Path, journal_mode: &str) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.query_row(&format!("PRAGMA journal_mode = {journal_mode}"), [], |_| Ok(())).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, sent_at DATETIME, body TEXT);
             CREATE TABLE conversations (id INTEGER PRIMARY KEY);
             CREATE TABLE sources (id INTEGER PRIMARY KEY);
             CREATE TABLE account_identities (id INTEGER PRIMARY KEY);
             CREATE TABLE labels (id INTEGER PRIMARY KEY);
             CREATE TABLE attachments (id INTEGER PRIMARY KEY, content_hash TEXT, storage_path TEXT,
                size INTEGER, thumbnail_hash TEXT, thumbnail_path TEXT);",
        )
        .unwrap();
    connection
}

/// Adds a row to `attachments`.
pub(crate) fn attach(connection: &Connection, id: i64, content: (&str, &str), size: Option<i64>) {
    connection
        .execute(
            "INSERT INTO attachments (id, content_hash, storage_path, size) VALUES (?1, ?2, ?3, ?4)",
            (id, content.0, content.1, size),
        )
        .unwrap();
}

/// Gives a row of `attachments` a thumbnail.
pub(crate) fn thumbnail(connection: &Connection, id: i64, thumbnail: (&str, &str)) {
    connection
        .execute(
            "UPDATE attachments SET thumbnail_hash = ?2, thumbnail_path = ?3 WHERE id = ?1",
            (id, thumbnail.0, thumbnail.1),
        )
        .unwrap();
}
