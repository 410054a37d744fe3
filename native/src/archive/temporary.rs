//! A database in a temporary file, for what is too much to be kept in memory.
//!
//! SQLite keeps it in memory as long as it is small, else where it puts its sorts too, in a file without a
//! name that is gone when this program ends, however it ends.

use rusqlite::Connection;

/// The temporary file cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the list of attachments cannot be kept in a temporary file: {0}; make room in the folder for temporary files, or name another one in SQLITE_TMPDIR"
)]
pub struct TemporaryError(#[from] rusqlite::Error);

/// A database with these tables in a temporary file. Nothing is ever committed: what is lost with the process
/// is of no use to the next.
pub fn open(tables: &str) -> Result<Connection, TemporaryError> {
    let connection = Connection::open("")?;
    connection.execute_batch(&format!("PRAGMA journal_mode = OFF; {tables} BEGIN"))?;
    Ok(connection)
}
