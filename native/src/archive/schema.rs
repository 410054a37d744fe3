//! What the archive's tables are asked, at capture and again when a restore proves itself.

use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::path::{PathError, RelativePath};
use msgvault_verifier::format::stats::ArchiveStats;
use msgvault_verifier::length::to_unsigned;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::content_table::{ContentTable, RecordedContent};
use super::sql_text;
use super::tables::{Column, column, has_table};
use super::temporary::TemporaryError;

/// The tables that make a database an archive, and the columns that matter.
const TABLES: [(&str, &[&str]); 6] = [
    ("messages", &["sent_at"]),
    ("conversations", &[]),
    ("sources", &[]),
    ("account_identities", &[]),
    ("labels", &[]),
    ("attachments", &["id", "content_hash", "storage_path", "size", "thumbnail_hash", "thumbnail_path"]),
];

/// Every content that a row holds: `id`, `hash`, `path`, `size`, and `kind` 0 for contents, 1 for thumbnails.
///
/// A row holds a content when hash and path are there and the path is not a web address; `LIKE` ignores ASCII
/// case.
const BEARING: &str = "
    bearing(id, hash, path, size, kind) AS (
        SELECT id, content_hash, storage_path, size, 0 FROM attachments
        WHERE content_hash <> '' AND storage_path <> ''
          AND storage_path NOT LIKE 'http://%' AND storage_path NOT LIKE 'https://%'
        UNION ALL
        SELECT id, thumbnail_hash, thumbnail_path, NULL, 1 FROM attachments
        WHERE thumbnail_hash <> '' AND thumbnail_path <> ''
          AND thumbnail_path NOT LIKE 'http://%' AND thumbnail_path NOT LIKE 'https://%')";

/// The same with hashes and paths as text: archives of an early age keep some of them as bytes.
const TEXTS: &str = "
    texts(id, hash, path, size, kind) AS (
        SELECT id, CAST(hash AS TEXT), CAST(path AS TEXT), size, kind FROM bearing)";

/// Every content that the archive refers to.
#[derive(Debug)]
pub struct RecordedContents {
    /// Contents by smallest row, then thumbnails that are not contents, likewise.
    pub contents: ContentTable,
    /// Rows of `attachments`.
    pub rows: u64,
    /// Whether every path is the canonical one, `<hash[0..2]>/<hash>`.
    pub canonical: bool,
}

