//! How a file comes into a repository (`docs/format.md` §12): written in `staging/`, made durable, published
//! by rename, and its folder made durable. What fails on the way leaves nothing behind.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use msgvault_platform::context::Context;
use msgvault_platform::{self as platform, Dir, FileError};
use msgvault_verifier::format::id::FileId;

mod confirm;

pub(super) use confirm::confirm;

/// Why a repository could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The system refused a step.
    #[error("{}{}", .0, .0.advice())]
    File(#[from] FileError),
    /// It was published, and is not listed under its name.
    #[error(
        "{} was written, and its folder {}, so nobody would find it: that disk or share does not keep names as they \
         are; mount it so that it does, or use another",
        path.display(), shown_as(shown.as_deref())
    )]
    NotListed {
        /// The file.
        path: PathBuf,
        /// The name under which it is listed.
        shown: Option<String>,
    },
    /// It was published, and what is read under its name is something else.
    #[error(
        "{} was written and cannot be read back ({reason}); check the disk or share that it is on, and run again",
        path.display()
    )]
    NotReadBack {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder for unfinished files is something else, which nothing may be removed from.
    #[error("{} is not a folder of the repository's own, so nothing in it is touched; put an empty folder there", path.display())]
    ForeignStaging {
        /// The path.
        path: PathBuf,
    },
}

fn shown_as(shown: Option<&str>) -> String {
    shown.map_or_else(|| "does not list it".to_owned(), |shown| format!("lists it as {shown}"))
}

impl PublishError {
    /// Joins an action and a path to what the system said.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File(FileError { action, path, source })
    }
}

/// The kinds of files that a repository is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `config.toml`, the only file that is replaced while all is well.
    Config,
    /// A pack.
    Pack,
    /// An index.
    Index,
    /// An index in the place of a lost or damaged one, which it replaces.
    RebuiltIndex,
    /// A manifest.
    Manifest,
}

/// The points where a fault can be injected, in the order in which they are reached.
#[derive(Debug, Clone, Copy)]
struct FaultPoints {
    create: &'static str,
    write: &'static str,
    sync: &'static str,
    publish: &'static str,
    sync_folder: &'static str,
    done: &'static str,
}

macro_rules! points {
    ($kind:literal) => {
        FaultPoints {
            create: concat!($kind, ".create"),
            write: concat!($kind, ".write"),
            sync: concat!($kind, ".sync"),
            publish: concat!($kind, ".publish"),
            sync_folder: concat!($kind, ".sync-folder"),
            done: concat!($kind, ".done"),
        }
    };
}

impl FileKind {
    const fn points(self) -> FaultPoints {
        match self {
            Self::Config => points!("config"),
            Self::Pack => points!("pack"),
            Self::Index | Self::RebuiltIndex => points!("index"),
            Self::Manifest => points!("manifest"),
        }
    }

    /// Whether a file of the name is replaced; the new one, whole, is better than none then.
    const fn replaces(self) -> bool {
        matches!(self, Self::Config | Self::RebuiltIndex)
    }
}

/// A file in `staging/`, removed when it is dropped unpublished.
pub struct Staged<'a> {
    context: Context<'a>,
    root: PathBuf,
    path: PathBuf,
    file: File,
    kind: FileKind,
    published: bool,
}

impl<'a> Staged<'a> {
    /// Creates an empty file in `staging/` of the repository at `root`.
    pub fn create(context: Context<'a>, root: &Path, kind: FileKind) -> Result<Self, PublishError> {
        let (unix_ms, random) = context.ulid_parts();
        let path = root.join("staging").join(FileId::from_parts(unix_ms, random).to_string());
        let created = context.observer.reached(kind.points().create);
        let file =
            created.and_then(|()| platform::create_new(&path)).map_err(PublishError::io("create", &path))?;
        Ok(Self { context, root: root.to_owned(), path, file, kind, published: false })
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), PublishError> {
        let reached = self.context.observer.reached(self.kind.points().write);
        reached.and_then(|()| self.file.write_all(bytes)).map_err(PublishError::io("write", &self.path))
    }

    /// Takes back what was written behind the first `len` bytes.
    pub fn truncate(&mut self, len: u64) -> Result<(), PublishError> {
        use std::io::{Seek, SeekFrom};
        let cut = self.file.set_len(len).and_then(|()| self.file.seek(SeekFrom::Start(len)));
        cut.map(drop).map_err(PublishError::io("shorten", &self.path))
    }

