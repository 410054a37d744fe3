//! Why a database cannot be pinned, or not be kept so.

use std::io;
use std::path::PathBuf;

use super::super::schema::SchemaError;

/// Why the database cannot be pinned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The SQLite library is too old to be trusted beside a writer.
    #[error("the SQLite library {found} can corrupt a live database: use 3.51.3 or newer")]
    OldLibrary {
        /// Its version.
        found: &'static str,
    },
    /// There is no database.
    #[error(
        "there is no database at {}: is this the right archive home? (--home, MSGVAULT_HOME)",
        path.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The system does not let the database be read.
    #[error("the database {} cannot be opened: {source}", path.display())]
    Unreadable {
        /// The database.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is not a SQLite database, or it is damaged", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// Another program holds the database longer than we wait.
    #[error("the database {} stayed locked by another program: try again when it is idle", path.display())]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// The log could not be copied into the database.
    #[error(
        "the write-ahead log of {} could not be copied completely: another program has been reading an old state of it for 55 seconds; close what reads it (an sqlite3 shell, a database browser) and try again",
        path.display()
    )]
    LogNotCopied {
        /// The database.
        path: PathBuf,
    },
    /// The path names another file than the one that was opened.
    #[error("the database {} was replaced while the backup began: run it again", path.display())]
    Replaced {
        /// The database.
        path: PathBuf,
    },
    /// Somebody wrote to a database that cannot be written to from here.
    #[error(
        "the database {} was changed by another program while it was read, and cannot be held still from here, where it cannot be written to; stop what writes to it, back up a snapshot of its file system, or run the backup where the archive can be written to",
        path.display()
    )]
    Changed {
        /// The database.
        path: PathBuf,
    },
    /// A database that cannot be written to has a log, and there is no room to read the two together.
    #[error(
        "the database {} cannot be written to here and has a log that belongs to it, and both cannot be copied to the folder for temporary files: {source}; name a folder with room in TMPDIR, or stop what has the archive open, which empties the log",
        path.display()
    )]
    NotCopied {
        /// The database.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A page size that SQLite does not have.
    #[error("the database {} says that its pages have {found} bytes, which no SQLite database has", path.display())]
    BadPageSize {
        /// The database.
        path: PathBuf,
        /// What it says.
        found: i64,
    },
    /// SQLite failed.
    #[error("the database {} cannot be read: {source}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The tables are not an archive's.
    #[error("{}: {source}", path.display())]
    Schema {
        /// The database.
        path: PathBuf,
        /// What is wrong with them.
        source: SchemaError,
    },
    /// The observer wants the run to end.
    #[error("the backup was cancelled")]
    Cancelled,
    /// An injected fault.
    #[error("the backup was stopped at {point}: {source}")]
    Stopped {
        /// Where.
        point: &'static str,
        /// Why.
        source: io::Error,
    },
}
