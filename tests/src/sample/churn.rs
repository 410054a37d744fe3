//! One day of change: mail arrives, is read and labelled, and some of it is deleted.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Statement, config::DbConfig};

use super::attach::{Attachments, Limits, Oddities};
use super::home::Home;
use super::mail::{self, Mail};
use super::rng::Rng;
use super::store::Store;
use super::{Result, SampleError, Summary, packed, schema, text};

/// What happens on one day. All shares are percentages of the existing rows, rounded up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Churn {
    /// Together with the day, the seed of everything random.
    pub seed: u64,
    /// Which day it is; each day does different things.
    pub day: u32,
    /// The share of new messages.
    pub grow: u64,
    /// The share of messages deleted, with their attachments.
    pub shrink: u64,
    /// The share of messages read, labelled or edited.
    pub update: u64,
    /// The share of attachment rows deleted apart from their messages; 100 leaves none.
    pub remove_attachments: u64,
    /// Whether new messages bring attachments.
    pub attachments: bool,
    /// Rebuild the database file, which gives freed pages back.
    pub vacuum: bool,
    /// Rebuild the database file with a different page size.
    pub page_size: Option<u32>,
    /// Move the WAL into the database at the end. Otherwise the whole day stays in the WAL.
    pub checkpoint: bool,
}

impl Default for Churn {
    fn default() -> Self {
        Self {
            seed: 1,
            day: 1,
            grow: 2,
            shrink: 1,
            update: 2,
            remove_attachments: 0,
            attachments: true,
            vacuum: false,
            page_size: None,
            checkpoint: true,
        }
    }
}

