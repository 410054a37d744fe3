//! What an archive refers to, one content after another, in a temporary database.
//!
//! An archive can refer to millions of contents, and hash and path of each are needed from the pinned
//! transaction to the end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use msgvault_verifier::format::attachment_list::Attachment;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::length::to_unsigned;
use rusqlite::{Connection, Row};

use super::temporary::{self, TemporaryError};

/// How many are read at once.
const PAGE: u32 = 1000;

/// A canonical path follows from the hash and is null.
const TABLES: &str = "
    CREATE TABLE content (position INTEGER PRIMARY KEY, id BLOB, path TEXT, size_hint INTEGER);
    CREATE TABLE attachment (position INTEGER PRIMARY KEY, id BLOB, size INTEGER, is_new INTEGER);";

/// One distinct content that the archive refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedContent {
    /// Its SHA-256.
    pub id: BlobId,
    /// The smallest of the paths recorded for it, as recorded.
    pub path: String,
    /// The largest size recorded for it, in bytes: a hint that can be wrong.
    pub size_hint: Option<u64>,
}

/// Contents in their order, numbered from 0, and what became of each.
#[derive(Debug)]
pub struct ContentTable {
    connection: Mutex<Connection>,
    len: u64,
    hinted_bytes: u64,
}

impl ContentTable {
    /// An empty one.
    pub fn new() -> Result<Self, TemporaryError> {
        Ok(Self { connection: Mutex::new(temporary::open(TABLES)?), len: 0, hinted_bytes: 0 })
    }

    /// Appends a content.
    pub fn push(&mut self, content: &RecordedContent) -> Result<(), TemporaryError> {
        let path = (content.path != canonical_path(&content.id)).then_some(&content.path);
        let size_hint = content.size_hint.map(number).transpose()?;
        self.lock().prepare_cached("INSERT INTO content VALUES (?1, ?2, ?3, ?4)")?.execute((
            number(self.len)?,
            content.id.as_bytes(),
            path,
            size_hint,
        ))?;
        self.len += 1;
        self.hinted_bytes = self.hinted_bytes.saturating_add(content.size_hint.unwrap_or(0));
        Ok(())
    }

    /// How many contents there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the contents expect.
    pub fn hinted_bytes(&self) -> u64 {
        self.hinted_bytes
    }

    /// The contents from a position on, a page of them; none behind the last.
    pub fn page(&self, from: u64) -> Result<Vec<RecordedContent>, TemporaryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT id, path, size_hint FROM content WHERE position >= ?1 ORDER BY position LIMIT ?2",
        )?;
        let rows = statement.query_map((number(from)?, PAGE), |row| {
            let id = id(row, 0)?;
            let path: Option<String> = row.get(1)?;
            let size_hint = row.get::<_, Option<i64>>(2)?.and_then(|size| u64::try_from(size).ok());
            Ok(RecordedContent { id, path: path.unwrap_or_else(|| canonical_path(&id)), size_hint })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes what the contents of the contents from a position on are, and which of them the last snapshot
    /// lacks.
    pub fn note(&self, from: u64, attachments: &[(Attachment, bool)]) -> Result<(), TemporaryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("INSERT INTO attachment VALUES (?1, ?2, ?3, ?4)")?;
        for (position, (attachment, is_new)) in (from..).zip(attachments) {
            let Attachment { id, size } = attachment;
            statement.execute((number(position)?, id.as_bytes(), number(*size)?, is_new))?;
        }
        Ok(())
    }

    /// The noted attachments from a position on, all or those that are new, a page of them with their
    /// positions.
    pub fn noted(&self, from: u64, only_new: bool) -> Result<Vec<(u64, Attachment)>, TemporaryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT position, id, size FROM attachment WHERE position >= ?1 AND is_new >= ?2
             ORDER BY position LIMIT ?3",
        )?;
        let rows = statement.query_map((number(from)?, only_new, PAGE), |row| {
            Ok((natural(row, 0)?, Attachment { id: id(row, 1)?, size: natural(row, 2)? }))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a content is kept when nothing says otherwise.
pub fn canonical_path(id: &BlobId) -> String {
    let hex = id.to_string();
    format!("{}/{hex}", hex.get(..2).unwrap_or_default())
}

fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<BlobId> {
    row.get(column).map(BlobId::from_bytes)
}

fn natural(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    // Only natural numbers were written.
    Ok(to_unsigned(number))
}

/// A number as SQLite has them; larger ones are neither a position nor the size of a file.
fn number(natural: u64) -> Result<i64, rusqlite::Error> {
    i64::try_from(natural).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_and_attachments_come_back_in_order() {
        let id = |fill| BlobId::from_bytes([fill; 32]);
        let contents = [
            RecordedContent { id: id(3), path: canonical_path(&id(3)), size_hint: Some(7) },
            RecordedContent { id: id(1), path: "synctech-sms/1".to_owned(), size_hint: None },
            RecordedContent {
                id: id(2),
                path: canonical_path(&id(2)).to_uppercase(),
                size_hint: Some(u64::MAX >> 1),
            },
        ];
        let mut table = ContentTable::new().unwrap();
        assert!(table.is_empty());
        for content in &contents {
            table.push(content).unwrap();
        }
        assert_eq!((table.len(), table.hinted_bytes()), (3, (u64::MAX >> 1) + 7));
        for (position, content) in (0..).zip(&contents) {
            assert_eq!(table.page(position).unwrap().first(), Some(content));
            let attachment = Attachment { id: content.id, size: position };
            table.note(position, &[(attachment, position != 1)]).unwrap();
        }
        assert_eq!(table.page(0).unwrap(), contents);
        assert!(table.page(3).unwrap().is_empty());
        let noted = |from, only_new| -> Vec<u64> {
            let noted = table.noted(from, only_new).unwrap();
            for (position, attachment) in &noted {
                let id = contents[usize::try_from(*position).unwrap()].id;
                assert_eq!(*attachment, Attachment { id, size: *position });
            }
            noted.into_iter().map(|(position, _)| position).collect()
        };
        assert_eq!(noted(0, false), [0, 1, 2]);
        assert_eq!(noted(0, true), [0, 2]);
        assert_eq!(noted(1, false), [1, 2]);
        assert!(noted(3, false).is_empty());
    }
}