/// Why the tables do not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The database is not an archive's.
    #[error("this database is not a msgvault archive: it has no table {missing}")]
    NotAnArchive {
        /// Names of the tables that are missing, separated by commas.
        missing: String,
    },
    /// The database is an archive's of another age.
    #[error(
        "this archive has no column {missing}: start the msgvault that belongs to it once, so that it brings the archive up to date"
    )]
    OtherColumns {
        /// The columns that are missing, separated by commas.
        missing: String,
    },
    /// The database was made to do harm, or by another program.
    #[error("the column {column} of this database is computed, which no msgvault archive has")]
    Computed {
        /// The column.
        column: String,
    },
    /// A hash that cannot be one.
    #[error(
        "row {row} of attachments has the hash {hash:?}, which is not a SHA-256 of 64 lowercase hex digits"
    )]
    BadHash {
        /// The row's `id`.
        row: i64,
        /// What it holds.
        hash: String,
    },
    /// A hash in another spelling.
    #[error(
        "row {row} of attachments has the hash {hash:?} in upper case: set content_hash or thumbnail_hash to lower({hash:?}), and rename its file if that is in upper case too"
    )]
    UpperCaseHash {
        /// The row's `id`.
        row: i64,
        /// What it holds.
        hash: String,
    },
    /// A path that cannot be one.
    #[error("row {row} of attachments has the path {path:?}, which is not text")]
    BadPath {
        /// The row's `id`.
        row: i64,
        /// What it holds.
        path: String,
    },
    /// A path that leads out of the attachments or is not a name on every file system.
    #[error("attachment {id} cannot be restored: {source}")]
    UnsafePath {
        /// The attachment.
        id: BlobId,
        /// The rule that is broken.
        source: PathError,
    },
    /// Two contents at what can be one file.
    #[error("attachments {first} and {second} can be the same file: {path:?}")]
    SharedPath {
        /// One attachment.
        first: BlobId,
        /// The other one.
        second: BlobId,
        /// The path of the other one.
        path: String,
    },
    /// A file where there must be a folder.
    #[error(
        "attachment {first} at {file:?} is in the way of attachment {second} at {below:?}: a file is not a folder, so that a restore could place only one of them; one of the two paths is wrong"
    )]
    FileAsFolder {
        /// The attachment that is in the way.
        first: BlobId,
        /// Its path.
        file: String,
        /// The attachment that would be below it.
        second: BlobId,
        /// Its path.
        below: String,
    },
    /// Several of these.
    #[error("{count} attachments cannot be captured: {told}")]
    Several {
        /// How many.
        count: u64,
        /// The first thousand, separated by semicolons.
        told: String,
    },
    /// What was found cannot be kept.
    #[error(transparent)]
    Temporary(#[from] TemporaryError),
    /// SQLite failed.
    #[error("the archive's database cannot be read: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Checks that the database is an archive.
pub fn check_tables(connection: &Connection) -> Result<(), SchemaError> {
    let (mut tables, mut columns) = (Vec::new(), Vec::new());
    for (table, needed) in TABLES {
        if !has_table(connection, table)? {
            tables.push(table);
        }
        for column in needed {
            if !has_column(connection, table, column)? {
                columns.push(format!("{table}.{column}"));
            }
        }
    }
    match (tables.as_slice(), columns.as_slice()) {
        ([], []) => Ok(()),
        ([], columns) => Err(SchemaError::OtherColumns { missing: columns.join(", ") }),
        (tables, _) => Err(SchemaError::NotAnArchive { missing: tables.join(", ") }),
    }
}

/// Whether a table has a column, which must be one that can be read.
pub(super) fn has_column(connection: &Connection, table: &str, name: &str) -> Result<bool, SchemaError> {
    match column(connection, table, name)? {
        Column::Missing => Ok(false),
        Column::Stored => Ok(true),
        Column::Computed => Err(SchemaError::Computed { column: format!("{table}.{name}") }),
    }
}

/// The numbers that a manifest keeps, in one transaction if the caller holds one.
pub fn stats(connection: &Connection) -> Result<ArchiveStats, SchemaError> {
    // Row by row: COUNT(*) is one step of SQLite's machine, which in a hostile database never ends.
    let count = |table: &str| count(connection, &format!("SELECT COUNT(1) FROM {table}"));
    let blobs = format!("WITH {BEARING} SELECT COUNT(DISTINCT hash) FROM bearing");
    Ok(ArchiveStats {
        messages: count("messages")?,
        conversations: count("conversations")?,
        sources: count("sources")?,
        accounts: count("account_identities")?,
        attachment_rows: count("attachments")?,
        attachment_blobs: self::count(connection, &blobs)?,
        labels: count("labels")?,
        date_range: date_range(connection)?,
    })
}

fn count(connection: &Connection, sql: &str) -> Result<u64, SchemaError> {
    let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    // Counts are never negative.
    Ok(to_unsigned(count))
}

fn date_range(connection: &Connection) -> Result<[String; 2], SchemaError> {
    let sql = "SELECT MIN(sent_at), MAX(sent_at) FROM messages";
    let read = |row: &Row<'_>| Ok([sql_text::of(row.get_ref(0)?), sql_text::of(row.get_ref(1)?)]);
    Ok(connection.query_row(sql, [], read)?)
}

/// Every content that the archive refers to, in the order of the lists.
///
/// Fails when a restore could not put one of them at all of its paths (`docs/format.md` §10).
pub fn recorded_contents(connection: &Connection) -> Result<RecordedContents, SchemaError> {
    // A thumbnail that is a content too has kind 0 in its group, and only the contents' rows count for it.
    let sql = format!(
        "WITH {BEARING}, {TEXTS},
         grouped AS (
            SELECT kind, MIN(id) AS first, hash, MIN(path) AS path, MAX(size) AS size
            FROM texts GROUP BY kind, hash)
         SELECT first, hash, path, size FROM grouped AS g
         WHERE kind = 0 OR NOT EXISTS (SELECT 1 FROM grouped AS c WHERE c.kind = 0 AND c.hash = g.hash)
         ORDER BY kind, first, hash"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query([])?;
    let (mut contents, mut offenders) = (ContentTable::new()?, Offenders::default());
    while let Some(row) = found.next()? {
        let first = row.get(0)?;
        let size_hint = match row.get_ref(3)? {
            ValueRef::Integer(size) => u64::try_from(size).ok(),
            _ => None,
        };
        let read = hash(first, row.get_ref(1)?).and_then(|id| Ok((id, path(first, row.get_ref(2)?)?)));
        match read {
            Ok((id, path)) => contents.push(&RecordedContent { id, path, size_hint })?,
            Err(error) => offenders.add(error)?,
        }
    }
    offenders.none()?;
    let other = format!(
        "WITH {BEARING}, {TEXTS} SELECT COUNT(*) FROM (
            SELECT 1 FROM texts WHERE path <> substr(hash, 1, 2) || '/' || hash LIMIT 1)"
    );
    let rows = count(connection, "SELECT COUNT(*) FROM attachments")?;
    let canonical = count(connection, &other)? == 0;
    if !canonical {
        check_recorded_paths(connection)?;
    }
    Ok(RecordedContents { contents, rows, canonical })
}

/// Calls `visit` with every path recorded for every content, grouped by content, after checking all of them
/// (`docs/format.md` §10).
pub fn recorded_paths<E: From<SchemaError>>(
    connection: &Connection,
    mut visit: impl FnMut(BlobId, RelativePath) -> Result<(), E>,
) -> Result<(), E> {
    check_recorded_paths(connection)?;
    each_path(connection, "hash, path", |found| found.map_err(E::from).and_then(|(id, path)| visit(id, path)))
}

/// Checks that no two contents are at what can be one file, and that no file is in the place of a folder.
///
/// Paths that can be one file are brought together by SQLite's sort, which keeps them on disk, and what is
/// below a path comes right after it.
fn check_recorded_paths(connection: &Connection) -> Result<(), SchemaError> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("place", 1, flags, |context| {
        // What is not a path is refused when its row comes.
        let text = context.get_raw(0).as_str().ok();
        Ok(text.and_then(|path| RelativePath::parse(path).ok()).map(|path| path.place()))
    })?;
    let mut last: Option<Placed> = None;
    let mut offenders = Offenders::default();
    each_path(connection, "place(path), hash", |found| {
        let checked = found.and_then(|(id, path)| {
            let next = Placed { id, place: path.place(), path };
            let checked = last.as_ref().map_or(Ok(()), |last| check_neighbours(last, &next));
            last = Some(next);
            checked
        });
        checked.or_else(|error| offenders.add(error))
    })?;
    offenders.none()
}

