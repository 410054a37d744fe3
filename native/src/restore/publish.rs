//! The end: everything durable, then renamed into place, the database last.
//!
//! Up to the rename of the database every step is undone when a later one fails, so that an old archive in the
//! target is either as it was or wholly replaced.

use msgvault_verifier::Phase;
use msgvault_verifier::format::path::RelativePath;

use crate::platform::Kind;

use super::Run;
use super::error::{RestoreError, WriteError, reached};
use super::leftovers::{self, DATABASE, SIDECARS};
use super::staging::Staging;

/// Puts everything into place.
pub(super) fn publish(run: &Run<'_>) -> Result<(), RestoreError> {
    run.context.observer.begin(Phase::Publish, 0);
    run.staging.sync()?;
    reached(run.context, "restore.synced")?;
    if run.context.observer.cancelled() {
        return Err(RestoreError::Cancelled);
    }
    let mut renames = Renames { staging: run.staging, done: Vec::new() };
    let aside = rename_all(run, &mut renames)?;
    // The database is in its place: nothing is undone any more.
    renames.done.clear();
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
fn rename_all(run: &Run<'_>, renames: &mut Renames<'_>) -> Result<Vec<RelativePath>, RestoreError> {
    for (n, extra) in run.snapshot.extras.iter().enumerate() {
        let path = extra.path.relative();
        if renames.is_there(path)? {
            renames.rename(path, &run.staging.file('o', n)?)?;
        }
        renames.rename(&run.staging.file('e', n)?, path)?;
        reached(run.context, "restore.extra.renamed")?;
    }
    let mut aside = Vec::new();
    for sidecar in SIDECARS {
        let (from, to) = (format!("{DATABASE}{sidecar}"), leftovers::aside(sidecar, run.staging.id()));
        let (from, to) = (renames.name(&from)?, renames.name(&to)?);
        if renames.is_there(&from)? {
            renames.rename(&from, &to)?;
            aside.push(to);
            reached(run.context, "restore.sidecar.set-aside")?;
        }
    }
    if !aside.is_empty() {
        // A log that came back after a power cut would be applied to the new database.
        run.staging.sync_names()?;
        reached(run.context, "restore.sidecars.durable")?;
    }
    reached(run.context, "restore.database.renaming")?;
    renames.rename(run.staging.database(), &renames.name(DATABASE)?)?;
    Ok(aside)
}

/// Renames that are undone, last first, when this is dropped.
struct Renames<'a> {
    staging: &'a Staging,
    done: Vec<(RelativePath, RelativePath)>,
}

impl Renames<'_> {
    fn rename(&mut self, from: &RelativePath, to: &RelativePath) -> Result<(), WriteError> {
        self.staging.dir().rename(from, to).map_err(|source| self.staging.failed("replace", to, source))?;
        self.done.push((from.clone(), to.clone()));
        Ok(())
    }

    /// Whether there is a file or a link to replace.
    fn is_there(&self, path: &RelativePath) -> Result<bool, WriteError> {
        match self.staging.dir().stat(path) {
            Ok(stat) if matches!(stat.kind, Kind::File | Kind::Link) => Ok(true),
            Ok(_) => {
                let source = std::io::Error::other("it is no regular file");
                Err(self.staging.failed("replace", path, source))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(self.staging.failed("look at", path, source)),
        }
    }

    fn name(&self, text: &str) -> Result<RelativePath, WriteError> {
        leftovers::path(text).map_err(|source| WriteError::new("name", self.staging.path(), source))
    }
}

impl Drop for Renames<'_> {
    fn drop(&mut self) {
        while let Some((from, to)) = self.done.pop() {
            if self.staging.dir().rename(&to, &from).is_err() {
                self.staging.keep();
            }
        }
    }
}
