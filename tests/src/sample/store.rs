//! Where attachment bytes are kept: one file for each hash and path.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{Result, SampleError};

/// Content that is in the store: what a row of `attachments` says about it.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) hash: String,
    pub(super) path: String,
    pub(super) size: u64,
}

/// Whose naming a path follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `<hash[0..2]>/<hash>`
    Canonical,
    /// `synctech-sms/<hash[0..2]>/<hash>`, as the importer of phone backups records it.
    Namespaced,
}

/// The `attachments/` directory.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    known_folders: HashSet<PathBuf>,
}

impl Store {
    pub(super) fn open(root: PathBuf) -> Self {
        Self { root, known_folders: HashSet::new() }
    }

    /// Writes the bytes where their hash says.
    pub(super) fn put(&mut self, bytes: &[u8], place: Place) -> Result<Stored> {
        let hash = HEXLOWER.encode(&Sha256::digest(bytes));
        let path = recorded_path(&hash, place);
        let file = self.root.join(&path);
        self.make_folder(&file)?;
        fs::write(&file, bytes).map_err(SampleError::io(&file))?;
        Ok(Stored { hash, path, size: u64::try_from(bytes.len()).unwrap_or(u64::MAX) })
    }

    /// Removes the file of a recorded path; it may be gone already.
    pub(super) fn remove(&self, path: &str) -> Result<()> {
        if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(SampleError::Path(path.to_owned()));
        }
        let file = self.root.join(path);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(SampleError::io(&file)(error)),
            _ => Ok(()),
        }
    }

    fn make_folder(&mut self, file: &Path) -> Result<()> {
        let Some(folder) = file.parent() else { return Ok(()) };
        if !self.known_folders.contains(folder) {
            fs::create_dir_all(folder).map_err(SampleError::io(folder))?;
            self.known_folders.insert(folder.to_path_buf());
        }
        Ok(())
    }
}

fn recorded_path(hash: &str, place: Place) -> String {
    let shard: String = hash.chars().take(2).collect();
    match place {
        Place::Canonical => format!("{shard}/{hash}"),
        Place::Namespaced => format!("synctech-sms/{shard}/{hash}"),
    }
}