/// What cannot be captured, so that whoever mends the archive hears of all of it at once.
#[derive(Default)]
struct Offenders {
    first: Vec<SchemaError>,
    count: u64,
}

impl Offenders {
    const MOST: usize = 1000;

    /// Notes it, unless it says that the tables do not answer at all.
    fn add(&mut self, error: SchemaError) -> Result<(), SchemaError> {
        if matches!(error, SchemaError::Sqlite(_) | SchemaError::Temporary(_)) {
            return Err(error);
        }
        self.count += 1;
        if self.first.len() < Self::MOST {
            self.first.push(error);
        }
        Ok(())
    }

    fn none(mut self) -> Result<(), SchemaError> {
        if self.count <= 1 {
            return self.first.pop().map_or(Ok(()), Err);
        }
        let told: Vec<String> = self.first.iter().map(ToString::to_string).collect();
        Err(SchemaError::Several { count: self.count, told: told.join("; ") })
    }
}

/// An attachment at one of its paths.
struct Placed {
    id: BlobId,
    path: RelativePath,
    place: Vec<u8>,
}

fn check_neighbours(upper: &Placed, lower: &Placed) -> Result<(), SchemaError> {
    let (first, second) = (upper.id, lower.id);
    let (file, below) = (upper.path.as_str(), lower.path.as_str());
    match lower.place.strip_prefix(upper.place.as_slice()) {
        Some([]) if first != second => Err(SchemaError::SharedPath { first, second, path: below.to_owned() }),
        Some([0, ..]) => {
            Err(SchemaError::FileAsFolder { first, file: file.to_owned(), second, below: below.to_owned() })
        }
        _ => Ok(()),
    }
}

