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

/// Makes the names in a folder durable; `false` where there is nothing to make durable in a folder, or nobody can say.
pub(super) fn sync_folder<Fd: AsFd>(folder: Fd) -> io::Result<bool> {
    match fs::fsync(folder) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOTSUP) => Ok(false),
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

/// Numbers by which Linux tells file systems.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod magic {
    pub(super) const EXT: u32 = 0xef53;
    pub(super) const XFS: u32 = 0x5846_5342;
    pub(super) const BTRFS: u32 = 0x9123_683e;
    pub(super) const BCACHEFS: u32 = 0xca45_1a4e;
    pub(super) const F2FS: u32 = 0xf2f5_2010;
    pub(super) const ZFS: u32 = 0x2fc1_2fc1;
    pub(super) const TMPFS: u32 = 0x0102_1994;
    pub(super) const OVERLAY: u32 = 0x794c_7630;
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_one_of<Fd: AsFd>(folder: Fd, kinds: &[u32]) -> bool {
    let kind = fs::fstatfs(folder).ok().and_then(|found| u32::try_from(found.f_type).ok());
    kind.is_some_and(|kind| kinds.contains(&kind))
}

/// Whether the system lets whoever runs this write to a file, or change a folder.
pub(super) fn may_write(path: &Path) -> bool {
    let asked = fs::accessat(fs::CWD, path, fs::Access::WRITE_OK, fs::AtFlags::EACCESS);
    !matches!(asked, Err(Errno::ROFS | Errno::ACCESS | Errno::PERM))
}

/// Bytes that whoever runs this may still write to the file system that holds `folder`.
pub(super) fn free_bytes<Fd: AsFd>(folder: Fd) -> Option<u64> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if is_one_of(&folder, &[magic::BTRFS, magic::BCACHEFS, magic::F2FS, magic::ZFS]) {
        return None;
    }
    let found = fs::fstatvfs(folder).ok().filter(|found| found.f_blocks > 0)?;
    // A part is kept for root.
    let blocks = if rustix::process::geteuid().is_root() { found.f_bfree } else { found.f_bavail };
    blocks.checked_mul(found.f_frsize)
}

/// Whether the whole file system that holds `folder` can be made durable at once.
///
/// Only file systems count that are known to do so when asked: others write to their server or daemon (FUSE,
/// SMB, 9p) and do not ask it to keep what it got.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn syncs_as_a_whole<Fd: AsFd>(folder: Fd) -> bool {
    use magic::{BCACHEFS, BTRFS, EXT, F2FS, OVERLAY, TMPFS, XFS, ZFS};
    is_one_of(folder, &[EXT, XFS, BTRFS, BCACHEFS, F2FS, ZFS, TMPFS, OVERLAY])
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
