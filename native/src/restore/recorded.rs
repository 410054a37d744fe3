//! The paths that the restored database records for every attachment.
//!
//! There can be millions. The canonical path follows from the hash; the others wait in a temporary file.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use msgvault_platform::FileError;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::path::RelativePath;
use msgvault_verifier::repository::BlobSet;
use rusqlite::Connection;

use crate::archive::temporary::{self, TemporaryError};
use crate::archive::{content_table, schema};

use super::error::RestoreError;
use super::{Restore, captured, names};

/// Paths come ordered by hash, as the positions are.
const TABLE: &str =
    "CREATE TABLE other (position INTEGER, path TEXT, PRIMARY KEY (position, path)) WITHOUT ROWID;";

/// What is recorded, by the attachments' positions in the index.
pub(super) struct Recorded {
    /// Attachments that have their canonical path.
    canonical: BlobSet,
    /// Attachments that have other paths.
    other: BlobSet,
    others: Mutex<Connection>,
}

/// Reads the recorded paths, and checks that the database refers to exactly the attachments of the snapshot.
pub(super) fn read(restore: &Restore<'_>) -> Result<Recorded, RestoreError> {
    let (index, attachments) = (restore.repository.index(), &restore.snapshot.attachments);
    let positions = || (0..attachments.len()).filter_map(|n| attachments.position(n)?.try_into().ok());
    let mut listed = BlobSet::new(index);
    positions().for_each(|position| {
        listed.insert(position);
    });
    let connection = temporary::open(TABLE)?;
    let (mut canonical, mut other) = (BlobSet::new(index), BlobSet::new(index));
    captured::read(restore, |database| {
        schema::check_tables(database)?;
        schema::recorded_paths(database, |id, path| {
            let position = index.position(&id).filter(|position| listed.contains(*position));
            let position = position.ok_or(RestoreError::NotListed { id })?;
            if path.as_str() == content_table::canonical_path(&id) {
                canonical.insert(position);
            } else {
                other.insert(position);
                keep(&connection, position, &path).map_err(TemporaryError::from)?;
            }
            Ok::<_, RestoreError>(())
        })
    })?;
    let is_referenced = |position: &usize| canonical.contains(*position) || other.contains(*position);
    match positions().filter(|position| !is_referenced(position)).find_map(|position| index.at(position)) {
        Some(location) => Err(RestoreError::NotReferenced { id: location.id }),
        None => Ok(Recorded { canonical, other, others: Mutex::new(connection) }),
    }
}

fn keep(connection: &Connection, position: usize, path: &RelativePath) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO other VALUES (?1, ?2)")?;
    insert.execute((key(position), path.as_str())).map(drop)
}

/// A position as SQLite has numbers.
fn key(position: usize) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

impl Recorded {
    /// The paths of an attachment in the target.
    pub(super) fn paths(
        &self,
        restore: &Restore<'_>,
        id: &BlobId,
    ) -> Result<Vec<RelativePath>, RestoreError> {
        let position = restore.repository.index().position(id).unwrap_or(usize::MAX);
        let mut paths = Vec::new();
        if self.canonical.contains(position) {
            paths.push(content_table::canonical_path(id));
        }
        if self.other.contains(position) {
            paths.extend(self.others(position).map_err(TemporaryError::from)?);
        }
        let below = |path: String| {
            let path = format!("{}/{path}", names::ATTACHMENTS);
            names::path(&path).map_err(|source| FileError::new("name", Path::new(&path), source).into())
        };
        paths.into_iter().map(below).collect()
    }

    fn others(&self, position: usize) -> rusqlite::Result<Vec<String>> {
        let connection = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let mut select =
            connection.prepare_cached("SELECT path FROM other WHERE position = ?1 ORDER BY path")?;
        select.query_map([key(position)], |row| row.get(0))?.collect()
    }
}
