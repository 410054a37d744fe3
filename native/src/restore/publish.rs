//! The end: everything durable, then renamed into place, the database last.
//!
//! Up to the rename of the database every step is taken back when a later one fails, so that an old archive in
//! the target is either as it was or wholly replaced.

use std::io;

use msgvault_platform::Kind;
use msgvault_verifier::format::path::RelativePath;

use crate::phase;

use super::Run;
use super::error::{RestoreError, WriteError, reached};
use super::leftovers::{self, DATABASE, SIDECARS};
use super::staging::Staging;
use super::undo;

/// Puts everything into place.
pub(super) fn publish(run: &Run<'_>) -> Result<(), RestoreError> {
    run.context.observer.begin(phase::PUBLISH, 0);
    undo::note(run.staging, &run.snapshot.extras)?;
    run.staging.sync()?;
    reached(run.context, "restore.synced")?;
    if run.context.observer.cancelled() {
        return Err(RestoreError::Cancelled);
    }
    let aside = rename_all(run).inspect_err(|_| {
        if undo::take_back(run.staging.dir(), run.staging.id()).is_err() {
            run.staging.keep();
        }
    })?;
    // Before the old log is removed, without which the old database could not be used.
    run.staging.sync_names()?;
    reached(run.context, "restore.published")?;
    for name in aside {
        let removed = run.staging.dir().remove_file(&name);
        removed.map_err(|source| run.staging.failed("remove the old", &name, source))?;
    }
    run.staging.remove();
    run.staging.sync()?;
    reached(run.context, "restore.durable")
}

/// Renames extras and sidecars and then the database; returns the sidecars' new names.
fn rename_all(run: &Run<'_>) -> Result<Vec<RelativePath>, RestoreError> {
    let staging = run.staging;
    for (n, extra) in run.snapshot.extras.iter().enumerate() {
        let path = extra.path.relative();
        if is_there(staging, path)? {
            rename(staging, path, &staging.file('o', n)?)?;
            reached(run.context, "restore.extra.set-aside")?;
        }
        rename(staging, &staging.file('e', n)?, path)?;
        reached(run.context, "restore.extra.renamed")?;
    }
    let mut aside = Vec::new();
    for sidecar in SIDECARS {
        let (from, to) = (format!("{DATABASE}{sidecar}"), leftovers::aside(sidecar, staging.id()));
        let (from, to) = (name(staging, &from)?, name(staging, &to)?);
        if is_there(staging, &from)? {
            rename(staging, &from, &to)?;
            aside.push(to);
            reached(run.context, "restore.sidecar.set-aside")?;
        }
    }
    if !aside.is_empty() {
        // A log that came back after a power cut would be applied to the new database.
        staging.sync_names()?;
        reached(run.context, "restore.sidecars.durable")?;
    }
    reached(run.context, "restore.database.renaming")?;
    rename(staging, staging.database(), &name(staging, DATABASE)?)?;
    Ok(aside)
}

fn rename(staging: &Staging, from: &RelativePath, to: &RelativePath) -> Result<(), WriteError> {
    staging.dir().rename(from, to).map_err(|source| staging.failed("replace", to, source))
}

/// Whether there is a file or a link to replace.
fn is_there(staging: &Staging, path: &RelativePath) -> Result<bool, WriteError> {
    match staging.dir().stat(path) {
        Ok(stat) if matches!(stat.kind, Kind::File | Kind::Link) => Ok(true),
        Ok(_) => Err(staging.failed("replace", path, io::Error::other("it is no regular file"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(staging.failed("look at", path, source)),
    }
}

fn name(staging: &Staging, text: &str) -> Result<RelativePath, WriteError> {
    leftovers::path(text).map_err(|source| WriteError::new("name", staging.path(), source))
}
