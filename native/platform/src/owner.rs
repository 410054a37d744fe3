//! Whose files these are: what is made belongs to whom its folder belongs.
//!
//! A program that root runs on a user's files would otherwise leave files behind that the user's own programs
//! cannot open.

use std::path::Path;

#[cfg(unix)]
use rustix::fs::{self, FileType, Stat};

/// Gives what root just made to whom the folder belongs. Where that is refused, as by a server that does not
/// trust the root of its clients, it stays with whom it is: no work fails because of it.
///
/// `made` is what was created and not what a name leads to, so that whoever exchanges names gets nothing.
#[cfg(unix)]
pub(super) fn hand_over<Fd: std::os::fd::AsFd>(made: Fd, folder: impl FnOnce() -> rustix::io::Result<Stat>) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (Ok(folder), Ok(stat)) = (folder(), fs::fstat(&made)) else { return };
    if (folder.st_uid, folder.st_gid) == (stat.st_uid, stat.st_gid) {
        return;
    }
    // Making a folder does not open it. One that was put in its place meanwhile is told by its content.
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory && !is_empty(&made) {
        return;
    }
    let (owner, group) = (fs::Uid::from_raw(folder.st_uid), fs::Gid::from_raw(folder.st_gid));
    let _ = fs::fchown(&made, Some(owner), Some(group));
}

#[cfg(unix)]
fn is_empty<Fd: std::os::fd::AsFd>(folder: Fd) -> bool {
    let Ok(mut entries) = fs::Dir::read_from(folder) else { return false };
    entries.all(|entry| entry.is_ok_and(|entry| matches!(entry.file_name().to_bytes(), b"." | b"..")))
}

/// Says whose files those beside `file` are now, if it belongs to somebody else than its folder does.
#[cfg(unix)]
pub fn foreign_owner(file: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let folder = file.parent()?;
    let (made, owner) = (file.symlink_metadata().ok()?.uid(), folder.metadata().ok()?.uid());
    let folder = folder.display();
    (made != owner).then(|| {
        format!(
            "{} belongs to user {made} and its folder to user {owner}, and so it is with everything that user \
             {made} makes there: programs of user {owner} may be unable to open it; run this as user {owner}, or \
             give the files to that user with chown -R {owner} {folder}",
            file.display()
        )
    })
}

/// Says whose files those beside `file` are now, if it belongs to somebody else than its folder does.
#[cfg(not(unix))]
pub fn foreign_owner(_: &Path) -> Option<String> {
    None
}
