//! An archive that was restored from an old snapshot, and is overwritten with a new one.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::sample::{Churn, Options, file_digest};
use crate::scene::Scene;

/// Two snapshots of an archive, and a target next to it.
#[derive(Debug)]
pub struct Overwriting {
    scene: Scene,
    first: String,
    old: String,
    new: String,
}

/// Which database a target has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one that was overwritten.
    Old,
    /// The one that was restored over it.
    New,
}

impl Overwriting {
    /// Creates both snapshots; there is no target yet.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn new(options: &Options) -> Self {
        let scene = Scene::new(options);
        let first = scene.create(&[]);
        let old = digest(&scene.database());
        scene.churn(&Churn { grow: 20, ..Churn::default() });
        scene.create(&[]);
        let new = digest(&scene.database());
        Self { scene, first, old, new }
    }

    /// The archive and its repository.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// The folder that is overwritten.
    pub fn target(&self) -> PathBuf {
        self.scene.beside("target")
    }

    /// Creates the target again, from the old snapshot.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn reset(&self) {
        if self.target().exists() {
            fs::remove_dir_all(self.target()).expect("a folder to remove");
        }
        self.scene.restore(&self.first, "target");
    }

    /// The arguments that overwrite the target with the new snapshot.
    pub fn arguments(&self) -> [String; 4] {
        let target = self.target().to_string_lossy().into_owned();
        ["restore".to_owned(), "--overwrite".to_owned(), "--target".to_owned(), target]
    }

    /// Which database the target has; checks that it is completely sound.
    ///
    /// # Panics
    ///
    /// When it has neither.
    pub fn which(&self) -> Which {
        let database = self.target().join("msgvault.db");
        let found = digest(&database);
        assert!(found == self.old || found == self.new, "neither the old database nor the new one");
        assert_eq!(integrity(&database), "ok");
        if found == self.old { Which::Old } else { Which::New }
    }

    /// Overwrites the target completely: the new database is there, and none of a restore's temporary files.
    ///
    /// # Panics
    ///
    /// When it is otherwise.
    pub fn finish(&self) {
        let _ = self.scene.backup(&self.arguments().each_ref().map(String::as_str)).done();
        assert_eq!(self.which(), Which::New);
        let names = fs::read_dir(self.target())
            .expect("the target")
            .map(|entry| entry.expect("an entry").file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains(".restore-")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Old => "old",
            Self::New => "new",
        })
    }
}

fn digest(file: &Path) -> String {
    file_digest(file).expect("a database to read")
}

/// What SQLite says about a database file, without creating files next to it.
fn integrity(database: &Path) -> String {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{}?immutable=1", database.display()), flags);
    let connection = connection.expect("a database to open");
    connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict")
}