fn each_path<E: From<SchemaError>>(
    connection: &Connection,
    order: &str,
    mut visit: impl FnMut(Result<(BlobId, RelativePath), SchemaError>) -> Result<(), E>,
) -> Result<(), E> {
    let sql = format!(
        "WITH {BEARING}, {TEXTS} SELECT MIN(id), hash, path FROM texts GROUP BY hash, path ORDER BY {order}"
    );
    let mut statement = connection.prepare(&sql).map_err(SchemaError::from)?;
    let mut rows = statement.query([]).map_err(SchemaError::from)?;
    while let Some(row) = rows.next().map_err(SchemaError::from)? {
        visit(path_of(row))?;
    }
    Ok(())
}

fn path_of(row: &Row<'_>) -> Result<(BlobId, RelativePath), SchemaError> {
    let first = row.get(0)?;
    let id = hash(first, row.get_ref(1)?)?;
    let path = path(first, row.get_ref(2)?)?;
    let path = RelativePath::parse(&path).map_err(|source| SchemaError::UnsafePath { id, source })?;
    Ok((id, path))
}

/// The first rows that use a content.
pub fn rows_of(connection: &Connection, id: &BlobId, most: usize) -> Result<Vec<i64>, SchemaError> {
    let sql = format!(
        "WITH {BEARING}, {TEXTS} SELECT DISTINCT id FROM texts WHERE hash = ?1 ORDER BY id LIMIT {most}"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([id.to_string()], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A path that is recorded for a content, if any is.
pub fn recorded_path(connection: &Connection, id: &BlobId) -> Result<Option<String>, SchemaError> {
    let sql = format!("WITH {BEARING}, {TEXTS} SELECT MIN(path) FROM texts WHERE hash = ?1");
    Ok(connection.query_row(&sql, [id.to_string()], |row| row.get(0))?)
}

fn hash(row: i64, value: ValueRef<'_>) -> Result<BlobId, SchemaError> {
    let bad = |hash| SchemaError::BadHash { row, hash };
    match value {
        ValueRef::Text(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            text.parse().map_err(|_| match text.to_ascii_lowercase().parse::<BlobId>() {
                Ok(_) => SchemaError::UpperCaseHash { row, hash: text.into_owned() },
                Err(_) => bad(text.chars().take(80).collect()),
            })
        }
        other => Err(bad(format!("a value of type {}", other.data_type()))),
    }
}

fn path(row: i64, value: ValueRef<'_>) -> Result<String, SchemaError> {
    let bad = |path| SchemaError::BadPath { row, path };
    match value {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| bad(String::from_utf8_lossy(bytes).chars().take(80).collect())),
        other => Err(bad(format!("a value of type {}", other.data_type()))),
    }
}

#[cfg(test)]
mod tests;
