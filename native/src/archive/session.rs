//! The pinned session: one unchanging database file under a program that may go on writing.
//!
//! The scan reads the main file itself, page by page, so that file must not change under it. It changes only
//! when a checkpoint copies frames out of the write-ahead log, and no checkpoint can while a reader reads the
//! main file alone. The session becomes that reader: with SQLite's own write lock held, so that nobody adds a
//! frame, it checkpoints until the log is copied completely and then begins to read.

mod error;
mod still;

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use msgvault_platform as platform;
use msgvault_verifier::Observer;
use msgvault_verifier::format::manifest::DocumentCounts;
use msgvault_verifier::format::page_size::PageSize;
use msgvault_verifier::format::stats::ArchiveStats;
use msgvault_verifier::length::to_unsigned;
use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags};

use super::documents;
use super::place::Place;
use super::schema::{self, RecordedContents, SchemaError};
use super::soundness::{self, Check};
use still::Still;

pub use error::SessionError;

/// Older libraries can corrupt a database when the log is reset while another process writes.
const OLDEST_SQLITE: i32 = 3_051_003;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Who waits inside of a checkpoint that empties the log keeps writers out as long.
const EMPTYING_TIMEOUT: Duration = Duration::from_millis(100);
/// SQLite's own waiting sleeps longer and longer, and beside restless writers it comes too late again and
/// again while the others are frozen.
const LOCK_PAUSE: Duration = Duration::from_millis(1);
const LOCK_TRIES: u32 = 5000;
/// 55 seconds: a daemon ends the window of a backup after a minute.
const CHECKPOINT_TRIES: u32 = 550;
/// Who waits longer than a second is told what for.
const QUIET_TRIES: u32 = 10;
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(100);

/// A session before the window in which writers pause.
#[derive(Debug)]
pub struct Session {
    /// None to a database that cannot be written to.
    writer: Option<Connection>,
    reader: Connection,
    database: DatabaseFile,
}

/// A session that reads one unchanging database file.
///
/// It holds a read transaction until it lets go, and the live log cannot shrink as long.
pub struct Pinned {
    reader: Mutex<Option<Connection>>,
    interrupt: InterruptHandle,
    log: PathBuf,
    database: DatabaseFile,
    page_size: PageSize,
    page_count: u64,
}

/// The database file.
///
/// Closing any descriptor of a file drops all of this process's POSIX locks on it, SQLite's too. So it is
/// opened before SQLite opens the file, and stands last in the structs above: fields are dropped in order, as
/// long as nobody takes the structs apart.
#[derive(Debug)]
struct DatabaseFile {
    file: File,
    path: PathBuf,
    still: Option<Still>,
}

impl Session {
    /// Opens the database, which must exist, and shortens its log, all without keeping writers out for long.
    ///
    /// One that cannot be written to is read as it is, and through a private copy when it has a log.
    pub fn open(database: &Path, observer: &dyn Observer) -> Result<Self, SessionError> {
        check_library(rusqlite::version_number(), rusqlite::version())?;
        let database = DatabaseFile::open(database)?;
        match Still::look(&database.path) {
            None => Self::open_live(database),
            Some(mut still) if still.has_log() => {
                let copy = DatabaseFile::open(&still.copy(observer)?)?;
                Self::open_live(DatabaseFile { still: Some(still), ..copy })
            }
            Some(still) => Self::open_still(DatabaseFile { still: Some(still), ..database }),
        }
    }

    fn open_live(database: DatabaseFile) -> Result<Self, SessionError> {
        let writer = database.connect()?;
        let reader = database.connect()?;
        database.check(schema::check_tables(&writer))?;
        let session = Self { writer: Some(writer), reader, database };
        // A long log that cannot be truncated now costs time in the window, and nothing else.
        let _ = shorten_log(&session.reader);
        Ok(session)
    }

    fn open_still(database: DatabaseFile) -> Result<Self, SessionError> {
        let reader = database.place().connect().map_err(|error| database.failed(error))?;
        database.check(schema::check_tables(&reader))?;
        Ok(Self { writer: None, reader, database })
    }

