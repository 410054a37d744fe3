//! The end: everything durable, then renamed into place, the database last.
//!
//! Up to the rename of the database every step is taken back when a later one fails, so that an old archive in
//! the target is either as it was or wholly replaced.

use std::io::{self, Write};

use msgvault_platform::{FileError, Kind};
use msgvault_verifier::format::path::RelativePath;

use crate::phase;

use super::Restore;
use super::error::{RestoreError, reached};
use super::names::{self, DATABASE, SIDECARS};
use super::staging::Staging;
use super::undo;

/// Puts everything into place.
pub(super) fn publish(restore: &Restore<'_>) -> Result<(), RestoreError> {
    restore.context.observer.begin(phase::PUBLISH, 0);
    write_note(restore)?;
    restore.staging.sync()?;
    reached(restore.context, "restore.synced")?;
    if restore.context.observer.cancelled() {
        return Err(RestoreError::Cancelled);
    }
    let aside = rename_all(restore).inspect_err(|_| {
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
    restore.staging.sync()?;
    reached(restore.context, "restore.durable")
}

/// Notes where the staged files go, so that the renames can be taken back.
fn write_note(restore: &Restore<'_>) -> Result<(), FileError> {
    let staging = restore.staging;
    let noted = undo::note(staging.id(), &restore.snapshot.extras);
    let (name, note) = noted.map_err(|source| FileError::new("name", staging.path(), source))?;
    let mut file = staging.create_file(&name)?;
    file.write_all(&note).map_err(|source| staging.failed("write", &name, source))?;
    staging.sync_file(&name, &file)
}

/// Renames extras and sidecars and then the database; returns the sidecars' new names.
fn rename_all(restore: &Restore<'_>) -> Result<Vec<RelativePath>, RestoreError> {
    let staging = restore.staging;
    for (n, extra) in restore.snapshot.extras.iter().enumerate() {
        let path = extra.path.relative();
        if is_there(staging, path)? {
            rename(staging, path, &staging.file('o', n)?)?;
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
            rename(staging, &from, &to)?;
            aside.push(to);
            reached(restore.context, "restore.sidecar.set-aside")?;
        }
    }
    if !aside.is_empty() {
        // A log that came back after a power cut would be applied to the new database.
        staging.sync_names()?;
        reached(restore.context, "restore.sidecars.durable")?;
    }
    reached(restore.context, "restore.database.renaming")?;
    rename(staging, staging.database(), &name(staging, DATABASE)?)?;
    Ok(aside)
}

fn rename(staging: &Staging, from: &RelativePath, to: &RelativePath) -> Result<(), FileError> {
    staging.dir().rename(from, to).map_err(|source| staging.failed("replace", to, source))
}

/// Whether there is a file or a link to replace.
fn is_there(staging: &Staging, path: &RelativePath) -> Result<bool, FileError> {
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
