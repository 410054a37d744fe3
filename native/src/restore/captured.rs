//! The captured database, opened with bounds: it comes from a repository, and its schema and its pages could be
//! written to do harm.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use percent_encoding::percent_encode;
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::limits::Limit;
use rusqlite::types::Null;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::path_text::OUTSIDE_PATHS;

use super::Restore;
use super::error::RestoreError;

/// What a value may have beyond the length of the database, for what queries put together from stored values.
const VALUE_MARGIN: u64 = 1 << 20;

/// Steps of SQLite's machine between two looks at how many there were.
const STEPS_AT_ONCE: i32 = 100;
/// Steps that every database may take, and how many more for each of its bytes. A row of a full check takes some
/// steps for each of its indexes, and has more bytes than steps.
const MIN_STEPS: u64 = 20_000_000;
const STEPS_PER_BYTE: u64 = 200;

/// What SQLite may take at least, in bytes.
const MIN_HEAP: u64 = 64 << 20;

/// The limits of SQLite that are lowered to what is beyond any archive.
const LIMITS: [(Limit, i32); 7] = [
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 20),
    (Limit::SQLITE_LIMIT_COLUMN, 500),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
    (Limit::SQLITE_LIMIT_VDBE_OP, 10_000_000),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Functions whose time grows faster than the length of their arguments, and how many arguments they have. In one
/// step they could take hours, in which nobody is heard.
const LONG_FUNCTIONS: [(&str, i32); 8] = [
    ("like", 2),
    ("like", 3),
    ("glob", 2),
    ("instr", 2),
    ("trim", 2),
    ("ltrim", 2),
    ("rtrim", 2),
    ("replace", 3),
];

/// What is said where a schema uses a function that was taken away.
const TAKEN: &str = "unsafe use of";

/// Reads the staged database as a file that never changes, so that not a byte is written beside or into it.
pub(super) fn read<T>(
    restore: &Restore<'_>,
    work: impl FnOnce(&Connection) -> Result<T, RestoreError>,
) -> Result<T, RestoreError> {
    let path = restore.staging.database_path();
    let path = percent_encode(path.as_os_str().as_encoded_bytes(), OUTSIDE_PATHS);
    let uri = format!("file:{path}?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    bounded(restore, connect(restore, Path::new(&uri), flags)?, |connection| work(connection))
}

/// Changes the staged database.
pub(super) fn change<T>(
    restore: &Restore<'_>,
    work: impl FnOnce(&mut Connection) -> Result<T, RestoreError>,
) -> Result<T, RestoreError> {
    let path = restore.staging.database_path();
    bounded(restore, connect(restore, &path, OpenFlags::SQLITE_OPEN_READ_WRITE)?, work)
}

/// Takes functions away whose time nothing bounds, before SQLite checks what the schema computes.
pub(super) fn take_long_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    for (name, arguments) in LONG_FUNCTIONS {
        connection.create_scalar_function(name, arguments, flags, move |_| {
            Err::<Null, _>(rusqlite::Error::UserFunctionError(format!("{TAKEN} {name}()").into()))
        })?;
    }
    Ok(())
}

/// What SQLite said, if it was about a function that was taken away.
pub(super) fn use_of_long_function(error: &rusqlite::Error) -> Option<&str> {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(told)) | rusqlite::Error::SqlInputError { msg: told, .. } => {
            told.starts_with(TAKEN).then_some(told)
        }
        _ => None,
    }
}

/// No trigger, view or foreign key acts, and nothing in the schema reaches functions with side effects. No stored
/// value is longer than the file, and so none that its schema computes may be.
fn connect(restore: &Restore<'_>, path: &Path, flags: OpenFlags) -> Result<Connection, RestoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
    for (limit, most) in LIMITS {
        connection.set_limit(limit, most)?;
    }
    let longest = i32::try_from(stored_len(restore)?.saturating_add(VALUE_MARGIN)).unwrap_or(i32::MAX);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, longest)?;
    if let Ok(most) = i64::try_from(heap(restore)) {
        // Of the whole process, where nothing else uses as much, and never more than it was.
        connection.pragma_update(None, "hard_heap_limit", most)?;
    }
    Ok(connection)
}

fn stored_len(restore: &Restore<'_>) -> Result<u64, RestoreError> {
    let looked_at = fs::metadata(restore.staging.database_path());
    let name = restore.staging.database();
    Ok(looked_at.map_err(|source| restore.staging.failed("look at", name, source))?.len())
}

/// Bytes that SQLite may take.
fn heap(restore: &Restore<'_>) -> u64 {
    restore.repository.memory().limit().max(MIN_HEAP)
}

/// How much work is left for SQLite.
struct Steps(AtomicU64);

impl Steps {
    /// Takes some away; says whether there were no more.
    fn spend(&self) -> bool {
        let left = self.0.load(Ordering::Relaxed).saturating_sub(STEPS_AT_ONCE.unsigned_abs().into());
        self.0.store(left, Ordering::Relaxed);
        left == 0
    }

    fn are_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// Does the work, unless it takes more steps than the database justifies, or the observer stops it.
fn bounded<T>(
    restore: &Restore<'_>,
    mut connection: Connection,
    work: impl FnOnce(&mut Connection) -> Result<T, RestoreError>,
) -> Result<T, RestoreError> {
    let allowed = stored_len(restore)?.saturating_mul(STEPS_PER_BYTE).saturating_add(MIN_STEPS);
    let steps = Arc::new(Steps(AtomicU64::new(allowed)));
    let spending = Arc::clone(&steps);
    connection.progress_handler(STEPS_AT_ONCE, Some(move || spending.spend()))?;
    let interrupt = connection.get_interrupt_handle();
    let observer = restore.context.observer;
    // From another thread, because some steps count a whole table.
    let look = || {
        if observer.cancelled() {
            interrupt.interrupt();
        }
    };
    let done = restore.workers.beside(look, || {
        let done = work(&mut connection)?;
        connection.close().map_err(|(_, error)| error)?;
        Ok(done)
    });
    done.map_err(|error: RestoreError| match error.sqlite_code() {
        Some(ErrorCode::OperationInterrupted) if observer.cancelled() => RestoreError::Cancelled,
        Some(ErrorCode::OperationInterrupted) if steps.are_spent() => {
            RestoreError::Endless { steps: allowed }
        }
        Some(ErrorCode::OutOfMemory) => RestoreError::SqliteMemory { limit: heap(restore) },
        _ => error,
    })
}
