//! The attachments, each written and hashed once and then put at every path that the database records for it.

use std::fs::File;
use std::io::{self, Seek};

use crate::phase;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use msgvault_platform::FileError;
use msgvault_verifier::format::path::RelativePath;

use super::blobs::{each_blob, stage};
use super::error::{RestoreError, reached};
use super::preflight::Plan;
use super::{Restore, recorded};

/// Writes all attachments and says how many files that are.
pub(super) fn write(restore: &Restore<'_>, plan: &Plan) -> Result<u64, RestoreError> {
    let observer = restore.context.observer;
    let recorded = recorded::read(restore)?;
    observer.begin(phase::ATTACHMENTS, restore.snapshot.manifest.attachments.blob_bytes);
    let (files, next) = (AtomicU64::new(0), AtomicUsize::new(0));
    restore.workers.each(&plan.attachments, |work| {
        each_blob(restore.repository, observer, work, |_, pack, entry| {
            let paths = recorded.paths(restore, &entry.id)?;
            let name = restore.staging.file('a', next.fetch_add(1, Ordering::Relaxed))?;
            let file = stage(restore, &name, pack, entry)?;
            restore.staging.sync_file(&name, &file)?;
            let copy = || restore.staging.file('a', next.fetch_add(1, Ordering::Relaxed));
            let count = place(restore, &name, file, &paths, copy)?;
            files.fetch_add(count, Ordering::Relaxed);
            reached(restore.context, "restore.attachment.written")
        })
    })?;
    reached(restore.context, "restore.attachments.written")?;
    Ok(files.into_inner())
}

/// Puts a staged file at all of its paths: copies first, then the file itself.
fn place(
    restore: &Restore<'_>,
    staged: &RelativePath,
    mut file: File,
    paths: &[RelativePath],
    copy_name: impl Fn() -> Result<RelativePath, FileError>,
) -> Result<u64, RestoreError> {
    let Some((first, others)) = paths.split_first() else { return Ok(0) };
    for path in others {
        let name = copy_name()?;
        let mut copy = restore.staging.create_file(&name)?;
        let copied = file.rewind().and_then(|()| io::copy(&mut file, &mut copy));
        copied.map_err(|source| restore.staging.failed("write", path, source))?;
        restore.staging.sync_file(&name, &copy)?;
        restore.staging.place(&name, path)?;
    }
    restore.staging.place(staged, first)?;
    Ok(paths.len() as u64)
}
