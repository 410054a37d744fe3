//! One snapshot of an archive.
//!
//! ```text
//! archive -> freeze, pin -> scan -> plan -> blobs -> packs -> index -> manifest
//! ```
//!
//! The manifest comes last, and only once everything that it references is durable. What fails before leaves
//! a repository with its old snapshots and no more.

mod alarm;
mod attachments;
mod cache;
mod check;
mod clock;
mod database;
mod dense;
mod error;
mod extras;
mod faults;
mod handed_over;
mod known;
mod log_watch;
mod manifest;
mod parent;
mod plan;
mod publish;
mod report;
mod request;
mod scan;
mod space;

use std::path::PathBuf;

use jiff::Timestamp;
use msgvault_freeze::ownership::{DAEMON_LOCK, WRITE_LOCK};
use msgvault_freeze::{self as freeze, Freezer};
use msgvault_platform::context::Context;
use msgvault_platform::foreign_owner;
use msgvault_verifier::format::manifest::{Auxiliary, DocumentCounts};
use msgvault_verifier::format::stats::ArchiveStats;
use msgvault_verifier::length::to_u64;
use msgvault_verifier::repository::{Repository, read_config};
use msgvault_verifier::store::DirectoryStore;
use msgvault_verifier::text::count;

use crate::archive::schema::RecordedContents;
use crate::archive::session::{Pinned, Session};
use crate::decompress::Zstd;
use crate::phase;
use crate::repo::lock::{self, Lock};
use crate::repo::pack_writer::{PackKind, PackSink, Packed, write_packs};
use crate::repo::publish::clean_staging;

pub use error::{ContentFaults, CreateError, ExtrasError};
pub use report::{AttachmentCounts, CreateReport, DatabaseCheck, ExtraCounts, PageCounts};
pub use request::{CreateRequest, DEFAULT_LEVEL};

use attachments::CapturedAttachments;
use database::CapturedDatabase;
use extras::CapturedExtras;
use handed_over::HandedOver;
use known::KnownBlobs;
use parent::Parent;
use report::Recorder;

/// So often an archive is scanned whose log grows too long meanwhile.
const TRIES: u32 = 3;

/// What the steps share.
struct Capture<'a> {
    context: Context<'a>,
    request: &'a CreateRequest<'a>,
    repository: &'a Repository,
    known: &'a KnownBlobs<'a>,
    parent: Option<&'a Parent>,
}

/// What the steps found and stored.
struct Captured {
    times: Times,
    created_at: String,
    stats: ArchiveStats,
    is_canonical: bool,
    check: Option<DatabaseCheck>,
    database: CapturedDatabase,
    attachments: CapturedAttachments,
    extras: CapturedExtras,
    documents: Option<CapturedDocuments>,
}

/// What the snapshot discloses about texts that are derived from documents.
struct CapturedDocuments {
    counts: DocumentCounts,
    artifact: Auxiliary,
}

/// When a run began, and when its database was pinned.
struct Times {
    began: Timestamp,
    frozen: Timestamp,
}

/// Makes one snapshot.
pub fn run(
    context: &Context<'_>,
    request: &CreateRequest<'_>,
    freezer: &mut dyn Freezer,
) -> Result<CreateReport, CreateError> {
    request.refuse_secrets()?;
    let recorder = Recorder::of(context.observer);
    let context = Context { observer: &recorder, ..*context };
    let store = DirectoryStore::new(request.repo);
    read_config(&store)?;
    let lock = lock_repository(&context, request)?;
    let repository = Repository::open(store, Zstd)?;
    clock::check(&context, request, &repository)?;
    let (blobs, packs) = (repository.index().len(), repository.index().packs().len());
    context.observer.explain(&format!(
        "the index names {} in {}",
        count(blobs, "blob"),
        count(packs, "pack")
    ));
    let known = KnownBlobs::of(&repository);
    let parent = parent::find(&repository, &known, &context, request)?;
    let capture =
        Capture { context, request, repository: &repository, known: &known, parent: parent.as_ref() };

    let (captured, packed) = store_archive(&capture, freezer)?;
    context.observer.begin(phase::PUBLISH, 0);
    let manifest = match &lock {
        Some(lock) => publish::publish(&capture, &captured, &packed, lock)?,
        None => manifest::build(&capture, &captured, &packed, None)?,
    };

    if let Some(warning) = lock.as_ref().and_then(|lock| foreign_files(request, lock)) {
        context.observer.warn(&warning);
    }
    if let Some(Err(error)) = lock.map(Lock::release) {
        context.observer.warn(&error.to_string());
    }
    let alarms = alarm::of(request, parent.as_ref(), &captured, &manifest);
    Ok(report::of(request, manifest, &captured, &packed, (alarms, recorder.warnings())))
}

/// Takes the exclusive lock and cleans up after whoever was interrupted; a dry run changes nothing.
fn lock_repository(context: &Context<'_>, request: &CreateRequest<'_>) -> Result<Option<Lock>, CreateError> {
    if request.dry_run {
        return Ok(None);
    }
    let lock = lock::exclusive(context, &request.lock())?;
    context
        .observer
        .explain("this run holds the repository's lock: nobody else adds to it or removes from it");
    clean_staging(request.repo)?;
    Ok(Some(lock))
}

