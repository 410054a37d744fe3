//! Repositories that the Go program wrote, and what each of their snapshots restores to.
//!
//! The small ones are part of the project. `MSGVAULT_FIXTURES=DIR` names a folder with more of them, at any
//! depth.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The environment variable that names a folder with more repositories.
pub const VARIABLE: &str = "MSGVAULT_FIXTURES";

/// A repository and its expected results.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// `fixtures/plain` for one of the project's own, otherwise its path below the named folder.
    pub name: String,
    /// The repository; copy it before anything takes a lock.
    pub repo: PathBuf,
    /// Expectations, a few files per snapshot.
    pub expected: PathBuf,
}

/// The folder of the project's own fixtures.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// All repositories to test with: the project's own, then the others.
///
/// # Panics
///
/// As [`own`] and [`others`] do.
pub fn all() -> Vec<Fixture> {
    let mut all = own();
    all.extend(others());
    all
}

/// The project's own repositories.
///
/// # Panics
///
/// When they are missing.
pub fn own() -> Vec<Fixture> {
    let own = found("fixtures", &folder()).expect("the project's own repositories can be listed");
    assert!(!own.is_empty(), "the project's own repositories are missing in {}", folder().display());
    own
}

/// One of the project's own repositories.
///
/// # Panics
///
/// When there is none of that name.
pub fn named(name: &str) -> Fixture {
    let name = format!("fixtures/{name}");
    own().into_iter().find(|fixture| fixture.name == name).unwrap_or_else(|| panic!("{name} is missing"))
}

/// The repositories that the environment variable adds; a copy of one of the project's own is left out.
///
/// # Panics
///
/// If the variable names anything other than a folder with repositories in it.
pub fn others() -> Vec<Fixture> {
    let Some(folder) = std::env::var_os(VARIABLE) else { return Vec::new() };
    in_folder(Path::new(&folder)).unwrap_or_else(|reason| panic!("{VARIABLE}: {reason}"))
}

/// As [`others`], for this folder.
pub fn in_folder(folder: &Path) -> Result<Vec<Fixture>, String> {
    let shown = folder.display();
    if !folder.is_absolute() {
        return Err(format!("{shown:?} is not an absolute path"));
    }
    let found = found("", folder).map_err(|error| format!("{shown} cannot be listed: {error}"))?;
    if found.is_empty() {
        return Err(format!("{shown} holds no repositories (folders with repo/ and expected/)"));
    }
    let own: Vec<_> = own().iter().map(Fixture::snapshots).collect();
    Ok(found.into_iter().filter(|fixture| !own.contains(&fixture.snapshots())).collect())
}

/// The repositories below a folder, sorted by name.
fn found(name: &str, folder: &Path) -> io::Result<Vec<Fixture>> {
    let (repo, expected) = (folder.join("repo"), folder.join("expected"));
    if repo.join("config.toml").is_file() {
        return Ok(vec![Fixture { name: name.to_owned(), repo, expected }]);
    }
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            let last = path.file_name().unwrap_or_default().to_string_lossy();
            let name = if name.is_empty() { last.into_owned() } else { format!("{name}/{last}") };
            all.extend(found(&name, &path)?);
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

impl Fixture {
    /// The expected snapshots, oldest first.
    ///
    /// # Panics
    ///
    /// If the expectation cannot be read.
    pub fn snapshots(&self) -> Vec<String> {
        let path = self.expected.join("snapshots.txt");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let snapshots: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        assert!(!snapshots.is_empty(), "{} names no snapshots", path.display());
        snapshots
    }

    /// What a snapshot restores to: path and SHA-256, path and octal mode.
    ///
    /// # Panics
    ///
    /// If the expectation cannot be read.
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