/// Applies one day of change, and returns what the archive holds then. The same day has the same effect on
/// the same archive.
pub fn churn(home: &Path, churn: &Churn) -> Result<Summary> {
    churn.page_size.map_or(Ok(()), schema::check_page_size)?;
    let home = Home::new(home);
    if !home.database().is_file() {
        return Err(SampleError::NotAnArchive(home.path().to_path_buf()));
    }
    let conn = schema::open(&home.database())?;
    if !has_tables(&conn)? {
        return Err(SampleError::NotAnArchive(home.path().to_path_buf()));
    }
    if !churn.checkpoint {
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    }
    let released = change_rows(&conn, &home, churn)?;
    remove_unreferenced(&conn, &home, &released)?;
    rebuild(&conn, churn)?;
    if churn.checkpoint {
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    conn.close().map_err(|(_, error)| error)?;
    Summary::of(&home)
}

/// A hash and a path that a deleted row recorded for it.
type Released = BTreeSet<(String, String)>;

/// Everything that is one transaction: deletions, edits, then the new mail.
fn change_rows(conn: &Connection, home: &Home, churn: &Churn) -> Result<Released> {
    let seed = Rng::new(churn.seed, "churn").next() ^ u64::from(churn.day);
    let mut released = Released::new();
    let transaction = conn.unchecked_transaction()?;
    let messages = count(conn, "messages")?;
    let deleted =
        delete_messages(conn, &mut Rng::new(seed, "delete"), share(messages, churn.shrink), &mut released)?;
    delete_attachments(conn, &mut Rng::new(seed, "detach"), churn.remove_attachments, &mut released)?;
    update_messages(conn, &mut Rng::new(seed, "update"), share(messages, churn.update))?;
    if churn.grow > 0 {
        add_messages(conn, home, churn, seed, share(messages, churn.grow).max(3))?;
    }
    transaction.commit()?;
    if !deleted.is_empty() {
        home.record_deletion(&format!("day-{:05}", churn.day), &deleted)?;
    }
    Ok(released)
}

fn delete_messages(
    conn: &Connection,
    rng: &mut Rng,
    wanted: u64,
    released: &mut Released,
) -> Result<Vec<i64>> {
    let mut rows = Rows::of(conn, "messages")?;
    let mut references = conn.prepare(REFERENCES)?;
    let mut attachments = conn.prepare("SELECT id FROM attachments WHERE message_id = ?")?;
    let mut delete = conn.prepare("DELETE FROM messages WHERE id = ?")?;
    let mut deleted = Vec::new();
    for _ in 0..wanted {
        let Some(message) = rows.pick(rng)? else { break };
        let ids =
            attachments.query_map([message], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
        for id in ids {
            release(&mut references, id, released)?;
        }
        delete.execute([message])?;
        deleted.push(message);
    }
    conn.execute("DELETE FROM conversations WHERE id NOT IN (SELECT conversation_id FROM messages)", [])?;
    Ok(deleted)
}

fn delete_attachments(conn: &Connection, rng: &mut Rng, percent: u64, released: &mut Released) -> Result<()> {
    let mut rows = Rows::of(conn, "attachments")?;
    let mut references = conn.prepare(REFERENCES)?;
    let mut delete = conn.prepare("DELETE FROM attachments WHERE id = ?")?;
    for _ in 0..share(count(conn, "attachments")?, percent) {
        let Some(id) = rows.pick(rng)? else { break };
        release(&mut references, id, released)?;
        delete.execute([id])?;
    }
    Ok(())
}

fn update_messages(conn: &Connection, rng: &mut Rng, wanted: u64) -> Result<()> {
    let mut rows = Rows::of(conn, "messages")?;
    let mut read = conn.prepare("UPDATE messages SET is_read = 1 - is_read WHERE id = ?")?;
    let mut source = conn.prepare("SELECT source_id FROM messages WHERE id = ?")?;
    let mut unlabel = conn.prepare("DELETE FROM message_labels WHERE message_id = ?")?;
    let mut label =
        conn.prepare("INSERT OR IGNORE INTO message_labels(message_id, label_id) VALUES (?, ?)")?;
    let mut edit = conn.prepare("UPDATE message_bodies SET body = ?2 WHERE message_id = ?1")?;
    for _ in 0..wanted {
        let Some(message) = rows.pick(rng)? else { break };
        match rng.below(4) {
            0 => {
                let len = usize::try_from(mail::body_length(rng)).unwrap_or(0);
                edit.execute((message, text::body(rng, len)))?;
            }
            1 => {
                let source = source.query_row([message], |row| row.get(0))?;
                unlabel.execute([message])?;
                label.execute((message, mail::random_label(rng, source)))?;
            }
            _ => {
                read.execute([message])?;
            }
        }
    }
    Ok(())
}

fn add_messages(conn: &Connection, home: &Home, churn: &Churn, seed: u64, wanted: u64) -> Result<()> {
    let now =
        conn.query_row("SELECT coalesce(max(unixepoch(sent_at)), 1330560000) FROM messages", [], |r| {
            r.get(0)
        })?;
    let mut mail = Mail::start(conn, Rng::new(seed, "mail"), now, 86_400 / wanted)?;
    mail.resume(conn)?;
    let mut attachments = new_attachments(conn, home, seed)?;
    let mean: i64 =
        conn.query_row("SELECT coalesce(sum(size) / count(size), 0) FROM attachments", [], |row| row.get(0))?;
    let mean = u64::try_from(mean).unwrap_or(0).clamp(1 << 10, 96 << 10);
    let (rows, messages) = (count(conn, "attachments")?, count(conn, "messages")?);
    let mut rng = Rng::new(seed, "which have attachments");
    for number in 0..wanted {
        let message = mail.write()?;
        // As many as messages have had so far, but at least one.
        if churn.attachments && (number == 0 || rng.below(messages) < rows) {
            attachments.belong_to(Some((message, message)));
            attachments.write_ordinary(mean, false)?;
            conn.execute("UPDATE messages SET has_attachments = 1 WHERE id = ?", [message])?;
        }
    }
    conn.execute("UPDATE sources SET last_sync_at = (SELECT max(sent_at) FROM messages)", [])?;
    Ok(())
}

fn new_attachments<'c>(conn: &'c Connection, home: &Home, seed: u64) -> Result<Attachments<'c>> {
    let unlimited = Limits { rows: u64::MAX, contents: u64::MAX, bytes: u64::MAX };
    let plain = Oddities { namespaced: false, null_sizes: false, without_content: false };
    Attachments::new(
        conn,
        Rng::new(seed, "attachments"),
        Store::open(home.attachments(), None),
        unlimited,
        plain,
    )
}

