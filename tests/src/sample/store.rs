//! Where attachment bytes are kept: one file for each hash and path.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::packed::Packer;
use super::{Result, SampleError};

/// Content that is in the store, as a row of `attachments` describes it.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) hash: String,
    pub(super) path: String,
    pub(super) size: u64,
}

/// The naming scheme that a path follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `<hash[0..2]>/<hash>`
    Canonical,
    /// `synctech-sms/<hash[0..2]>/<hash>`, as the importer of phone backups records it.
    Namespaced,
}

/// How content is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Loose,
    Packed,
}

/// The `attachments/` directory.
pub(super) struct Store<'c> {
    root: PathBuf,
    known_folders: HashSet<PathBuf>,
    known_contents: HashMap<String, Kept>,
    packer: Option<Packer<'c>>,
}

impl<'c> Store<'c> {
    /// With a packer, about half of the content goes into packs.
    pub(super) fn open(root: PathBuf, packer: Option<Packer<'c>>) -> Self {
        Self { root, known_folders: HashSet::new(), known_contents: HashMap::new(), packer }
    }

    /// Writes what is still waiting for its pack.
    pub(super) fn finish(self) -> Result<()> {
        self.packer.map_or(Ok(()), Packer::finish)
    }

    /// Keeps the bytes: in a pack, or in a file where their hash says.
    pub(super) fn put(&mut self, bytes: &[u8], place: Place) -> Result<Stored> {
        let hash = HEXLOWER.encode(&Sha256::digest(bytes));
        let path = recorded_path(&hash, place);
        let kept = match self.known_contents.get(&hash) {
            Some(kept) => *kept,
            None => self.choose(&hash, place),
        };
        let is_new = self.known_contents.insert(hash.clone(), kept).is_none();
        match (kept, &mut self.packer) {
            (Kept::Packed, Some(packer)) if is_new => packer.add(bytes)?,
            (Kept::Packed, _) => {}
            (Kept::Loose, _) => self.write_loose(&path, bytes)?,
        }
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

    /// One bit of the hash decides what is packed.
    fn choose(&self, hash: &str, place: Place) -> Kept {
        let even = hash.ends_with(['0', '2', '4', '6', '8', 'a', 'c', 'e']);
        if self.packer.is_some() && place == Place::Canonical && even { Kept::Packed } else { Kept::Loose }
    }

    fn write_loose(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let file = self.root.join(path);
        self.make_folder(&file)?;
        fs::write(&file, bytes).map_err(SampleError::io(&file))
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
