//! Where a restore goes, and where it must not go.

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use msgvault_freeze::ownership::PresentLocks;
use msgvault_freeze::record;
use msgvault_platform::context::Context;
use msgvault_platform::{self as platform, Dir, FileError, Kind};
use msgvault_verifier::format::extras::ExtraFile;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::system_names::is_of_a_system;

use super::error::{RestoreError, TargetError, reached};
use super::names::{ATTACHMENTS, DATABASE};
use super::{RestoreRequest, leftovers, names, unfinished};

/// A folder that is held until this is dropped, so that no other restore sweeps away what this one stages.
#[derive(Debug)]
pub(super) struct HeldDir(Dir);

impl HeldDir {
    fn hold(dir: Dir, path: &Path) -> Result<Self, TargetError> {
        if dir.try_hold() { Ok(Self(dir)) } else { Err(TargetError::InUse { path: path.to_owned() }) }
    }
}

impl Deref for HeldDir {
    type Target = Dir;

    fn deref(&self) -> &Dir {
        &self.0
    }
}

impl Drop for HeldDir {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

/// A target that was looked at and not changed.
pub(super) struct UntouchedTarget {
    path: PathBuf,
    existing: Option<HeldDir>,
    content: TargetContent,
    locks: Option<PresentLocks>,
}

/// What is in a target.
enum TargetContent {
    /// Nothing, or what is left of an interrupted restore and is swept away.
    Nothing,
    /// The beginning of a restore of a snapshot.
    Unfinished(SnapshotId),
    /// Files that are merged with the snapshot's.
    Files,
}

/// A target that is held.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) dir: HeldDir,
    /// Its path, without symbolic links.
    pub(super) path: PathBuf,
    /// Keeps daemons and writers out, if there ever were any.
    _locks: Option<PresentLocks>,
}

/// Looks at the target and refuses it before anything is changed.
pub(super) fn examine(request: &RestoreRequest<'_>) -> Result<UntouchedTarget, TargetError> {
    // Without a slash or dot at the end, behind which a link would be followed.
    let path: PathBuf = request.target.components().collect();
    let unusable = |source| TargetError::Unusable { path: path.clone(), source };
    let existing = match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unusable(error)),
        Ok(found) if found.is_symlink() => return Err(TargetError::Link { path }),
        Ok(found) if !found.is_dir() => return Err(TargetError::NotAFolder { path }),
        Ok(_) => Some(Dir::open_no_follow(&path).map_err(unusable)?),
    };
    check_relations(&path, request)?;
    let Some(dir) = existing else {
        return Ok(UntouchedTarget { path, existing: None, content: TargetContent::Nothing, locks: None });
    };
    if record::live(&path)?.is_some() {
        return Err(TargetError::LiveHome { path });
    }
    let locks = PresentLocks::take(&path)?;
    let dir = HeldDir::hold(dir, &path)?;
    let content = check_content(&dir, &path, request.overwrite)?;
    Ok(UntouchedTarget { path, existing: Some(dir), content, locks: Some(locks) })
}

/// Compares the target with the repository and with live homes, as objects of the file system.
fn check_relations(path: &Path, request: &RestoreRequest<'_>) -> Result<(), TargetError> {
    let unusable = |source| TargetError::Unusable { path: path.to_owned(), source };
    let same = |one: &Path, other: &Path| platform::same_object(one, other).unwrap_or(false);
    let root = request.lock.root;
    if request.live_homes.iter().any(|home| same(home, path)) {
        return Err(TargetError::LiveHome { path: path.to_owned() });
    }
    let from = std::path::absolute(path).map_err(unusable)?;
    let nearest = from.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
    if nearest.iter().flat_map(|nearest| nearest.ancestors()).any(|ancestor| same(ancestor, root)) {
        return Err(TargetError::InRepository { path: path.to_owned() });
    }
    let root = root.canonicalize().map_err(unusable)?;
    if root.ancestors().any(|ancestor| same(ancestor, path)) {
        return Err(TargetError::AboveRepository { path: path.to_owned() });
    }
    Ok(())
}

fn check_content(dir: &Dir, path: &Path, overwrite: bool) -> Result<TargetContent, TargetError> {
    let unusable = |source| TargetError::Unusable { path: path.to_owned(), source };
    let entries = dir.entries().map_err(unusable)?;
    let is_nobodys = |name: &str| names::is_leftover(name) || is_of_a_system(name);
    let content = if entries.iter().all(|entry| entry.text.as_deref().is_some_and(is_nobodys)) {
        TargetContent::Nothing
    } else {
        unfinished::find(dir).map_err(unusable)?.map_or(TargetContent::Files, TargetContent::Unfinished)
    };
    if !overwrite && matches!(content, TargetContent::Files) {
        return Err(TargetError::NotEmpty { path: path.to_owned() });
    }
    check_folder(dir, path, ATTACHMENTS)?;
    check_free(dir, path, DATABASE)?;
    Ok(content)
}

