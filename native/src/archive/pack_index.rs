//! The tables that say which pack of the live archive holds a content.

use msgvault_verifier::format::id::{BlobId, PackId};
use msgvault_verifier::format::pack::PackEntry;
use rusqlite::{Connection, OptionalExtension};

const INDEX: &str = "attachment_pack_index";
const PACKS: &str = "attachment_packs";

/// Where the tables say that a content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// The content.
    pub(super) id: BlobId,
    /// The pack below the folder of attachments.
    pub(super) pack: PackId,
    offset: u64,
    stored_len: u64,
    raw_len: u64,
    flags: u64,
    crc32c: u64,
}

impl Row {
    /// Whether the pack's footer says the same.
    pub(super) fn agrees(&self, entry: &PackEntry) -> bool {
        let Self { id, offset, stored_len, raw_len, flags, crc32c, pack: _ } = *self;
        id == entry.id
            && offset == entry.offset
            && stored_len == entry.stored_len
            && raw_len == entry.raw_len
            && flags == u64::from(entry.encoding.flags())
            && crc32c == u64::from(entry.crc32c)
    }
}

/// Why the tables cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexFault {
    /// One of the two tables is there without the other.
    #[error(
        "the database has only one of the tables {INDEX} and {PACKS}, so packed contents cannot be found"
    )]
    HalfThere,
    /// A row that cannot be one.
    #[error("its row in {INDEX} cannot be right: {reason}")]
    BadRow {
        /// What is wrong.
        reason: String,
    },
    /// SQLite failed.
    #[error("the tables of packed contents cannot be read: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Where a content is packed now, if it is.
pub(super) fn find(connection: &Connection, id: &BlobId) -> Result<Option<Row>, IndexFault> {
    if !exist(connection)? {
        return Ok(None);
    }
    let sql = "SELECT pack_id, pack_offset, stored_len, raw_len, flags, crc32c
               FROM attachment_pack_index WHERE blob_hash = ?1";
    let mut statement = connection.prepare(sql)?;
    let found = statement
        .query_row([id.to_string()], |row| {
            let numbers: [i64; 5] = [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
            Ok((row.get::<_, String>(0)?, numbers))
        })
        .optional()?;
    let Some((pack, numbers)) = found else { return Ok(None) };
    let bad = |reason: String| IndexFault::BadRow { reason };
    let pack = pack.parse().map_err(|error| bad(format!("{error}")))?;
    let mut natural = [0; 5];
    for (number, slot) in numbers.into_iter().zip(&mut natural) {
        *slot = u64::try_from(number).map_err(|_| bad(format!("{number} is negative")))?;
    }
    let [offset, stored_len, raw_len, flags, crc32c] = natural;
    Ok(Some(Row { id: *id, pack, offset, stored_len, raw_len, flags, crc32c }))
}

/// Whether the archive has the tables.
fn exist(connection: &Connection) -> Result<bool, IndexFault> {
    let sql = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND lower(name) IN (?1, ?2)";
    let count: i64 = connection.prepare(sql)?.query_row([INDEX, PACKS], |row| row.get(0))?;
    match count {
        0 => Ok(false),
        2 => Ok(true),
        _ => Err(IndexFault::HalfThere),
    }
}

/// Whether the tables name any pack.
pub(crate) fn names_packs(connection: &Connection) -> Result<bool, IndexFault> {
    if !exist(connection)? {
        return Ok(false);
    }
    let sql =
        "SELECT EXISTS (SELECT 1 FROM attachment_pack_index) OR EXISTS (SELECT 1 FROM attachment_packs)";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// Empties the tables in one transaction.
pub(crate) fn empty(connection: &mut Connection) -> Result<(), IndexFault> {
    let transaction = connection.transaction()?;
    transaction.execute_batch("DELETE FROM attachment_pack_index; DELETE FROM attachment_packs;")?;
    Ok(transaction.commit()?)
}
