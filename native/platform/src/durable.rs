//! Creating, publishing and making durable.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// Creates a file, 0600, to write and read; fails when the name is taken, by whatever.
pub fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Creates a folder, 0700; fails when the name is taken.
pub fn create_folder(path: &Path) -> io::Result<()> {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes the names in a folder durable; does nothing where that cannot be asked for.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    super::Dir::open(path)?.sync()?;
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
        match rename_at(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(error) if super::dir_unix::lacks_no_replace(&error) => {}
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

#[cfg(unix)]
pub(super) fn rename_at<Fd: std::os::fd::AsFd>(
    from_folder: Fd,
    from: &Path,
    to_folder: Fd,
    to: &Path,
    flags: rustix::fs::RenameFlags,
) -> io::Result<()> {
    if flags.is_empty() {
        return Ok(rustix::fs::renameat(from_folder, from, to_folder, to)?);
    }
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    return Ok(rustix::fs::renameat_with(from_folder, from, to_folder, to, flags)?);
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    Err(rustix::io::Errno::NOSYS.into())
}

/// Whether the whole file system that holds `folder` can be made durable at once.
///
/// Only file systems count that are known to do so when asked: others write to their server or daemon (FUSE,
/// SMB, 9p) and do not ask it to keep what it got.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn syncs_as_a_whole<Fd: std::os::fd::AsFd>(folder: Fd) -> bool {
    const EXT: u32 = 0xef53;
    const XFS: u32 = 0x5846_5342;
    const BTRFS: u32 = 0x9123_683e;
    const BCACHEFS: u32 = 0xca45_1a4e;
    const F2FS: u32 = 0xf2f5_2010;
    const ZFS: u32 = 0x2fc1_2fc1;
    const TMPFS: u32 = 0x0102_1994;
    const OVERLAY: u32 = 0x794c_7630;
    let kind = rustix::fs::fstatfs(folder).ok().and_then(|found| u32::try_from(found.f_type).ok());
    kind.is_some_and(|kind| [EXT, XFS, BTRFS, BCACHEFS, F2FS, ZFS, TMPFS, OVERLAY].contains(&kind))
}

/// Whether the whole file system that holds `folder` can be made durable at once.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
pub(super) fn syncs_as_a_whole<Fd>(_: Fd) -> bool {
    false
}

/// Everything written to the file system that holds `folder` becomes durable.
#[cfg(unix)]
pub(super) fn sync_file_system<Fd: std::os::fd::AsFd>(folder: Fd) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return Ok(rustix::fs::syncfs(folder)?);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = folder;
        Err(io::ErrorKind::Unsupported.into())
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
