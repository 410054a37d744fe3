//! Creating, publishing and making durable.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

#[cfg(unix)]
use rustix::fs::{Mode, OFlags};

#[cfg(unix)]
use super::calls_unix::{self, FOLDER};

/// Creates a file, 0600, to write and read; fails when the name is taken, by whatever. Made by root, it belongs
/// to whom its folder belongs.
pub fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    super::owner::hand_over(&file, || rustix::fs::stat(above(path)));
    Ok(file)
}

/// Creates a folder, 0700; fails when the name is taken. Made by root, it belongs to whom the folder above
/// belongs.
pub fn create_folder(path: &Path) -> io::Result<()> {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    #[cfg(unix)]
    if let Ok(made) = rustix::fs::open(path, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
        super::owner::hand_over(made, || rustix::fs::stat(above(path)));
    }
    Ok(())
}

/// The folder that holds what `path` names.
#[cfg(unix)]
fn above(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Makes the names in a folder durable; does nothing where that cannot be asked for.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    let _ = calls_unix::sync_folder(calls_unix::open_folder(path)?)?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Makes a file's content as young as the file system's clock says it is now.
pub fn touch(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let same = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        Ok(rustix::fs::futimens(file, &Timestamps { last_access: same, last_modification: now })?)
    }
    #[cfg(not(unix))]
    file.set_modified(std::time::SystemTime::now())
}

/// Renames a file to a name that is free; fails with `AlreadyExists` when it is not.
pub fn publish_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::fs::{CWD, RenameFlags};
        match calls_unix::rename_at(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(error) if calls_unix::lacks_no_replace(&error) => {}
            result => return result,
        }
    }
    publish_by_link(from, to)
}

/// The way without a rename that refuses to replace.
fn publish_by_link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // No hard links either, as on FAT and many network shares: names are random there too and only the
        // holder of the repository's lock publishes, so that looking first is enough.
        Err(_) if matches!(fs::symlink_metadata(to), Err(error) if error.kind() == io::ErrorKind::NotFound) => {
            fs::rename(from, to)
        }
        Err(_) => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

/// Gives a file these permission bits, where there are any.
pub fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    #[cfg(not(unix))]
    let _ = (file, mode);
    Ok(())
}

/// Whether two paths lead to one file or folder.
#[cfg(unix)]
pub fn same_object(one: &Path, other: &Path) -> io::Result<bool> {
    Ok(object(&fs::metadata(one)?) == object(&fs::metadata(other)?))
}

/// Whether two paths lead to one file or folder.
#[cfg(not(unix))]
pub fn same_object(one: &Path, other: &Path) -> io::Result<bool> {
    Ok(one.canonicalize()? == other.canonicalize()?)
}

/// Whether the system lets whoever runs this write to a file, or change a folder. `true` where it does not say.
#[cfg(unix)]
pub fn may_write(path: &Path) -> bool {
    crate::calls_unix::may_write(path)
}

/// Whether the system lets whoever runs this write to a file, or change a folder. `true` where it does not say.
#[cfg(not(unix))]
pub fn may_write(path: &Path) -> bool {
    // Of a folder it means something else there.
    !fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().readonly())
}

/// Whether a path still leads to the file that was opened by it.
#[cfg(unix)]
pub fn still_names(path: &Path, file: &File) -> io::Result<bool> {
    Ok(object(&fs::metadata(path)?) == object(&file.metadata()?))
}

/// Whether a path still leads to the file that was opened by it, as far as can be told by its birth.
#[cfg(not(unix))]
pub fn still_names(path: &Path, file: &File) -> io::Result<bool> {
    Ok(fs::metadata(path)?.created()? == file.metadata()?.created()?)
}

#[cfg(unix)]
fn object(metadata: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishing_by_link_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&from, "new").unwrap();
        publish_by_link(&from, &to).unwrap();
        fs::write(&from, "newer").unwrap();
        let refused = publish_by_link(&from, &to).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&to).unwrap(), "new");
    }
}