/// The content that a row refers to.
const REFERENCES: &str = "
    SELECT content_hash, storage_path FROM attachments
        WHERE id = ?1 AND content_hash <> '' AND storage_path <> '' AND storage_path NOT LIKE 'http%://%'
    UNION SELECT thumbnail_hash, thumbnail_path FROM attachments
        WHERE id = ?1 AND thumbnail_hash <> '' AND thumbnail_path <> '' AND thumbnail_path NOT LIKE 'http%://%'";

/// Records what a row that is about to be deleted refers to.
fn release(references: &mut Statement<'_>, attachment: i64, released: &mut Released) -> Result<()> {
    let mut rows = references.query([attachment])?;
    while let Some(row) = rows.next()? {
        released.insert((row.get(0)?, row.get(1)?));
    }
    Ok(())
}

/// A file is removed when the last row that records its path is gone.
fn remove_unreferenced(conn: &Connection, home: &Home, released: &Released) -> Result<()> {
    let store = Store::open(home.attachments(), None);
    let mut used = conn.prepare(
        "SELECT 1 FROM attachments WHERE content_hash = ?1 AND storage_path = ?2
         UNION ALL SELECT 1 FROM attachments WHERE thumbnail_hash = ?1 AND thumbnail_path = ?2",
    )?;
    for (hash, path) in released {
        if !used.exists((hash, path))? {
            store.remove(path)?;
        }
    }
    packed::remove_unreferenced(conn, home)
}

fn rebuild(conn: &Connection, churn: &Churn) -> Result<()> {
    let Some(page_size) = churn.page_size else {
        if churn.vacuum {
            conn.execute_batch("VACUUM")?;
        }
        return Ok(());
    };
    // The page size is fixed as long as the database is in WAL mode.
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = DELETE; PRAGMA page_size = {page_size}; VACUUM; PRAGMA journal_mode = WAL;"
    ))?;
    Ok(())
}

/// Picks existing rows of a table.
struct Rows<'c> {
    range: Statement<'c>,
    next: Statement<'c>,
}

impl<'c> Rows<'c> {
    fn of(conn: &'c Connection, table: &str) -> Result<Self> {
        Ok(Self {
            range: conn
                .prepare(&format!("SELECT (SELECT min(id) FROM {table}), (SELECT max(id) FROM {table})"))?,
            next: conn.prepare(&format!("SELECT id FROM {table} WHERE id >= ? ORDER BY id LIMIT 1"))?,
        })
    }

    /// The first row at or after a random point in the id range; none if the table is empty.
    fn pick(&mut self, rng: &mut Rng) -> Result<Option<i64>> {
        let ends = self.range.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (Some(low), Some(high)) = ends else { return Ok(None) };
        Ok(self.next.query_row([rng.id(low, high)], |row| row.get(0)).optional()?)
    }
}

fn count(conn: &Connection, table: &str) -> Result<u64> {
    let n: i64 = conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
    Ok(u64::try_from(n).unwrap_or(0))
}

fn has_tables(conn: &Connection) -> Result<bool> {
    let sql =
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('messages', 'message_bodies')";
    Ok(conn.query_row(sql, [], |row| row.get::<_, i64>(0))? == 2)
}

fn share(count: u64, percent: u64) -> u64 {
    count.saturating_mul(percent).div_ceil(100)
}
