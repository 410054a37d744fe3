//! The attachments, each written and hashed once and then put at every path that the database records for it.
//!
//! What is at such a path already belongs to an old archive. It stays if it is the same; else the new file
//! waits among the staged ones until everything is published.

use msgvault_verifier::length::to_u64;
use std::fs::File;
use std::io::{self, Seek};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use msgvault_platform::FileError;
use msgvault_verifier::format::pack::PackEntry;
use msgvault_verifier::format::path::RelativePath;

use crate::phase;

use super::blobs::{each_blob, stage};
use super::error::{RestoreError, reached};
use super::preflight::Plan;
use super::publish::is_there;
use super::undo::Destination;
use super::{Restore, content, recorded};

/// Those that wait among the staged files, which are numbered on from the other files.
type Unplaced = Mutex<Vec<Destination>>;

/// Writes all attachments, and says how many files that are and where those go that replace other files.
pub(super) fn write(restore: &Restore<'_>, plan: &Plan) -> Result<(u64, Vec<Destination>), RestoreError> {
    let observer = restore.context.observer;
    let recorded = recorded::read(restore)?;
    observer.begin(phase::ATTACHMENTS, restore.snapshot.manifest.attachments.blob_bytes);
    let (files, next) = (AtomicU64::new(0), AtomicUsize::new(0));
    let unplaced = Unplaced::default();
    restore.workers.each(&plan.attachments, |work| {
        each_blob(restore.repository, observer, work, |_, pack, entry| {
            let paths = recorded.paths(restore, &entry.id)?;
            let name = restore.staging.file('a', next.fetch_add(1, Ordering::Relaxed))?;
            let file = stage(restore, &name, pack, entry)?;
            restore.staging.sync_file(&name, &file)?;
            let copy = || restore.staging.file('a', next.fetch_add(1, Ordering::Relaxed));
            place_all(restore, entry, (&name, file), &paths, copy, &unplaced)?;
            files.fetch_add(to_u64(paths.len()), Ordering::Relaxed);
            reached(restore.context, "restore.attachment.written")
        })
    })?;
    reached(restore.context, "restore.attachments.written")?;
    Ok((files.into_inner(), unplaced.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// Puts a staged file at all of its paths: copies first, then the file itself.
fn place_all(
    restore: &Restore<'_>,
    entry: &PackEntry,
    (staged, mut file): (&RelativePath, File),
    paths: &[RelativePath],
    copy_name: impl Fn() -> Result<RelativePath, FileError>,
    unplaced: &Unplaced,
) -> Result<(), FileError> {
    let Some((first, others)) = paths.split_first() else { return Ok(()) };
    for path in others {
        let name = copy_name()?;
        let mut copy = restore.staging.create_file(&name)?;
        let copied = file.rewind().and_then(|()| io::copy(&mut file, &mut copy));
        copied.map_err(|source| restore.staging.failed("write", path, source))?;
        restore.staging.sync_file(&name, &copy)?;
        place(restore, entry, &name, path, unplaced)?;
    }
    place(restore, entry, staged, first, unplaced)
}

/// Puts a staged file at a path that is free, or leaves what is there, which is or will be the same.
fn place(
    restore: &Restore<'_>,
    entry: &PackEntry,
    staged: &RelativePath,
    path: &RelativePath,
    unplaced: &Unplaced,
) -> Result<(), FileError> {
    let staging = restore.staging;
    if staging.place(staged, path)? {
        return Ok(());
    }
    // What cannot be read is not known to be the same, and what is not a file cannot be replaced.
    if is_there(staging, path)?
        && content::is_at(staging.dir(), path, &entry.id, Some(entry.raw_len)).unwrap_or(false)
    {
        let kept = staging.dir().open_file(path).map_err(|source| staging.failed("open", path, source))?;
        staging.sync_file(path, &kept)?;
        return staging.dir().remove_file(staged).map_err(|source| staging.failed("remove", staged, source));
    }
    let mut unplaced = unplaced.lock().unwrap_or_else(PoisonError::into_inner);
    let name = staging.file('e', restore.snapshot.extras.len() + unplaced.len())?;
    staging.dir().rename(staged, &name).map_err(|source| staging.failed("stage", path, source))?;
    unplaced.push(Destination { path: path.clone(), blob: entry.id });
    Ok(())
}
