//! Restore: a snapshot becomes an archive home again.
//!
//! preflight → database → attachments → extras → proof → publish. Nothing of the target changes before the
//! preflight is through, and what is there of an old archive stays as it is until `publish`.

mod attachments;
mod blobs;
mod captured;
mod content;
mod database;
mod error;
mod extras;
mod leftovers;
mod names;
mod preflight;
mod proof;
mod publish;
mod recorded;
mod rehearsal;
mod report;
mod request;
mod space;
mod staging;
mod target;
mod undo;
mod unfinished;
mod workers;

use msgvault_platform::context::Context;
use msgvault_platform::foreign_owner;
use msgvault_verifier::Phase;
use msgvault_verifier::length::to_u64;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::Snapshot;
use msgvault_verifier::store::DirectoryStore;
use msgvault_verifier::text::human_bytes;
use msgvault_verifier::verify::Verdict;

use crate::decompress::Zstd;
use crate::free_space;
use crate::repo::lock::{self, Shared};

pub use error::{RestoreError, TargetError};
pub use rehearsal::{check_scratch_space, rehearse};
pub use report::RestoreReport;
pub use request::RestoreRequest;

use staging::Staging;
use workers::Workers;

/// What the steps share.
struct Restore<'a> {
    context: &'a Context<'a>,
    repository: &'a Repository,
    snapshot: &'a Snapshot,
    workers: &'a Workers,
    staging: &'a Staging,
}

/// Restores a snapshot.
pub fn run(context: &Context<'_>, request: &RestoreRequest<'_>) -> Result<RestoreReport, RestoreError> {
    let lock = lock::shared(context, &request.lock)?;
    if let Shared::Unlocked(reason) = &lock {
        context.observer.warn(&format!("the repository is read without a lock: {reason}"));
    }
    let repository =
        Repository::open_within(DirectoryStore::new(request.lock.root), Zstd, request.memory.clone())?;
    let observer = context.observer;
    observer.explain(&format!(
        "snapshot {} is restored to {}: nothing there changes before every blob is found",
        request.snapshot,
        request.target.display()
    ));
    let workers = Workers::new(request.jobs)?;
    let place = target::examine(request)?;
    context.observer.begin(Phase::PLAN, 0);
    let snapshot = Snapshot::load(&repository, request.snapshot, context.observer)?;
    if let Some(expected) = request.expect_content {
        preflight::compare_content(&repository, &snapshot, expected)?;
    }
    let disclosures = preflight::disclosures(&repository, &snapshot)?;
    let plan = preflight::plan(context, &repository, &snapshot, &workers)?;
    place.check_extras(&snapshot.extras)?;
    let needed = space::needed(&snapshot, place.is_empty());
    free_space::check(space::ACTION, request.target, needed)?;
    observer.explain(&format!(
        "the database has {} pages of {} bytes, and there are {} attachments; {} are needed",
        snapshot.manifest.db.page_count,
        snapshot.manifest.db.page_size,
        snapshot.manifest.attachments.blobs,
        human_bytes(needed)
    ));

    let target = place.prepare(context, request)?;
    let staging = Staging::create(context, target)?;
    let restore = Restore {
        context,
        repository: &repository,
        snapshot: &snapshot,
        workers: &workers,
        staging: &staging,
    };
    database::stage(&restore, &plan)?;
    let (written, replacing) = attachments::write(&restore, &plan)?;
    extras::stage(&restore, &plan)?;
    let pack_tables_emptied = proof::prove(&restore, request.integrity_check)?;
    observer.explain(
        "the database counts what was counted when it was captured; now all is made durable and renamed into place, the database last",
    );
    publish::publish(&restore, replacing)?;
    let target = staging.path().to_owned();
    if let Some(warning) = foreign_owner(&target.join(names::DATABASE)) {
        context.observer.warn(&warning);
    }

    if let Shared::Locked(lock) = lock
        && let Err(error) = lock.release()
    {
        // Every byte that was read was checked, so nothing is lost with the lock.
        context.observer.warn(&error.to_string());
    }
    Ok(RestoreReport {
        snapshot: request.snapshot.clone(),
        target,
        database_bytes: snapshot.manifest.database_bytes(),
        attachments: snapshot.manifest.attachments.blobs,
        attachment_files: written,
        attachment_bytes: snapshot.manifest.attachments.blob_bytes,
        extras: to_u64(snapshot.extras.len()),
        integrity_checked: request.integrity_check,
        verdict: if request.integrity_check { Verdict::Intact } else { Verdict::Unchecked },
        pack_tables_emptied,
        disclosures,
    })
}

#[cfg(test)]
mod tests;
