//! The proof that the staged database is the captured one: it counts what was counted then.

use rusqlite::Connection;

use crate::archive::soundness::{self, Check};
use crate::archive::{pack_index, schema};
use crate::phase;

use super::error::{RestoreError, reached};
use super::{Restore, captured};

/// Compares the numbers, asks SQLite if wanted, and empties the tables of packed attachments, whose packs are
/// not restored. Returns whether there was anything to empty.
pub(super) fn prove(restore: &Restore<'_>, integrity_check: bool) -> Result<bool, RestoreError> {
    restore.context.observer.begin(phase::PROOF, 0);
    let names_packs = captured::read(restore, |database| {
        schema::check_tables(database)?;
        let found = schema::stats(database)?;
        let expected = restore.snapshot.manifest.stats_json();
        if found.to_json() != expected && !found.is_told_by(&expected) {
            return Err(RestoreError::Proof { expected, found: found.to_json() });
        }
        let names_packs = pack_index::names_packs(database)?;
        if integrity_check {
            check_integrity(database)?;
        }
        Ok(names_packs)
    })?;
    if names_packs {
        empty_pack_tables(restore)?;
    }
    reached(restore.context, "restore.proven")?;
    Ok(names_packs)
}

fn empty_pack_tables(restore: &Restore<'_>) -> Result<(), RestoreError> {
    captured::change(restore, |database| {
        // Nobody else knows the file, and so no shared memory is made beside it.
        database.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
        Ok(pack_index::empty(database)?)
    })?;
    let name = restore.staging.database();
    let synced = restore.staging.dir().open_file_to_change(name).and_then(|file| file.sync_all());
    Ok(synced.map_err(|source| restore.staging.failed("make durable", name, source))?)
}

fn check_integrity(database: &Connection) -> Result<(), RestoreError> {
    captured::take_long_functions(database)?;
    let findings = soundness::findings(database, Check::Full).map_err(|error| {
        match captured::use_of_long_function(&error) {
            Some(told) => RestoreError::LongFunction { told: told.to_owned() },
            None => error.into(),
        }
    })?;
    if findings.is_empty() {
        return Ok(());
    }
    Err(RestoreError::Integrity { findings: findings.join("; ") })
}
