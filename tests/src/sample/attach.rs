//! Rows of `attachments` and the content behind them: ordinary ones, and every odd kind seen in real
//! archives.

use std::collections::HashSet;

use rusqlite::{Connection, Statement, params};

use super::content::Kind;
use super::rng::Rng;
use super::store::{Place, Store, Stored};
use super::{Result, sql_int};

/// From this budget upwards there is room for contents of several megabytes, unless all are meant to be
/// small.
const ROOM_FOR_LARGE: u64 = 32 << 20;

const SMALL_MEAN: u64 = 16 << 10;

const LARGEST: u64 = 24 << 20;

/// How many earlier contents are remembered for rows that repeat one.
const REMEMBERED: usize = 512;

/// How far the table may grow. The first limit that is reached ends the writing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Rows in all.
    pub(super) rows: u64,
    /// Distinct contents, not counting thumbnails.
    pub(super) contents: u64,
    /// Bytes of contents.
    pub(super) bytes: u64,
}

/// Which oddities the table shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Oddities {
    /// Paths below `synctech-sms/`, and a hash at two paths.
    pub(super) namespaced: bool,
    /// Rows that do not know their size.
    pub(super) null_sizes: bool,
    /// Rows that bear no content.
    pub(super) without_content: bool,
}

/// The messages that attachments may belong to: first and last row id.
pub(super) type Owners = Option<(i64, i64)>;

/// Writes attachments until a limit is reached.
pub(super) struct Attachments<'c> {
    rng: Rng,
    store: Store<'c>,
    limits: Limits,
    oddities: Oddities,
    owners: Owners,
    rows: u64,
    bytes: u64,
    contents: HashSet<String>,
    earlier: Vec<Stored>,
    add: Statement<'c>,
}

impl<'c> Attachments<'c> {
    pub(super) fn new(
        conn: &'c Connection,
        rng: Rng,
        store: Store<'c>,
        limits: Limits,
        oddities: Oddities,
    ) -> Result<Self> {
        let add = conn.prepare(
            "INSERT INTO attachments(message_id, filename, mime_type, size, content_hash, storage_path,
                 thumbnail_hash, thumbnail_path) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        Ok(Self {
            rng,
            store,
            limits,
            oddities,
            owners: None,
            rows: 0,
            bytes: 0,
            contents: HashSet::new(),
            earlier: Vec::new(),
            add,
        })
    }

    /// From now on rows belong to these messages; with `None`, to no message.
    pub(super) fn belong_to(&mut self, owners: Owners) {
        self.owners = owners;
    }

    /// Sizes around the limit below which nothing is compressed, empty contents, and rows of every odd kind.
    pub(super) fn write_corner_cases(&mut self) -> Result<()> {
        for size in [0, 0, 1, 1023, 1024, 1025, 1024, 4096] {
            for kind in [Kind::Text, Kind::Photo] {
                self.write_content(kind, size, true)?;
            }
        }
        self.write_shared_content()?;
        self.write_thumbnails()?;
        if self.oddities.namespaced {
            self.write_one_hash_at_two_paths()?;
        }
        if self.oddities.null_sizes {
            self.write_unknown_size()?;
        }
        if self.oddities.without_content {
            self.write_rows_without_content()?;
        }
        Ok(())
    }

    /// Ordinary attachments around a mean size, until a limit is reached.
    pub(super) fn write_until_full(&mut self, mean: u64) -> Result<()> {
        let large = self.limits.bytes >= ROOM_FOR_LARGE && mean >= SMALL_MEAN;
        if large && self.wants_content() {
            self.write_content(Kind::Csv, 6 << 20, true)?;
            self.write_content(Kind::Photo, 5 << 20, true)?;
        }
        while self.wants_content() && (self.bytes < self.limits.bytes || self.limits.contents < u64::MAX) {
            self.write_ordinary(mean, large)?;
        }
        if self.limits.rows < u64::MAX {
            while self.rows < self.limits.rows {
                self.write_repeat()?;
            }
        }
        Ok(())
    }

    /// One attachment as a message brings it, sometimes with a thumbnail, sometimes with one that was sent
    /// before.
    pub(super) fn write_ordinary(&mut self, mean: u64, large: bool) -> Result<()> {
        if !self.earlier.is_empty() && self.rng.one_in(10) {
            self.write_repeat()?;
        }
        let kind = Kind::draw(&mut self.rng);
        let size = if large && self.rng.one_in(400) {
            self.rng.between(3 << 20, 9 << 20)
        } else {
            self.rng.skewed(mean)
        };
        let knows_size = !(self.oddities.null_sizes && self.rng.one_in(16));
        self.write_content(kind, size.clamp(24, LARGEST), knows_size)
    }

    /// Writes what is still waiting for its pack.
    pub(super) fn finish(self) -> Result<()> {
        self.store.finish()
    }

    fn wants_content(&self) -> bool {
        self.rows < self.limits.rows && self.count_contents() < self.limits.contents
    }

    fn count_contents(&self) -> u64 {
        u64::try_from(self.contents.len()).unwrap_or(u64::MAX)
    }

    fn write_content(&mut self, kind: Kind, size: u64, knows_size: bool) -> Result<()> {
        if !self.wants_content() {
            return Ok(());
        }
        let place =
            if self.oddities.namespaced && self.rng.one_in(4) { Place::Namespaced } else { Place::Canonical };
        let stored = self.store_content(kind, size, place)?;
        let known = knows_size.then_some(stored.size);
        let thumbnail =
            if kind == Kind::Photo && self.rng.one_in(3) { Some(self.store_thumbnail()?) } else { None };
        self.add_row(kind, known, Some(&stored), thumbnail.as_ref())
    }

