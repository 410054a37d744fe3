//! The end: everything durable, then renamed into place, the database last.
//!
//! Up to the rename of the database every step is taken back when a later one fails, so that an old archive
//! in the target is either as it was or wholly replaced: the database, its attachments and the other files.

use std::io;

use msgvault_platform::{FileError, Kind};
use msgvault_verifier::format::path::RelativePath;

use crate::phase;

use super::Restore;
use super::error::{RestoreError, reached};
use super::names::{self, DATABASE, SIDECARS};
use super::staging::Staging;
use super::undo::{self, Destination};
use super::unfinished;

/// Puts everything into place: the other files, then the attachments that replace other files, then the
/// database.
pub(super) fn publish(restore: &Restore<'_>, replacing: Vec<Destination>) -> Result<(), RestoreError> {
    restore.context.observer.begin(phase::PUBLISH, 0);
    let extras = restore.snapshot.extras.iter();
    let extras = extras.map(|extra| Destination { path: extra.path.relative().clone(), blob: extra.blob });
    let destinations: Vec<Destination> = extras.chain(replacing).collect();
    let staging = restore.staging;
    let noted = undo::write_note(staging.dir(), staging.id(), destinations.iter());
    let is_noted = noted.map_err(|source| FileError::new("note the steps in", staging.path(), source))?;
    restore.staging.sync()?;
    reached(restore.context, "restore.synced")?;
    if restore.context.observer.cancelled() {
        return Err(RestoreError::Cancelled);
    }
    let aside = rename_all(restore, &destinations, is_noted).inspect_err(|_| {
        if undo::take_back(restore.staging.dir(), restore.staging.id()).is_err() {
            restore.staging.keep();
        }
    })?;
    // Before the old log is removed, without which the old database could not be used.
    restore.staging.sync_names()?;
    reached(restore.context, "restore.published")?;
    for name in aside {
        let removed = restore.staging.dir().remove_file(&name);
        removed.map_err(|source| restore.staging.failed("remove the old", &name, source))?;
    }
    restore.staging.remove();
    let cleared = unfinished::clear(restore.staging.dir());
    cleared.map_err(|source| {
        FileError::new("remove the mark of an unfinished restore in", staging.path(), source)
    })?;
    restore.staging.sync()?;
    reached(restore.context, "restore.durable")
}

/// Renames the staged files and the old sidecars and then the database; returns the sidecars' new names.
fn rename_all(
    restore: &Restore<'_>,
    destinations: &[Destination],
    is_noted: bool,
) -> Result<Vec<RelativePath>, RestoreError> {
    let staging = restore.staging;
    let mut is_set_aside = false;
    for (n, Destination { path, .. }) in destinations.iter().enumerate() {
        if is_there(staging, path)? {
            set_aside(staging, path, &staging.file('o', n)?, is_noted)?;
            is_set_aside = true;
            reached(restore.context, "restore.extra.set-aside")?;
        }
        rename(staging, &staging.file('e', n)?, path)?;
        reached(restore.context, "restore.extra.renamed")?;
    }
    let mut aside = Vec::new();
    for sidecar in SIDECARS {
        let (from, to) = (format!("{DATABASE}{sidecar}"), names::aside(sidecar, staging.id()));
        let (from, to) = (name(staging, &from)?, name(staging, &to)?);
        if is_there(staging, &from)? {
            set_aside(staging, &from, &to, is_noted)?;
            aside.push(to);
            reached(restore.context, "restore.sidecar.set-aside")?;
        }
    }
    if is_set_aside || !aside.is_empty() {
        // A log that came back after a power cut would be applied to the new database, and an old attachment
        // would be taken for a new one.
        staging.sync()?;
        reached(restore.context, "restore.sidecars.durable")?;
    }
    reached(restore.context, "restore.database.renaming")?;
    rename(staging, staging.database(), &name(staging, DATABASE)?)?;
    Ok(aside)
}

fn rename(staging: &Staging, from: &RelativePath, to: &RelativePath) -> Result<(), FileError> {
    staging.dir().rename(from, to).map_err(|source| staging.failed("replace", to, source))
}

/// Gives something of the old archive another name, unless a killed restore could not find it under that
/// again.
fn set_aside(
    staging: &Staging,
    from: &RelativePath,
    to: &RelativePath,
    is_noted: bool,
) -> Result<(), FileError> {
    if is_noted {
        return rename(staging, from, to);
    }
    let reason = "this file system keeps no dates, and an interrupted restore could not be taken back";
    Err(staging.failed("replace", from, io::Error::other(format!("{reason}; restore into an empty folder"))))
}

/// Whether there is a file or a link to replace.
pub(super) fn is_there(staging: &Staging, path: &RelativePath) -> Result<bool, FileError> {
    match staging.dir().stat(path) {
        Ok(stat) if matches!(stat.kind, Kind::File | Kind::Link) => Ok(true),
        Ok(_) => Err(staging.failed("replace", path, io::Error::other("it is not a regular file"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(staging.failed("look at", path, source)),
    }
}

fn name(staging: &Staging, text: &str) -> Result<RelativePath, FileError> {
    names::path(text).map_err(|source| FileError::new("name", staging.path(), source))
}
