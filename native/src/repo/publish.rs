//! How a file comes into a repository (`docs/format.md` §12): written in `staging/`, made durable, published
//! by rename, and its folder made durable. What fails on the way leaves nothing behind.
//!
//! Names are looked up from the repository's own folder, held open, and no link is followed below it: whoever
//! exchanges a folder of the repository for a link has nothing written or removed behind it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use msgvault_platform::context::Context;
use msgvault_platform::{Dir, FileError, Kind};
use msgvault_verifier::format::id::FileId;
use msgvault_verifier::format::path::RelativePath;

mod confirm;

pub(crate) use confirm::confirm;

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
    /// A record of what was let go.
    Record,
    /// Sums.
    Sums,
    /// What a host read and when, which replaces what it said before.
    Hint,
}

/// The folder of files that are being written.
const STAGING: &str = "staging";

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
            Self::Record => points!("record"),
            Self::Sums => points!("sums"),
            Self::Hint => points!("hint"),
        }
    }

    /// Whether a file of the name is replaced; the new one, whole, is better than none then.
    const fn replaces(self) -> bool {
        matches!(self, Self::Config | Self::RebuiltIndex | Self::Hint)
    }
}

/// A file in `staging/`, removed when it is dropped unpublished.
pub struct Staged<'a> {
    context: Context<'a>,
    root: PathBuf,
    dir: Dir,
    name: RelativePath,
    file: File,
    kind: FileKind,
    published: bool,
}

impl<'a> Staged<'a> {
    /// Creates an empty file in `staging/` of the repository at `root`.
    pub fn create(context: Context<'a>, root: &Path, kind: FileKind) -> Result<Self, PublishError> {
        let (unix_ms, random) = context.ulid_parts();
        let name = format!("{STAGING}/{}", FileId::from_parts(unix_ms, random));
        let failed = |source| PublishError::io("create", root.join(&name))(source);
        context.observer.reached(kind.points().create).map_err(failed)?;
        let dir = Dir::open(root).map_err(failed)?;
        let name = relative(&name).map_err(failed)?;
        let file = dir.create_file(&name).map_err(failed)?;
        Ok(Self { context, root: root.to_owned(), dir, name, file, kind, published: false })
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), PublishError> {
        let reached = self.context.observer.reached(self.kind.points().write);
        reached.and_then(|()| self.file.write_all(bytes)).map_err(PublishError::io("write", self.path()))
    }

    /// Takes back what was written behind the first `len` bytes.
    pub fn truncate(&mut self, len: u64) -> Result<(), PublishError> {
        use std::io::{Seek, SeekFrom};
        let cut = self.file.set_len(len).and_then(|()| self.file.seek(SeekFrom::Start(len)));
        cut.map(drop).map_err(PublishError::io("shorten", self.path()))
    }

    /// Makes the file durable under its name in the repository, and looks whether it can be found there; a pack
    /// is yet to be confirmed.
    ///
    /// Nothing is replaced except `config.toml`, a damaged index and a hint. When the name cannot be made durable, the
    /// file is taken back, again except those, which whole in either version are better than missing.
    pub fn publish(mut self, name: &str) -> Result<(), PublishError> {
        let points = self.kind.points();
        let target = self.root.join(name);
        let failed = |source| PublishError::io("publish", &target)(source);
        let to = relative(name).map_err(failed)?;
        self.reached(points.sync, &self.path())?;
        self.file.sync_all().map_err(PublishError::io("make durable", self.path()))?;
        if let Some((folder, _)) = name.rsplit_once('/') {
            let made = relative(folder).and_then(|folder| self.dir.create_dirs(&folder));
            made.map_err(PublishError::io("create", self.root.join(folder)))?;
        }
        self.reached(points.publish, &target)?;
        if self.kind.replaces() {
            self.dir.rename(&self.name, &to)
        } else {
            self.dir.rename_new(&self.name, &to)
        }
        .map_err(failed)?;
        self.published = true;
        self.make_name_durable(name, &target).and_then(|()| self.confirm(name)).inspect_err(|_| {
            if !self.kind.replaces() {
                take_back_from(&self.dir, &to);
            }
        })
    }

    /// Every folder up to the repository, since an interrupted run may have made one and not got further.
    fn make_name_durable(&self, name: &str, target: &Path) -> Result<(), PublishError> {
        self.reached(self.kind.points().sync_folder, target)?;
        for folder in folders_above(name) {
            let path = self.root.join(folder);
            sync_folder(&self.dir, folder).map_err(PublishError::io("make durable", path))?;
        }
        self.reached(self.kind.points().done, target)
    }

    /// Where it lies in the repository until it is published.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    fn path(&self) -> PathBuf {
        self.root.join(self.name.as_str())
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
            let _ = self.dir.remove_file(&self.name);
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
    let folders: BTreeSet<&str> = names.flat_map(folders_above).collect();
    let dir = Dir::open(root).map_err(PublishError::io("open", root))?;
    for folder in folders {
        match sync_folder(&dir, folder) {
            // What is lost is reported by whoever needs it.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PublishError::io("make durable", root.join(folder))(error));
            }
            _ => {}
        }
    }
    context.observer.reached("reused.sync").map_err(PublishError::io("make durable", root))
}

/// Takes a published file out of the repository again, as far as that is possible.
pub fn take_back(root: &Path, name: &str) {
    if let (Ok(dir), Ok(name)) = (Dir::open(root), relative(name)) {
        take_back_from(&dir, &name);
    }
}

fn take_back_from(dir: &Dir, name: &RelativePath) {
    // The failure that led here is the one to report; a file without a manifest does no harm.
    let _ = dir.remove_file(name);
    if let Some(folder) = folders_above(name.as_str()).next() {
        let _ = sync_folder(dir, folder);
    }
}

/// Removes everything in `staging/`; only for the holder of the exclusive lock.
///
/// A link or something that is not a folder is refused: what it leads to is not the repository's.
pub fn clean_staging(root: &Path) -> Result<(), PublishError> {
    let path = root.join(STAGING);
    let failed = |action| {
        let path = path.clone();
        move |source| PublishError::io(action, path)(source)
    };
    let dir = Dir::open(root).map_err(PublishError::io("open", root))?;
    let staging = relative(STAGING).map_err(failed("look at"))?;
    match dir.stat(&staging) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            dir.create_dirs(&staging).map_err(failed("create"))
        }
        Err(error) => Err(failed("look at")(error)),
        Ok(found) if found.kind != Kind::Folder => Err(PublishError::ForeignStaging { path }),
        // Whoever exchanges the folder for a link meanwhile has nothing removed behind it.
        Ok(_) => dir.open_dir(&staging).and_then(|dir| dir.clear()).map_err(failed("empty")),
    }
}

/// A name that this program made.
fn relative(name: &str) -> io::Result<RelativePath> {
    RelativePath::parse(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidFilename, error))
}

/// The folders above a file, from the nearest to the repository itself, which is `""`.
fn folders_above(name: &str) -> impl Iterator<Item = &str> {
    let above = name.rmatch_indices('/').filter_map(|(end, _)| name.get(..end));
    above.chain(std::iter::once(""))
}

/// Makes the names in a folder durable; `""` is the repository itself.
fn sync_folder(dir: &Dir, folder: &str) -> io::Result<()> {
    if folder.is_empty() { dir.sync() } else { dir.open_dir(&relative(folder)?)?.sync() }
}

#[cfg(test)]
pub(crate) mod tests;
