//! What an archive holds, counted from the archive itself.

use std::fmt;
use std::fs;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::home::Home;
use super::{Result, SampleError};

/// An archive in numbers. Sizes are in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// The page size of the database.
    pub page_size: u64,
    /// Pages of the database, including those in the WAL.
    pub page_count: u64,
    /// Rows of `messages`.
    pub messages: u64,
    /// Rows of `conversations`.
    pub conversations: u64,
    /// Rows of `attachments`, content-bearing or not.
    pub attachment_rows: u64,
    /// Distinct hashes of content and thumbnails that rows refer to.
    pub attachment_blobs: u64,
    /// Files below `attachments/`.
    pub attachment_files: u64,
    /// Their total size.
    pub attachment_bytes: u64,
}

impl Summary {
    /// Database and attachments together.
    pub fn total_bytes(&self) -> u64 {
        self.database_bytes().saturating_add(self.attachment_bytes)
    }

    /// The size of the database once its WAL is checkpointed.
    pub fn database_bytes(&self) -> u64 {
        self.page_size.saturating_mul(self.page_count)
    }

    /// Counts what a home holds now.
    pub(super) fn of(home: &Home) -> Result<Self> {
        let conn = Connection::open_with_flags(home.database(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let no_checkpoint = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        conn.set_db_config(no_checkpoint, wal_is_in_use(home))?;
        let number = |sql: &str| -> Result<u64> {
            let n: i64 = conn.query_row(sql, [], |row| row.get(0))?;
            Ok(u64::try_from(n).unwrap_or(0))
        };
        let (attachment_files, attachment_bytes) = count_files(&home.attachments())?;
        Ok(Self {
            page_size: number("PRAGMA page_size")?,
            page_count: number("PRAGMA page_count")?,
            messages: number("SELECT count(*) FROM messages")?,
            conversations: number("SELECT count(*) FROM conversations")?,
            attachment_rows: number("SELECT count(*) FROM attachments")?,
            attachment_blobs: number(BLOBS)?,
            attachment_files,
            attachment_bytes,
        })
    }
}

const BLOBS: &str = "SELECT count(*) FROM (
    SELECT content_hash FROM attachments WHERE content_hash <> '' AND storage_path <> ''
        AND storage_path NOT LIKE 'http://%' AND storage_path NOT LIKE 'https://%'
    UNION SELECT thumbnail_hash FROM attachments WHERE thumbnail_hash <> '' AND thumbnail_path <> ''
        AND thumbnail_path NOT LIKE 'http://%' AND thumbnail_path NOT LIKE 'https://%')";

/// A WAL that churn left on purpose must survive being counted.
fn wal_is_in_use(home: &Home) -> bool {
    fs::metadata(home.path().join("msgvault.db-wal")).is_ok_and(|wal| wal.len() > 0)
}

fn count_files(folder: &Path) -> Result<(u64, u64)> {
    let (mut files, mut bytes) = (0_u64, 0_u64);
    for entry in fs::read_dir(folder).map_err(SampleError::io(folder))? {
        let entry = entry.map_err(SampleError::io(folder))?;
        let path = entry.path();
        let metadata = entry.metadata().map_err(SampleError::io(&path))?;
        let (more_files, more_bytes) =
            if metadata.is_dir() { count_files(&path)? } else { (1, metadata.len()) };
        files = files.saturating_add(more_files);
        bytes = bytes.saturating_add(more_bytes);
    }
    Ok((files, bytes))
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "database {} bytes ({} pages of {}), {} messages in {} conversations, {} attachment rows with {} contents, \
             {} files of {} bytes",
            self.database_bytes(),
            self.page_count,
            self.page_size,
            self.messages,
            self.conversations,
            self.attachment_rows,
            self.attachment_blobs,
            self.attachment_files,
            self.attachment_bytes,
        )
    }
}
