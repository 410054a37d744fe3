//! What an archive refers to, one content after another, in a temporary file.
//!
//! An archive can refer to millions of contents, and hash and path of each are needed from the pinned transaction
//! to the end. SQLite keeps them: in memory as long as they are few, else where it puts its sorts too, in a file
//! without a name that is gone when this program ends, however it ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use msgvault_verifier::format::attachment_list::Attachment;
use msgvault_verifier::format::id::BlobId;
use rusqlite::{Connection, Row};

use super::schema::{Reference, canonical_path};

/// How many are read at once.
const PAGE: u32 = 1000;

/// A canonical path follows from the hash and is null.
const TABLES: &str = "
    CREATE TABLE reference (position INTEGER PRIMARY KEY, id BLOB, path TEXT, size_hint INTEGER);
    CREATE TABLE attachment (position INTEGER PRIMARY KEY, id BLOB, size INTEGER, is_new INTEGER);";

/// References in their order, numbered from 0, and what became of each.
#[derive(Debug)]
pub struct Spool {
    connection: Mutex<Connection>,
    len: u64,
    hinted_bytes: u64,
}

/// The temporary file cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the list of attachments cannot be kept in a temporary file: {0}; make room in the folder for temporary files, or name another one in SQLITE_TMPDIR"
)]
pub struct SpoolError(#[from] rusqlite::Error);

/// A database with these tables in a temporary file. Nothing is ever committed: what is lost with the process is of
/// no use to the next.
pub fn temporary(tables: &str) -> Result<Connection, SpoolError> {
    let connection = Connection::open("")?;
    connection.execute_batch(&format!("PRAGMA journal_mode = OFF; {tables} BEGIN"))?;
    Ok(connection)
}

impl Spool {
    /// An empty one.
    pub fn new() -> Result<Self, SpoolError> {
        Ok(Self { connection: Mutex::new(temporary(TABLES)?), len: 0, hinted_bytes: 0 })
    }

    /// Appends a reference.
    pub fn push(&mut self, reference: &Reference) -> Result<(), SpoolError> {
        let path = (reference.path != canonical_path(&reference.id)).then_some(&reference.path);
        let size_hint = reference.size_hint.map(number).transpose()?;
        self.lock().prepare_cached("INSERT INTO reference VALUES (?1, ?2, ?3, ?4)")?.execute((
            number(self.len)?,
            reference.id.as_bytes(),
            path,
            size_hint,
        ))?;
        self.len += 1;
        self.hinted_bytes = self.hinted_bytes.saturating_add(reference.size_hint.unwrap_or(0));
        Ok(())
    }

    /// How many references there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the references expect.
    pub fn hinted_bytes(&self) -> u64 {
        self.hinted_bytes
    }

    /// The references from a position on, a page of them; none behind the last.
    pub fn page(&self, from: u64) -> Result<Vec<Reference>, SpoolError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT id, path, size_hint FROM reference WHERE position >= ?1 ORDER BY position LIMIT ?2",
        )?;
        let rows = statement.query_map((number(from)?, PAGE), |row| {
            let id = id(row, 0)?;
            let path: Option<String> = row.get(1)?;
            let size_hint = row.get::<_, Option<i64>>(2)?.and_then(|size| u64::try_from(size).ok());
            Ok(Reference { id, path: path.unwrap_or_else(|| canonical_path(&id)), size_hint })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Notes what the contents of the references from a position on are, and which of them the last snapshot lacks.
    pub fn note(&self, from: u64, attachments: &[(Attachment, bool)]) -> Result<(), SpoolError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("INSERT INTO attachment VALUES (?1, ?2, ?3, ?4)")?;
        for (position, (attachment, is_new)) in (from..).zip(attachments) {
            let Attachment { id, size } = attachment;
            statement.execute((number(position)?, id.as_bytes(), number(*size)?, is_new))?;
        }
        Ok(())
    }

    /// The noted attachments from a position on, all or those that are new, a page of them with their positions.
    pub fn noted(&self, from: u64, only_new: bool) -> Result<Vec<(u64, Attachment)>, SpoolError> {
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

fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<BlobId> {
    row.get(column).map(BlobId::from_bytes)
}

fn natural(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    // Only natural numbers were written.
    Ok(u64::try_from(number).unwrap_or(0))
}

/// A number as SQLite has them; larger ones are no position and no size of a file.
fn number(natural: u64) -> Result<i64, rusqlite::Error> {
    i64::try_from(natural).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_attachments_come_back_in_order() {
        let id = |fill| BlobId::from_bytes([fill; 32]);
        let references = [
            Reference { id: id(3), path: canonical_path(&id(3)), size_hint: Some(7) },
            Reference { id: id(1), path: "synctech-sms/1".to_owned(), size_hint: None },
            Reference {
                id: id(2),
                path: canonical_path(&id(2)).to_uppercase(),
                size_hint: Some(u64::MAX >> 1),
            },
        ];
        let mut spool = Spool::new().unwrap();
        assert!(spool.is_empty());
        for reference in &references {
            spool.push(reference).unwrap();
        }
        assert_eq!((spool.len(), spool.hinted_bytes()), (3, (u64::MAX >> 1) + 7));
        for (position, reference) in (0..).zip(&references) {
            assert_eq!(spool.page(position).unwrap().first(), Some(reference));
            let attachment = Attachment { id: reference.id, size: position };
            spool.note(position, &[(attachment, position != 1)]).unwrap();
        }
        assert_eq!(spool.page(0).unwrap(), references);
        assert!(spool.page(3).unwrap().is_empty());
        let noted = |from, only_new| -> Vec<u64> {
            let noted = spool.noted(from, only_new).unwrap();
            for (position, attachment) in &noted {
                let id = references[usize::try_from(*position).unwrap()].id;
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