    /// Pins the database; writers that know the freeze pause meanwhile. `pause` waits.
    pub fn pin(self, observer: &dyn Observer, pause: &dyn Fn(Duration)) -> Result<Pinned, SessionError> {
        let sqlite = |error| self.database.failed(error);
        // The write lock is held across checkpoint and read mark, since a frame added between the two would
        // keep the reader off the main file, and a later checkpoint would change that file under the scan.
        if let Some(writer) = &self.writer {
            take_write_lock(writer, pause).map_err(sqlite)?;
            if is_wal(writer).map_err(sqlite)? {
                self.copy_log(observer, pause)?;
            } else {
                observer.warn(
                    "the database keeps no write-ahead log: its writers wait until it has been scanned",
                );
            }
        }
        reached(observer, "session.checkpointed")?;
        self.reader.execute_batch("BEGIN").map_err(sqlite)?;
        self.reader.query_row("SELECT 1 FROM sqlite_master LIMIT 1", [], |_| Ok(())).map_err(sqlite)?;
        reached(observer, "session.marked")?;
        if let Some(writer) = &self.writer {
            writer.execute_batch("ROLLBACK").map_err(sqlite)?;
        }
        let (page_size, page_count) = geometry(&self.reader, &self.database)?;
        let log = log_of(&self.reader, &self.database.path);
        let interrupt = self.reader.get_interrupt_handle();
        let reader = Mutex::new(Some(self.reader));
        Ok(Pinned { reader, interrupt, log, database: self.database, page_size, page_count })
    }

    /// Checkpoints beside the writer that holds the lock until every frame is in the main file.
    fn copy_log(&self, observer: &dyn Observer, pause: &dyn Fn(Duration)) -> Result<(), SessionError> {
        for attempt in 0..CHECKPOINT_TRIES {
            if observer.cancelled() {
                return Err(SessionError::Cancelled);
            }
            if attempt == QUIET_TRIES {
                observer.warn(
                    "another program reads an old state of the database; waiting for it up to 55 seconds",
                );
            }
            if attempt > 0 {
                pause(CHECKPOINT_PAUSE);
            }
            if checkpoint(&self.reader, "PASSIVE").map_err(|error| self.database.failed(error))? {
                return Ok(());
            }
        }
        Err(SessionError::LogNotCopied { path: self.database.path.clone() })
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Pinned").field("database", &self.database).finish_non_exhaustive()
    }
}

impl Pinned {
    /// Checks, after the window, that the path still names the file that is scanned.
    pub fn check_same_file(&self) -> Result<(), SessionError> {
        // A path that leads nowhere names another file too.
        match platform::still_names(&self.database.path, &self.database.file) {
            Ok(true) => Ok(()),
            _ => Err(SessionError::Replaced { path: self.database.path.clone() }),
        }
    }

    /// The database file, unchanging until the session is closed.
    pub fn file(&self) -> &File {
        &self.database.file
    }

    /// Bytes per page.
    pub fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// Pages of the database.
    pub fn page_count(&self) -> u64 {
        self.page_count
    }

    /// The numbers that the manifest keeps.
    pub fn stats(&self) -> Result<ArchiveStats, SessionError> {
        self.ask(schema::stats)
    }

    /// The texts that are derived from documents; none when there are none.
    pub fn documents(&self) -> Result<Option<DocumentCounts>, SessionError> {
        self.ask(documents::counts)
    }

    /// Every content that the archive refers to.
    pub fn recorded_contents(&self) -> Result<RecordedContents, SessionError> {
        self.ask(schema::recorded_contents)
    }

    /// What SQLite's quick check finds wrong, the first few findings; nothing when the database is sound.
    pub fn quick_check(&self) -> Result<Vec<String>, SessionError> {
        self.ask(|reader| Ok(soundness::findings(reader, Check::Quick)?))
    }

    /// Ends what SQLite is being asked, which fails then.
    pub fn interrupt(&self) {
        self.interrupt.interrupt();
    }

    fn ask<T>(&self, ask: impl FnOnce(&Connection) -> Result<T, SchemaError>) -> Result<T, SessionError> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = || SessionError::Replaced { path: self.database.path.clone() };
        self.database.check(ask(reader.as_ref().ok_or_else(lost)?))
    }

    /// Bytes of the live log, which cannot shrink as long as the transaction lasts.
    pub fn log_len(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |log| log.len())
    }

    /// Where the database can be opened once more.
    pub fn place(&self) -> Place {
        self.database.place()
    }

    /// Ends the transaction, so that the log can be copied again. The file can change from now on.
    pub fn let_go(&self) -> Result<(), SessionError> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(reader) = reader else { return Ok(()) };
        self.database.still.as_ref().map_or(Ok(()), Still::check)?;
        reader.execute_batch("ROLLBACK").map_err(|error| self.database.failed(error))?;
        reader.close().map_err(|(_, error)| self.database.failed(error))
    }
}

