//! Where a database is, and how it is opened once more for reading.

use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_encode;
use rusqlite::{Connection, OpenFlags};

use crate::path_text::OUTSIDE_PATHS;

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a database is.
#[derive(Debug, Clone)]
pub struct Place {
    path: PathBuf,
    is_still: bool,
}

impl Place {
    /// A database that others may write to.
    pub fn live(path: &Path) -> Self {
        Self { path: path.to_owned(), is_still: false }
    }

    /// A database without a log, to which nobody writes.
    pub fn still(path: &Path) -> Self {
        Self { path: path.to_owned(), is_still: true }
    }

    /// The database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A connection that reads and writes nothing.
    ///
    /// To a live database it is one that may write: whoever closes the database last removes the log, and one
    /// that is opened for reading alone makes a log and cannot remove it.
    pub(super) fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = if self.is_still {
            let path = percent_encode(self.path.as_os_str().as_encoded_bytes(), OUTSIDE_PATHS);
            let flags = flags | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(format!("file:{path}?immutable=1"), flags)?
        } else {
            Connection::open_with_flags(&self.path, flags | OpenFlags::SQLITE_OPEN_READ_WRITE)?
        };
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}
