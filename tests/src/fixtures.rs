//! Repositories that the Go program wrote, and what each of their snapshots restores to.
//!
//! The small ones are part of the project; a larger set is used where a folder beside the checkout holds it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A repository and what is expected of it.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// `minimal/plain` and so on.
    pub name: String,
    /// The repository; copy it before anything takes a lock.
    pub repo: PathBuf,
    /// Expectations, a few files a snapshot.
    pub expected: PathBuf,
}

/// All fixtures that are there; says loudly on standard error when the larger set is not.
///
/// # Panics
///
/// When the fixtures of the project itself cannot be read.
pub fn all() -> Vec<Fixture> {
    let mut found = below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"), "minimal");
    assert!(!found.is_empty(), "the project's own fixtures are missing");
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/full");
    let full = below(&shared, "full");
    if full.is_empty() {
        // Past the test harness, which would swallow it in a test that passes.
        let _ = writeln!(io::stderr(), "NOT RUN: the larger fixtures are not here ({})", shared.display());
    }
    found.extend(full);
    found
}

fn below(folder: &Path, set: &str) -> Vec<Fixture> {
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    names.sort();
    let fixture = |path: PathBuf| Fixture {
        name: format!("{set}/{}", path.file_name().unwrap_or_default().to_string_lossy()),
        repo: path.join("repo"),
        expected: path.join("expected"),
    };
    names.into_iter().map(fixture).filter(|fixture| fixture.repo.join("config.toml").is_file()).collect()
}

impl Fixture {
    /// The expected snapshots, oldest first.
    ///
    /// # Panics
    ///
    /// When the expectation cannot be read.
    pub fn snapshots(&self) -> Vec<String> {
        let text = fs::read_to_string(self.expected.join("snapshots.txt")).expect("snapshots.txt");
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// What a snapshot restores to: path and SHA-256, path and octal mode.
    ///
    /// # Panics
    ///
    /// When the expectation cannot be read.
    pub fn restored(&self, snapshot: &str) -> [Vec<(String, String)>; 2] {
        let read = |kind: &str| {
            let path = self.expected.join(format!("{snapshot}.{kind}"));
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let split = |line: &str| -> (String, String) {
            let (value, path) = line.split_once("  ").expect("two columns");
            (path.to_owned(), value.to_owned())
        };
        let mut files: Vec<_> = read("files").lines().map(split).collect();
        let mut modes: Vec<_> = read("modes").lines().map(split).collect();
        files.sort();
        modes.sort();
        [files, modes]
    }

    /// Copies the repository to a folder.
    ///
    /// # Panics
    ///
    /// When it cannot be copied.
    pub fn copy_to(&self, target: &Path) {
        copy_tree(&self.repo, target).expect("the fixture can be copied");
    }
}

/// Copies a tree of files and folders; the copies can be written.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::write(&target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}
