//! The other files: staged with their modes, to be renamed into place at the end.

use std::fs::File;
use std::io;

use msgvault_platform as platform;

use crate::phase;

use super::Restore;
use super::blobs::{self, each_blob};
use super::error::{RestoreError, reached};
use super::preflight::Plan;

/// Writes the staged files and makes the folders that they will be in.
pub(super) fn stage(restore: &Restore<'_>, plan: &Plan) -> Result<(), RestoreError> {
    let observer = restore.context.observer;
    let bytes = restore.snapshot.extras.iter().fold(0u64, |sum, extra| sum.saturating_add(extra.size));
    observer.begin(phase::EXTRAS, bytes);
    restore.workers.each(&plan.extras, |work| {
        each_blob(restore.repository, observer, work, |n, pack, entry| {
            let Some(extra) = restore.snapshot.extras.get(*n) else { return Ok(()) };
            let name = restore.staging.file('e', *n)?;
            let file = blobs::stage(restore, &name, pack, entry)?;
            let path = extra.path.relative();
            set_mode(&file, extra.mode)
                .map_err(|source| restore.staging.failed("set the mode of", path, source))?;
            restore.staging.sync_file(&name, &file)?;
            Ok(restore.staging.create_parent(path)?)
        })
    })?;
    reached(restore.context, "restore.extras.staged")
}

/// Gives the permission bits; a file without any would be of no use to anybody.
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    match mode & 0o777 {
        0 => platform::set_mode(file, 0o600),
        mode => platform::set_mode(file, mode),
    }
}
