//! An archive, a repository next to it, and what a user does with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::programs::{HangUp, Outcome, msgvault, run, with_hang_up};
use crate::sample::{self, Churn, Options};

/// The first byte of a page of a database that holds rows of a table.
const LEAF_OF_A_TABLE: u8 = 13;

/// An archive home and a repository in a folder that is removed when this is dropped.
#[derive(Debug)]
pub struct Scene {
    folder: TempDir,
}

impl Scene {
    /// Creates a sample archive and an empty repository.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn new(options: &Options) -> Self {
        let scene = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        sample::make(&scene.home(), options).expect("a sample archive");
        let _ = scene.backup(&["init"]).done();
        scene
    }

    /// The archive home.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.home().join("msgvault.db")
    }

    /// Zeroes the last page of the database that holds rows of a table: SQLite's check finds it, counts do not.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn damage_database(&self) {
        let path = self.database();
        let mut bytes = fs::read(&path).expect("a database");
        let leaf = bytes.chunks_mut(4096).rfind(|page| page[0] == LEAF_OF_A_TABLE).expect("a table");
        leaf.fill(0);
        fs::write(&path, bytes).expect("a database");
    }

    /// The repository.
    pub fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    /// A path next to both.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command on this archive and this repository, to be completed.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = msgvault();
        command.arg("backup").args(args).arg("--home").arg(self.home()).arg("--repo").arg(self.repo());
        command
    }

    /// Runs `msgvault backup …`.
    pub fn backup(&self, args: &[&str]) -> Outcome {
        run(&mut self.command(args))
    }

    /// Runs `msgvault backup …` with a fault of this kind at one durable step, as `fault-driver` describes.
    pub fn with_fault(&self, kind: &str, at: u64, args: &[&str]) -> Outcome {
        run(&mut self.faulty(HangUp::Ends, kind, at, args))
    }

    /// The same as a command, for a program that is told of a lost terminal or is not.
    pub fn faulty(&self, hang_up: HangUp, kind: &str, at: u64, args: &[&str]) -> Command {
        let mut command = with_hang_up(hang_up, "fault-driver");
        command.args([kind, &at.to_string(), "backup"]).args(args);
        command.arg("--home").arg(self.home()).arg("--repo").arg(self.repo());
        command
    }

    /// The durable steps of a run, in order; it is done once for that.
    ///
    /// # Panics
    ///
    /// If it fails, or has so few steps that faults at each would prove nothing.
    pub fn steps(&self, args: &[&str]) -> Vec<String> {
        let counted = self.with_fault("count", 0, args).done();
        let steps = counted.stderr.lines().filter_map(|line| line.strip_prefix("step ").map(str::to_owned));
        let steps: Vec<String> = steps.collect();
        assert!(steps.len() > 3, "{counted:?}");
        steps
    }

    /// The IDs of all listed snapshots, oldest first.
    ///
    /// # Panics
    ///
    /// When they cannot be listed.
    pub fn listed(&self) -> Vec<String> {
        listed(&self.repo())
    }

    /// Creates a snapshot and returns its ID.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn create(&self, args: &[&str]) -> String {
        let document = self.backup(&[&["create", "--json"], args].concat()).done().json();
        document["snapshot_id"].as_str().expect("an ID").to_owned()
    }

    /// Restores a snapshot to a new folder next to the archive.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn restore(&self, snapshot: &str, name: &str) -> PathBuf {
        let target = self.beside(name);
        let _ = self.backup(&["restore", snapshot, "--target", &target.to_string_lossy()]).done();
        target
    }

    /// A day in the archive's life; afterwards the database file holds everything.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn churn(&self, churn: &Churn) {
        sample::churn(&self.home(), churn).expect("a day of churn");
    }

    /// Makes the locks that killed programs left half an hour older.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn half_an_hour_later(&self) {
        let then = SystemTime::now() - Duration::from_mins(31);
        for entry in fs::read_dir(self.repo().join("locks")).expect("the locks") {
            let lock = fs::File::options().write(true).open(entry.expect("a lock").path());
            lock.and_then(|lock| lock.set_modified(then)).expect("a lock made older");
        }
    }

    /// Keeps a copy of the database as it is now.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn keep(&self, name: &str) -> PathBuf {
        let copy = self.beside(name);
        fs::copy(self.database(), &copy).expect("a copy of the database");
        copy
    }
}

/// The IDs of all snapshots that a repository lists, oldest first.
///
/// # Panics
///
/// When they cannot be listed.
pub fn listed(repo: &Path) -> Vec<String> {
    let list = run(msgvault().args(["backup", "list", "--json", "--repo"]).arg(repo)).done().json();
    let ids = list["snapshots"].as_array().expect("a list").iter();
    ids.map(|snapshot| snapshot["snapshot_id"].as_str().expect("an ID").to_owned()).collect()
}

/// Puts a repository back as it was when this copy was made; without a copy, it goes.
///
/// # Panics
///
/// When that fails.
pub fn put_back(from: &Path, repo: &Path) {
    let _ = fs::remove_dir_all(repo);
    if from.exists() {
        let copied = Command::new("cp").arg("-a").args([from, repo]).status();
        assert!(copied.expect("cp").success(), "{}", from.display());
    }
}

/// Checks that two files hold the same bytes.
///
/// # Panics
///
/// When they do not.
pub fn assert_same_bytes(actual: &Path, expected: &Path, what: &str) {
    let read = |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (actual, expected) = (read(actual), read(expected));
    let first = actual.iter().zip(&expected).position(|(a, b)| a != b);
    assert!(
        actual == expected,
        "{what}: {} and {} bytes, first difference at {first:?}",
        actual.len(),
        expected.len()
    );
}