    /// Makes the file durable under its name in the repository, and looks whether it can be found there; a pack is
    /// yet to be [confirmed](confirm).
    ///
    /// Nothing is replaced except `config.toml` and a damaged index. When the name cannot be made durable, the
    /// file is taken back, again except those, which whole in either version are better than missing.
    pub fn publish(mut self, name: &str) -> Result<(), PublishError> {
        let points = self.kind.points();
        let target = self.root.join(name);
        self.reached(points.sync, &self.path)?;
        self.file.sync_all().map_err(PublishError::io("make durable", &self.path))?;
        create_parents(&self.root, name)?;
        self.reached(points.publish, &target)?;
        if self.kind.replaces() {
            fs::rename(&self.path, &target)
        } else {
            platform::publish_new(&self.path, &target)
        }
        .map_err(PublishError::io("publish", &target))?;
        self.published = true;
        self.make_name_durable(name, &target).and_then(|()| self.confirm(name)).inspect_err(|_| {
            if !self.kind.replaces() {
                take_back(&target);
            }
        })
    }

    /// Every folder up to the repository, since an interrupted run may have made one and not got further.
    fn make_name_durable(&self, name: &str, target: &Path) -> Result<(), PublishError> {
        self.reached(self.kind.points().sync_folder, target)?;
        for folder in target.ancestors().skip(1).take(name.split('/').count()) {
            platform::sync_folder(folder).map_err(PublishError::io("make durable", folder))?;
        }
        self.reached(self.kind.points().done, target)
    }

    /// Packs are confirmed together by whoever publishes them: their folder can hold a great many.
    fn confirm(&self, name: &str) -> Result<(), PublishError> {
        if self.kind == FileKind::Pack { Ok(()) } else { confirm(&self.root, [name].into_iter()) }
    }

    fn reached(&self, point: &'static str, path: &Path) -> Result<(), PublishError> {
        self.context.observer.reached(point).map_err(PublishError::io("publish", path))
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.published {
            // Whoever locks the repository next removes what could not be removed now.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Publishes a whole file.
pub fn publish_bytes(
    context: Context<'_>,
    root: &Path,
    kind: FileKind,
    name: &str,
    bytes: &[u8],
) -> Result<(), PublishError> {
    let mut staged = Staged::create(context, root, kind)?;
    staged.write(bytes)?;
    staged.publish(name)
}

/// Makes names durable that an interrupted run may have left at the mercy of a power cut: those in the folders of
/// the repository that hold the files `names`.
pub fn make_durable<'n>(
    context: Context<'_>,
    root: &Path,
    names: impl Iterator<Item = &'n str>,
) -> Result<(), PublishError> {
    let folders = names.flat_map(|name| Path::new(name).ancestors().skip(1));
    let folders: BTreeSet<PathBuf> = folders.map(|folder| root.join(folder)).collect();
    for folder in folders {
        match platform::sync_folder(&folder) {
            // What is lost is reported by whoever needs it.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PublishError::io("make durable", &folder)(error));
            }
            _ => {}
        }
    }
    context.observer.reached("reused.sync").map_err(PublishError::io("make durable", root))
}

/// Takes a published file out of the repository again, as far as that is possible.
pub fn take_back(path: &Path) {
    // The failure that led here is the one to report; a file without a manifest does no harm.
    let _ = fs::remove_file(path);
    if let Some(folder) = path.parent() {
        let _ = platform::sync_folder(folder);
    }
}

/// Removes everything in `staging/`; only for the holder of the exclusive lock.
///
/// A link or something that is not a folder is refused: what it leads to is not the repository's.
pub fn clean_staging(root: &Path) -> Result<(), PublishError> {
    let staging = root.join("staging");
    match fs::symlink_metadata(&staging) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return platform::create_folder(&staging).map_err(PublishError::io("create", &staging));
        }
        Err(error) => return Err(PublishError::io("look at", &staging)(error)),
        Ok(found) if !found.is_dir() => return Err(PublishError::ForeignStaging { path: staging }),
        Ok(_) => {}
    }
    // By handle from here on: whoever exchanges the folder for a link meanwhile has nothing removed behind it.
    let opened = Dir::open_no_follow(&staging);
    opened.and_then(|dir| dir.clear()).map_err(PublishError::io("empty", &staging))
}

/// Makes the folders above `name`, as far as they are missing.
fn create_parents(root: &Path, name: &str) -> Result<(), PublishError> {
    let mut folder = root.to_owned();
    let (folders, _) = name.rsplit_once('/').unwrap_or_default();
    for component in folders.split('/').filter(|component| !component.is_empty()) {
        folder.push(component);
        match platform::create_folder(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(PublishError::io("create", &folder)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