/// Files can be put into a folder, or into one that is still to be made.
fn check_folder(dir: &Dir, path: &Path, name: &str) -> Result<(), TargetError> {
    let blocked = match names::path(name).and_then(|name| dir.stat(&name)) {
        Ok(stat) => stat.kind != Kind::Folder,
        Err(_) => false,
    };
    if blocked { Err(TargetError::NoFolder { path: path.join(name) }) } else { Ok(()) }
}

/// A file or a link can be replaced; a folder cannot.
fn check_free(dir: &Dir, path: &Path, name: &str) -> Result<(), TargetError> {
    let occupied = match names::path(name).and_then(|name| dir.stat(&name)) {
        Ok(stat) => !matches!(stat.kind, Kind::File | Kind::Link),
        // Whatever hinders the look hinders the staging too, which is in time.
        Err(_) => false,
    };
    if occupied { Err(TargetError::Occupied { path: path.join(name) }) } else { Ok(()) }
}

impl UntouchedTarget {
    /// Whether nothing is there that the snapshot's files could be already.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.content, TargetContent::Nothing)
    }

    /// Checks that nothing is in the way of the other files.
    pub(super) fn check_extras(&self, extras: &[ExtraFile]) -> Result<(), TargetError> {
        let Some(dir) = &self.existing else { return Ok(()) };
        extras.iter().try_for_each(|extra| {
            let path = extra.path.relative().as_str();
            let above = path.match_indices('/').filter_map(|(end, _)| path.get(..end));
            above.into_iter().try_for_each(|folder| check_folder(dir, &self.path, folder))?;
            check_free(dir, &self.path, path)
        })
    }

    /// Makes the target where it is missing, and takes away what interrupted restores left.
    pub(super) fn prepare(
        self,
        context: &Context<'_>,
        request: &RestoreRequest<'_>,
    ) -> Result<Target, RestoreError> {
        let Self { path, existing, content, locks } = self;
        let dir = match existing {
            Some(dir) => dir,
            None => create(&path)?,
        };
        check_relations(&path, request)?;
        reached(context, "restore.target")?;
        let failed = |action| {
            let path = path.clone();
            move |source| FileError { action, path, source }
        };
        let swept = leftovers::sweep(&dir).map_err(failed("clean up after an earlier restore in"))?;
        if let Some(warning) = swept.warning(&path) {
            context.observer.warn(&warning);
        }
        let marked = match content {
            TargetContent::Files => unfinished::clear(&dir),
            TargetContent::Nothing => unfinished::mark(&dir, request.snapshot),
            TargetContent::Unfinished(begun) => {
                context.observer.warn(&going_on(&path, &begun, request.snapshot));
                unfinished::mark(&dir, request.snapshot)
            }
        };
        if let Err(error) = marked {
            let path = path.display();
            context.observer.warn(&format!(
                "{path} cannot be marked as the target of an unfinished restore ({error}); if this one is \
                 interrupted, the next takes its files for somebody's"
            ));
        }
        let real = path.canonicalize().map_err(failed("find"))?;
        let is_same = Dir::open(&real).and_then(|named| named.is_same(&dir)).map_err(failed("open"))?;
        if !is_same {
            return Err(failed("hold")(io::Error::other("it was replaced meanwhile")).into());
        }
        Ok(Target { dir, path: real, _locks: locks })
    }
}

impl Target {
    /// A folder that nobody else knows.
    pub(super) fn scratch(dir: Dir, path: PathBuf) -> Self {
        Self { dir: HeldDir(dir), path, _locks: None }
    }
}

/// What is done with an unfinished restore.
fn going_on(path: &Path, begun: &SnapshotId, wanted: &SnapshotId) -> String {
    let path = path.display();
    if begun == wanted {
        return format!(
            "{path} holds an unfinished restore of this snapshot: the restore goes on with it, and what \
                        attachments are there already are kept"
        );
    }
    format!(
        "{path} holds an unfinished restore of snapshot {begun}: the restore of {wanted} starts over in it, and \
             attachments that only the other one has stay there"
    )
}

/// Creates a folder and those above it, durably, and holds it.
fn create(path: &Path) -> Result<HeldDir, RestoreError> {
    let failed = |source| FileError::new("create", path, source);
    let mut missing: Vec<&Path> = path.ancestors().take_while(|folder| !is_there(folder)).collect();
    while let Some(folder) = missing.pop() {
        platform::create_folder(folder).map_err(failed)?;
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        platform::sync_folder(parent.unwrap_or(Path::new("."))).map_err(failed)?;
    }
    let dir = Dir::open_no_follow(path).map_err(failed)?;
    Ok(HeldDir::hold(dir, path)?)
}

/// The folder above the first component of a relative path is the working directory.
fn is_there(folder: &Path) -> bool {
    folder.as_os_str().is_empty() || folder.symlink_metadata().is_ok()
}