    /// A row for content that another row already has; if there is no content yet, a row without content.
    fn write_repeat(&mut self) -> Result<()> {
        if self.earlier.is_empty() {
            return self.write_remote_row("https://example.com/picture.png");
        }
        let stored = self.earlier[self.rng.index(self.earlier.len())].clone();
        self.add_row(Kind::Photo, Some(stored.size), Some(&stored), None)
    }

    /// One hash in many rows, like a logo in a signature; one of them records a size that is too small.
    fn write_shared_content(&mut self) -> Result<()> {
        if !self.wants_content() {
            return Ok(());
        }
        let logo = self.store_content(Kind::Photo, 2000, Place::Canonical)?;
        for size in [7, 2000, 2000, 2000, 2000, 2000, 2000, 2000] {
            self.add_row(Kind::Photo, Some(size), Some(&logo), None)?;
        }
        Ok(())
    }

    /// A thumbnail of its own, a thumbnail shared by two rows, and a picture that is its own thumbnail.
    fn write_thumbnails(&mut self) -> Result<()> {
        for _ in 0..2 {
            if !self.wants_content() {
                return Ok(());
            }
            let photo = self.store_content(Kind::Photo, 9000, Place::Canonical)?;
            let thumbnail = self.store_thumbnail()?;
            self.add_row(Kind::Photo, Some(photo.size), Some(&photo), Some(&thumbnail))?;
            self.add_row(Kind::Photo, Some(photo.size), Some(&photo), Some(&thumbnail))?;
            self.add_row(Kind::Photo, Some(photo.size), Some(&photo), Some(&photo))?;
        }
        Ok(())
    }

    fn write_one_hash_at_two_paths(&mut self) -> Result<()> {
        if !self.wants_content() {
            return Ok(());
        }
        let bytes = Kind::Photo.bytes(&mut self.rng, 3000);
        for place in [Place::Namespaced, Place::Canonical] {
            let stored = self.store.put(&bytes, place)?;
            self.contents.insert(stored.hash.clone());
            self.add_row(Kind::Photo, Some(stored.size), Some(&stored), None)?;
        }
        Ok(())
    }

    fn write_unknown_size(&mut self) -> Result<()> {
        if !self.wants_content() {
            return Ok(());
        }
        let stored = self.store_content(Kind::Pdf, 5000, Place::Canonical)?;
        self.add_row(Kind::Pdf, None, Some(&stored), None)
    }

    /// Remote content, no content, and a synthetic hash without a path.
    fn write_rows_without_content(&mut self) -> Result<()> {
        if self.limits.contents == 0 {
            return Ok(());
        }
        for url in ["http://example.com/a.png", "https://example.com/b.png", "HTTPS://EXAMPLE.COM/C.PNG"] {
            self.write_remote_row(url)?;
        }
        let hash = format!("synthetic-{:016x}", self.rng.next());
        for (hash, path) in
            [(Some(hash.as_str()), Some("")), (Some(""), Some("")), (None, None), (Some(""), Some("ab/c"))]
        {
            self.add_odd_row(hash, path, None)?;
        }
        self.add_odd_row(None, None, Some("Https://example.com/thumbnail.jpg"))
    }

    fn write_remote_row(&mut self, url: &str) -> Result<()> {
        let hash = format!("remote-{:016x}", self.rng.next());
        self.add_odd_row(Some(&hash), Some(url), None)
    }

    fn add_odd_row(&mut self, hash: Option<&str>, path: Option<&str>, thumbnail: Option<&str>) -> Result<()> {
        if self.rows >= self.limits.rows {
            return Ok(());
        }
        let owner = self.draw_owner();
        let thumbnail_hash = thumbnail.map(|_| "remote");
        self.add.execute(params![
            owner,
            "linked.png",
            "image/png",
            0,
            hash,
            path,
            thumbnail_hash,
            thumbnail
        ])?;
        self.rows = self.rows.saturating_add(1);
        Ok(())
    }

    fn add_row(
        &mut self,
        kind: Kind,
        size: Option<u64>,
        content: Option<&Stored>,
        thumbnail: Option<&Stored>,
    ) -> Result<()> {
        if self.rows >= self.limits.rows {
            return Ok(());
        }
        let owner = self.draw_owner();
        let name = kind.file_name(&mut self.rng);
        self.add.execute(params![
            owner,
            name,
            kind.mime(),
            size.map(sql_int),
            content.map(|stored| &stored.hash),
            content.map(|stored| &stored.path),
            thumbnail.map(|stored| &stored.hash),
            thumbnail.map(|stored| &stored.path),
        ])?;
        self.rows = self.rows.saturating_add(1);
        Ok(())
    }

    fn store_content(&mut self, kind: Kind, size: u64, place: Place) -> Result<Stored> {
        let bytes = kind.bytes(&mut self.rng, usize::try_from(size).unwrap_or(0));
        let stored = self.store.put(&bytes, place)?;
        self.bytes = self.bytes.saturating_add(stored.size);
        self.contents.insert(stored.hash.clone());
        if self.earlier.len() < REMEMBERED {
            self.earlier.push(stored.clone());
        } else if self.rng.one_in(8) {
            let slot = self.rng.index(REMEMBERED);
            self.earlier[slot] = stored.clone();
        }
        Ok(stored)
    }

    fn store_thumbnail(&mut self) -> Result<Stored> {
        let size = self.rng.between(300, 2500);
        let bytes = Kind::Photo.bytes(&mut self.rng, usize::try_from(size).unwrap_or(0));
        let stored = self.store.put(&bytes, Place::Canonical)?;
        self.bytes = self.bytes.saturating_add(stored.size);
        Ok(stored)
    }

    fn draw_owner(&mut self) -> Option<i64> {
        self.owners.map(|(first, last)| self.rng.id(first, last))
    }
}
