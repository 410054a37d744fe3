//! Creates a home from nothing.

use std::path::Path;

use rusqlite::Connection;

use super::attach::{Attachments, Limits, Oddities, Owners};
use super::home::Home;
use super::mail::{Mail, write_accounts};
use super::packed::Packer;
use super::rng::Rng;
use super::schema::{self, Shape};
use super::store::Store;
use super::{Result, SampleError, Summary};

/// Which archive to create. The same options always give the same archive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, set by name")]
pub struct Options {
    /// The seed of everything random.
    pub seed: u64,
    /// The approximate bytes of database and attachments together. An archive with large pages and little in
    /// it is larger.
    pub size: u64,
    /// A power of two from 512 to 65536.
    pub page_size: u32,
    /// The exact number of messages; otherwise as many as the size has room for.
    pub messages: Option<u64>,
    /// The exact number of distinct contents; otherwise as many as the size has room for.
    pub attachments: Option<u64>,
    /// The exact number of rows of `attachments`: contents repeat, or stop early, to reach it.
    pub attachment_rows: Option<u64>,
    /// Some paths are `synctech-sms/…`, and one hash is recorded at two paths.
    pub namespaced: bool,
    /// About half of the content is in `attachments/packs/`, with the two tables that lead there.
    pub packed: bool,
    /// Some rows have no size.
    pub null_sizes: bool,
    /// Some rows refer to remote content, or to no content.
    pub rows_without_content: bool,
    /// `config.toml`, `client_secret_x.json` and `tokens/`.
    pub secrets: bool,
    /// Files that a backup must leave out: `vectors.db`, `logs/` and the like.
    pub derived_state: bool,
    /// A table of 100 accounts with a balance of 1000 each, for tests that transfer between them.
    pub ledger: bool,
    /// Empty views instead of tables, so that the database is one page.
    pub single_page: bool,
    /// The day of the first message, `YYYY-MM-DD`.
    pub start: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            size: 1 << 20,
            page_size: 4096,
            messages: None,
            attachments: None,
            attachment_rows: None,
            namespaced: false,
            packed: false,
            null_sizes: true,
            rows_without_content: true,
            secrets: false,
            derived_state: false,
            ledger: false,
            single_page: false,
            start: "2012-03-01".to_owned(),
        }
    }
}

/// Creates an archive in a directory that holds none yet, and returns what it holds.
pub fn make(home: &Path, options: &Options) -> Result<Summary> {
    options.check()?;
    let home = Home::new(home);
    home.create()?;
    write_database(&home, options)?;
    write_extras(&home, options)?;
    Summary::of(&home)
}

impl Options {
    fn check(&self) -> Result<()> {
        schema::check_page_size(self.page_size)?;
        if self.single_page && (self.page_size < 1024 || self.ledger) {
            return Err(SampleError::SinglePage(self.page_size));
        }
        Ok(())
    }

    fn wants_attachments(&self) -> bool {
        self.attachments != Some(0) || self.attachment_rows.is_some_and(|rows| rows > 0)
    }

    /// If both grow with the size, two fifths are database.
    fn database_size(&self) -> u64 {
        if self.wants_attachments() { self.size / 5 * 2 } else { self.size }
    }

    fn attachment_limits(&self, database: u64) -> Limits {
        let none = if self.attachments == Some(0) { 0 } else { u64::MAX };
        Limits {
            rows: self.attachment_rows.unwrap_or(none),
            contents: self.attachments.unwrap_or(u64::MAX),
            bytes: self.size.saturating_sub(database),
        }
    }
}

fn write_database(home: &Home, options: &Options) -> Result<()> {
    let shape =
        Shape { page_size: options.page_size, single_page: options.single_page, ledger: options.ledger };
    let conn = schema::create(&home.database(), shape)?;
    if !options.single_page {
        let transaction = conn.unchecked_transaction()?;
        write_accounts(&conn, &mut Rng::new(options.seed, "accounts"))?;
        let owners = write_messages(&conn, options)?;
        write_attachments(&conn, home, options, owners)?;
        transaction.commit()?;
    }
    schema::finish(conn)
}

/// The size is checked after every batch of this many messages, which even the smallest archive has by
/// default.
const FEW_MESSAGES: u64 = 32;

fn write_messages(conn: &Connection, options: &Options) -> Result<Owners> {
    let start: Option<i64> = conn.query_row("SELECT unixepoch(?)", [&options.start], |row| row.get(0))?;
    let start = start.ok_or_else(|| SampleError::Start(options.start.clone()))?;
    let mut mail = Mail::start(conn, Rng::new(options.seed, "mail"), start, 600)?;
    let mut written: Owners = None;
    let mut count = 0_u64;
    let enough = options.database_size();
    while count < options.messages.unwrap_or(u64::MAX) {
        let may_end = options.messages.is_none() && count > 0 && count.is_multiple_of(FEW_MESSAGES);
        if may_end && database_size(conn)? >= enough {
            break;
        }
        let id = mail.write()?;
        written = Some((written.map_or(id, |(first, _)| first), id));
        count = count.saturating_add(1);
    }
    Ok(written)
}

fn write_attachments(conn: &Connection, home: &Home, options: &Options, owners: Owners) -> Result<()> {
    let limits = options.attachment_limits(database_size(conn)?);
    let oddities = Oddities {
        namespaced: options.namespaced,
        null_sizes: options.null_sizes,
        without_content: options.rows_without_content,
    };
    let packer = if options.packed {
        Some(Packer::create(conn, home, Rng::new(options.seed, "packs"), limits.bytes)?)
    } else {
        None
    };
    let store = Store::open(home.attachments(), packer);
    let rng = Rng::new(options.seed, "attachments");
    let mut attachments = Attachments::new(conn, rng, store, limits, oddities)?;
    attachments.belong_to(owners);
    attachments.write_corner_cases()?;
    let mean = match options.attachments {
        Some(contents) => limits.bytes / contents.max(1),
        None => (limits.bytes / 64).clamp(2 << 10, 40 << 10),
    };
    attachments.write_until_full(mean)?;
    attachments.finish()?;
    conn.execute(MARK_MESSAGES, [])?;
    Ok(())
}

/// Records in each message whether it has attachments.
const MARK_MESSAGES: &str =
    "UPDATE messages SET has_attachments = 1 WHERE id IN (SELECT message_id FROM attachments)";

fn write_extras(home: &Home, options: &Options) -> Result<()> {
    home.record_deletion("before-the-archive", &[])?;
    home.record_pending_deletion()?;
    if options.secrets {
        home.write_secrets(&mut Rng::new(options.seed, "secrets"))?;
    }
    if options.derived_state {
        home.write_derived_state()?;
    }
    Ok(())
}

fn database_size(conn: &Connection) -> Result<u64> {
    let bytes: i64 = conn.query_row(
        "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
        [],
        |row| row.get(0),
    )?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}