impl DatabaseFile {
    fn open(path: &Path) -> Result<Self, SessionError> {
        let unreadable = |source| SessionError::Unreadable { path: path.to_owned(), source };
        // Asked before opening, since opening a pipe would wait for its writer.
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(SessionError::NotADatabase { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SessionError::Missing { path: path.to_owned() });
            }
            Err(error) => return Err(unreadable(error)),
        }
        Ok(Self { file: File::open(path).map_err(unreadable)?, path: path.to_owned(), still: None })
    }

    fn place(&self) -> Place {
        match &self.still {
            Some(still) if !still.is_copied() => Place::still(still.path()),
            _ => Place::live(&self.path),
        }
    }

    /// A connection that reads and writes and never creates the file.
    fn connect(&self) -> Result<Connection, SessionError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connect = || {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            Ok(connection)
        };
        connect().map_err(|error| self.failed(error))
    }

    fn check<T>(&self, result: Result<T, SchemaError>) -> Result<T, SessionError> {
        result.map_err(|error| match error {
            SchemaError::Sqlite(error) => self.failed(error),
            source => SessionError::Schema { path: self.path.clone(), source },
        })
    }

    fn failed(&self, source: rusqlite::Error) -> SessionError {
        let path = self.path.clone();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => SessionError::NotADatabase { path },
            Some(ErrorCode::DatabaseBusy) => SessionError::Busy { path },
            _ => SessionError::Sqlite { path, source },
        }
    }
}

/// Tries often, since the lock is free for moments only beside writers that never rest.
fn take_write_lock(writer: &Connection, pause: &dyn Fn(Duration)) -> rusqlite::Result<()> {
    writer.busy_timeout(Duration::ZERO)?;
    let mut tries = 1;
    loop {
        match writer.execute_batch("BEGIN IMMEDIATE") {
            Err(error) if is_busy(&error) && tries < LOCK_TRIES => pause(LOCK_PAUSE),
            taken => return taken,
        }
        tries += 1;
    }
}

/// SQLite's own name of the log: where the path is a link, it lies beside the file itself.
fn log_of(reader: &Connection, path: &Path) -> PathBuf {
    let mut log = reader.path().map_or_else(|| path.as_os_str().to_owned(), OsString::from);
    log.push("-wal");
    log.into()
}

fn check_library(number: i32, name: &'static str) -> Result<(), SessionError> {
    if number < OLDEST_SQLITE { Err(SessionError::OldLibrary { found: name }) } else { Ok(()) }
}

fn reached(observer: &dyn Observer, point: &'static str) -> Result<(), SessionError> {
    observer.reached(point).map_err(|source| SessionError::Stopped { point, source })
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

fn is_wal(connection: &Connection) -> rusqlite::Result<bool> {
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    Ok(mode.eq_ignore_ascii_case("wal"))
}

/// Copies the log beside its writers, and then empties it if nobody reads or writes it for a moment.
fn shorten_log(connection: &Connection) -> rusqlite::Result<()> {
    checkpoint(connection, "PASSIVE")?;
    connection.busy_timeout(EMPTYING_TIMEOUT)?;
    let emptied = checkpoint(connection, "TRUNCATE");
    connection.busy_timeout(BUSY_TIMEOUT)?;
    emptied.map(|_| ())
}

/// Runs one checkpoint and says whether every frame of the log is in the main file.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<bool> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let (busy, frames, copied): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(busy == 0 && frames == copied)
    })
}

fn geometry(reader: &Connection, database: &DatabaseFile) -> Result<(PageSize, u64), SessionError> {
    let ask = |pragma: &str| -> Result<i64, SessionError> {
        reader
            .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
            .map_err(|error| database.failed(error))
    };
    let size = ask("page_size")?;
    let page_size = u32::try_from(size).ok().and_then(PageSize::new);
    let bad_size = || SessionError::BadPageSize { path: database.path.clone(), found: size };
    let page_count = to_unsigned(ask("page_count")?);
    Ok((page_size.ok_or_else(bad_size)?, page_count))
}

#[cfg(test)]
mod tests;
