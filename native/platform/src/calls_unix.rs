//! Calls of the system on Unix that work on folders and are made from more than one place.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// How folders are opened.
pub(super) const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// Opens a folder; links in `path` are followed.
pub(super) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(fs::open(path, FOLDER, Mode::empty())?)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder<Fd: AsFd>(folder: Fd) -> io::Result<()> {
    match fs::fsync(folder) {
        // Some file systems have nothing to make durable in a folder and say so in this way.
        Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Renames from folder to folder.
pub(super) fn rename_at<Fd: AsFd>(
    from_folder: Fd,
    from: &Path,
    to_folder: Fd,
    to: &Path,
    flags: RenameFlags,
) -> io::Result<()> {
    if flags.is_empty() {
        return Ok(fs::renameat(from_folder, from, to_folder, to)?);
    }
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    return Ok(fs::renameat_with(from_folder, from, to_folder, to, flags)?);
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    Err(Errno::NOSYS.into())
}

/// Whether the whole file system that holds `folder` can be made durable at once.
///
/// Only file systems count that are known to do so when asked: others write to their server or daemon (FUSE,
/// SMB, 9p) and do not ask it to keep what it got.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn syncs_as_a_whole<Fd: AsFd>(folder: Fd) -> bool {
    const EXT: u32 = 0xef53;
    const XFS: u32 = 0x5846_5342;
    const BTRFS: u32 = 0x9123_683e;
    const BCACHEFS: u32 = 0xca45_1a4e;
    const F2FS: u32 = 0xf2f5_2010;
    const ZFS: u32 = 0x2fc1_2fc1;
    const TMPFS: u32 = 0x0102_1994;
    const OVERLAY: u32 = 0x794c_7630;
    let kind = fs::fstatfs(folder).ok().and_then(|found| u32::try_from(found.f_type).ok());
    kind.is_some_and(|kind| [EXT, XFS, BTRFS, BCACHEFS, F2FS, ZFS, TMPFS, OVERLAY].contains(&kind))
}

/// Whether the whole file system that holds `folder` can be made durable at once.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn syncs_as_a_whole<Fd>(_: Fd) -> bool {
    false
}

/// Everything written to the file system that holds `folder` becomes durable.
pub(super) fn sync_file_system<Fd: AsFd>(folder: Fd) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return Ok(fs::syncfs(folder)?);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = folder;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Whether the file system cannot rename without replacing.
pub(super) fn lacks_no_replace(error: &io::Error) -> bool {
    let code = Errno::from_io_error(error);
    matches!(code, Some(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP))
}
