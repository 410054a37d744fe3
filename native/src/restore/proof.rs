//! The proof that the staged database is the captured one: it counts what was counted then.

use std::fs;
use std::path::Path;

use percent_encoding::percent_encode;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use crate::archive::soundness::{self, Check};
use crate::archive::{pack_index, schema};
use crate::path_text::OUTSIDE_PATHS;
use crate::phase;

use super::Restore;
use super::error::{RestoreError, reached};

/// What a value may have beyond the length of the database, for what queries put together from stored values.
const VALUE_MARGIN: u64 = 1 << 20;

/// Compares the numbers, asks SQLite if wanted, and empties the tables of packed attachments, whose packs are
/// not restored. Returns whether there was anything to empty.
pub(super) fn prove(restore: &Restore<'_>, integrity_check: bool) -> Result<bool, RestoreError> {
    restore.context.observer.begin(phase::PROOF, 0);
    let database = open(restore)?;
    schema::check_tables(&database)?;
    let found = schema::stats(&database)?;
    let expected = restore.snapshot.manifest.stats_json();
    if found.to_json() != expected && !found.is_told_by(&expected) {
        return Err(RestoreError::Proof { expected, found: found.to_json() });
    }
    if integrity_check {
        check_integrity(&database)?;
    }
    let names_packs = pack_index::names_packs(&database)?;
    drop(database);
    if names_packs {
        empty_pack_tables(restore)?;
    }
    reached(restore.context, "restore.proven")?;
    Ok(names_packs)
}

/// Opens the staged database as a file that never changes, so that not a byte is written beside or into it.
pub(super) fn open(restore: &Restore<'_>) -> Result<Connection, RestoreError> {
    let path = restore.staging.database_path();
    let path = percent_encode(path.as_os_str().as_encoded_bytes(), OUTSIDE_PATHS);
    let uri = format!("file:{path}?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    connect(restore, Path::new(&uri), flags)
}

fn empty_pack_tables(restore: &Restore<'_>) -> Result<(), RestoreError> {
    let mut database = connect(restore, &restore.staging.database_path(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Nobody else knows the file, and so no shared memory is made beside it.
    database.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
    pack_index::empty(&mut database)?;
    database.close().map_err(|(_, error)| RestoreError::Sqlite(error))?;
    let name = restore.staging.database();
    let synced = restore.staging.dir().open_file_to_change(name).and_then(|file| file.sync_all());
    Ok(synced.map_err(|source| restore.staging.failed("make durable", name, source))?)
}

/// The database comes from a repository, and its schema could be written to do harm: no trigger, view or
/// foreign key of it acts, and nothing in it reaches functions with side effects. No stored value is longer
/// than the file, and so none that its generated columns compute may be.
fn connect(restore: &Restore<'_>, path: &Path, flags: OpenFlags) -> Result<Connection, RestoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
    let stored = fs::metadata(restore.staging.database_path())
        .map_err(|source| restore.staging.failed("look at", restore.staging.database(), source))?
        .len();
    let limit = i32::try_from(stored.saturating_add(VALUE_MARGIN)).unwrap_or(i32::MAX);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, limit)?;
    Ok(connection)
}

fn check_integrity(database: &Connection) -> Result<(), RestoreError> {
    let findings = soundness::findings(database, Check::Full)?;
    if findings.is_empty() {
        return Ok(());
    }
    Err(RestoreError::Integrity { findings: findings.join("; ") })
}