/// Whose files the run wrote, where they are not those of the folder's owner. The archive's locks stay behind
/// and bar its owner, so that they come first.
fn foreign_files(request: &CreateRequest<'_>, lock: &Lock) -> Option<String> {
    let home = [DAEMON_LOCK, WRITE_LOCK].map(|name| request.home.data_dir.join(name));
    home.iter().map(PathBuf::as_path).chain([lock.path()]).find_map(foreign_owner)
}

/// Stores the archive, anew when the live log grew too long meanwhile: what held the repository up can be over.
fn store_archive(
    capture: &Capture<'_>,
    freezer: &mut dyn Freezer,
) -> Result<(Captured, Packed), CreateError> {
    for _ in 1..TRIES {
        match try_store_archive(capture, freezer) {
            Err(error @ CreateError::LogGrew { .. }) => {
                capture.context.observer.warn(&format!("{error}; the backup begins anew"));
            }
            done => return done,
        }
    }
    try_store_archive(capture, freezer)
}

/// Pins the database, and puts what is new in the archive into packs.
fn try_store_archive(
    capture: &Capture<'_>,
    freezer: &mut dyn Freezer,
) -> Result<(Captured, Packed), CreateError> {
    let began = (capture.context.now)();
    let session = Session::open(&capture.request.home.database, capture.context.observer)?;
    extras::check(capture)?;
    let pinned = pin(capture, session, freezer)?;
    let times = Times { began, frozen: (capture.context.now)() };
    let mut handed_over = HandedOver::default();
    let known = |id: &_| capture.known.holds(id);
    let written = write_packs(capture.context, capture.request.pack_options(), &known, |sink| {
        hand_over_all(capture, pinned, times, sink, &mut handed_over)
    });
    let source = handed_over.attachments.source();
    written.map_err(|error| match (handed_over.explain(error), source) {
        (CreateError::Attachment(first), Some(source)) => faults::find_all(capture, &source, *first),
        (error, _) => error,
    })
}

/// Pins the database while writers pause; the pause does not grow with the archive.
fn pin(capture: &Capture<'_>, session: Session, freezer: &mut dyn Freezer) -> Result<Pinned, CreateError> {
    let observer = capture.context.observer;
    observer.begin(phase::FREEZE, 0);
    let since = (capture.context.now)();
    let pinned = freeze::during(freezer, || {
        if observer.cancelled() {
            return Err(CreateError::Cancelled);
        }
        Ok(session.pin(observer, capture.request.pause)?)
    })?;
    pinned.check_same_file()?;
    observer.explain(&format!(
        "the database is pinned at {} pages of {} bytes after {:.3} s, and its writers go on",
        pinned.page_count(),
        pinned.page_size().get(),
        report::seconds(since, (capture.context.now)())
    ));
    Ok(pinned)
}

fn hand_over_all(
    capture: &Capture<'_>,
    pinned: Pinned,
    times: Times,
    sink: &PackSink<'_, '_>,
    handed_over: &mut HandedOver,
) -> Result<Captured, CreateError> {
    let created_at = manifest::created_at(capture, times.frozen)?;
    let stats = pinned.stats()?;
    let documents = pinned.documents()?;
    let RecordedContents { contents, rows, canonical } = pinned.recorded_contents()?;
    space::check(capture, &pinned, &contents)?;
    let limit = capture.request.log_limit.unwrap_or_else(|| log_watch::limit(&pinned));
    let work =
        || Ok((check::check(capture, &pinned)?, database::store(capture, &pinned, &created_at, sink)?));
    let (check, database) = log_watch::during(capture.context.observer, &pinned, limit, work)?;
    // Before the attachments, which may take long, so that the live log can be copied again.
    pinned.let_go()?;
    let place = pinned.place();
    let attachments =
        attachments::store(capture, &place, contents, rows, sink, &mut handed_over.attachments)?;
    let extras = extras::store(capture, sink, &mut handed_over.extras)?;
    let documents = documents.map(|counts| store_documents(counts, sink)).transpose()?;
    Ok(Captured {
        times,
        created_at,
        stats,
        is_canonical: canonical,
        check,
        database,
        attachments,
        extras,
        documents,
    })
}

fn store_documents(
    counts: DocumentCounts,
    sink: &PackSink<'_, '_>,
) -> Result<CapturedDocuments, CreateError> {
    let text = counts.encode();
    let bytes = to_u64(text.len());
    let blob = sink.add(PackKind::Metadata, text.into_bytes())?;
    Ok(CapturedDocuments { counts, artifact: Auxiliary::of_documents(sink.id_of(blob)?, bytes) })
}

fn stop_if_cancelled(capture: &Capture<'_>) -> Result<(), CreateError> {
    if capture.context.observer.cancelled() { Err(CreateError::Cancelled) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
