//! Days that pass by a clock of their own, so that months go by in minutes: an archive without attachments, a share of
//! whose pages changes every day, and the library's own functions on its repository.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use msgvault::create::{self, CreateReport, CreateRequest};
use msgvault::home::{Dense, Environment, Flags, Home};
use msgvault::repo::init::init;
use msgvault::repo::lock::{self, Lock, LockRequest};
use msgvault::restore::{self, RestoreRequest};
use msgvault_freeze as freeze;
use msgvault_platform::context::Context;
use msgvault_verifier::Memory;
use msgvault_verifier::format::id::SnapshotId;
use tempfile::TempDir;

use crate::sample::{self, Churn, Options};

/// Whatever goes wrong ends a measurement.
pub type Measured<T> = Result<T, Box<dyn Error>>;

/// An archive, and the day that it is.
#[derive(Debug)]
pub struct PassingDays {
    folder: TempDir,
    day: AtomicI64,
    drawn: AtomicU64,
}

impl PassingDays {
    /// Makes an archive in a folder of its own in this one.
    pub fn new(parent: &Path, size: u64) -> Measured<Self> {
        let days =
            Self { folder: tempfile::tempdir_in(parent)?, day: AtomicI64::new(0), drawn: AtomicU64::new(0) };
        let options = Options { size, attachments: Some(0), attachment_rows: Some(0), ..Options::default() };
        sample::make(&days.beside("home"), &options)?;
        Ok(days)
    }

    /// A path in the folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Does something on the day that it is.
    pub fn now<T>(&self, work: impl FnOnce(&Context<'_>) -> Measured<T>) -> Measured<T> {
        let start: Timestamp = "2026-01-05T03:00:00Z".parse()?;
        let now = || start + SignedDuration::from_hours(24 * self.day.load(Ordering::Relaxed));
        let random = || u128::from(self.drawn.fetch_add(1, Ordering::Relaxed));
        work(&Context { observer: &(), now: &now, random: &random })
    }

    /// Makes it another day.
    pub fn go_to(&self, day: u32) {
        self.day.store(day.into(), Ordering::Relaxed);
    }

    /// A day of change. Rows at random places are the worst that can happen to blobs. `marked` messages in a thousand
    /// are marked as read or unread; 0 lets mail come and go instead.
    pub fn change(&self, marked: u64) -> Measured<()> {
        let day = u32::try_from(self.day.load(Ordering::Relaxed))?;
        let home = self.beside("home");
        if marked == 0 {
            let churn = Churn { day, grow: 1, shrink: 1, update: 2, attachments: false, ..Churn::default() };
            sample::churn(&home, &churn)?;
            return Ok(());
        }
        let database = rusqlite::Connection::open(home.join("msgvault.db"))?;
        let mark =
            "UPDATE messages SET is_read = 1 - is_read WHERE (id * 2654435761 + ?1 * 40503) / 7 % 1000 < ?2";
        database.execute(mark, (day, i64::try_from(marked)?))?;
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// An empty repository.
    pub fn init(&self, repo: &Path) -> Measured<()> {
        self.now(|context| Ok(init(repo, context).map(drop)?))
    }

    /// A snapshot of a home, on the day that it is.
    pub fn snapshot(&self, home: &Path, repo: &Path, dense: Dense) -> Measured<CreateReport> {
        let flags = Flags { home: Some(home.to_owned()), config: None };
        let home = Home::resolve(&flags, &Environment::default(), Path::new("/"))?;
        let pause = |time: Duration| sleep(time);
        let asked = freeze::Request {
            data_dir: &home.data_dir,
            api_key: "",
            patience: Duration::ZERO,
            pause: &pause,
        };
        let request = CreateRequest {
            home: &home,
            repo,
            tag: "",
            include_config: false,
            include_tokens: false,
            allow_plaintext_secrets: false,
            jobs: 0,
            zstd_level: 0,
            dense,
            force_unlock: false,
            accept_clock: true,
            alarm_drop: 5,
            retry_lock: Duration::ZERO,
            check: false,
            dry_run: false,
            version: "0",
            host: "bench",
            pid: 1,
            log_limit: None,
            pause: &pause,
        };
        self.now(|context| {
            let mut freezer = freeze::acquire(context, &asked)?;
            Ok(create::run(context, &request, freezer.as_mut())?)
        })
    }

    /// Changes a repository under its exclusive lock.
    pub fn locked<T>(
        &self,
        repo: &Path,
        change: impl FnOnce(&Context<'_>, &Lock) -> Measured<T>,
    ) -> Measured<T> {
        self.now(|context| {
            let lock = lock::exclusive(context, &request(repo, "prune", &sleep))?;
            let changed = change(context, &lock)?;
            lock.release()?;
            Ok(changed)
        })
    }

    /// Restores a snapshot to a new folder.
    pub fn restore(&self, repo: &Path, snapshot: &SnapshotId, target: &Path) -> Measured<()> {
        let request = RestoreRequest {
            lock: request(repo, "restore", &sleep),
            snapshot,
            expect_content: None,
            target,
            overwrite: false,
            integrity_check: false,
            jobs: 0,
            memory: Memory::unlimited(),
            live_homes: &[],
        };
        self.now(|context| Ok(restore::run(context, &request).map(drop)?))
    }
}

fn request<'a>(root: &'a Path, operation: &'a str, pause: &'a dyn Fn(Duration)) -> LockRequest<'a> {
    LockRequest { root, operation, host: "bench", pid: 1, force: false, patience: Duration::ZERO, pause }
}
