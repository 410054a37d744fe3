//! One snapshot of an archive.
//!
//! ```text
//! archive -> freeze, pin -> scan -> plan -> blobs -> packs -> index -> manifest
//! ```
//!
//! The manifest comes last, and only once everything that it references is durable. What fails before leaves
//! a repository with its old snapshots and no more.

mod attachments;
mod cache;
mod extras;
mod known;
mod manifest;
mod pages;
mod parent;
mod plan;
mod report;
mod scan;

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use msgvault_verifier::format::manifest::Options;
use msgvault_verifier::format::stats::ArchiveStats;
use msgvault_verifier::repository::{OpenError, Repository, read_config};
use msgvault_verifier::snapshot::SnapshotError;
use msgvault_verifier::store::{DirectoryStore, StoreError};

use crate::archive::content::{self, ContentError};
use crate::archive::schema::References;
use crate::archive::session::{Pinned, Session, SessionError};
use crate::archive::spool::SpoolError;
use crate::decompress::Zstd;
use crate::home::Home;
use crate::phase;
use crate::repo::lock::{self, Lock, LockError, LockRequest};
use crate::repo::pack_writer::{PackError, PackOptions, PackSink, SourceFault, Stopped, write_packs};
use crate::repo::publish::{PublishError, clean_staging};

use attachments::CapturedAttachments;
use extras::CapturedExtras;
pub use extras::ExtrasError;
use known::KnownBlobs;
use msgvault_freeze::{self as freeze, FreezeError, Freezer};
use msgvault_platform::context::Context;
use pages::CapturedPages;
use parent::Parent;
use report::Recorder;
pub use report::{AttachmentCounts, CreateReport, ExtraCounts, PageCounts};

/// The compression level when none is given.
pub const DEFAULT_LEVEL: i32 = 3;

/// What is to be captured, from where, into which repository.
#[derive(Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct CreateRequest<'a> {
    /// The archive.
    pub home: &'a Home,
    /// The repository.
    pub repo: &'a Path,
    /// The user's label.
    pub tag: &'a str,
    /// Capture the configuration.
    pub include_config: bool,
    /// Capture `tokens/` and `client_secret*.json`.
    pub include_tokens: bool,
    /// The user knows that secrets are stored as they are.
    pub allow_plaintext_secrets: bool,
    /// Workers; 0 means one a processor, 1 also never two reads at once.
    pub jobs: usize,
    /// The zstd level, 1 to 19; 0 means the default.
    pub zstd_level: i32,
    /// Break fresh locks of others.
    pub force_unlock: bool,
    /// Find out what would be stored, and store nothing.
    pub dry_run: bool,
    /// This program's version, for the manifest.
    pub version: &'a str,
    /// This machine's name, for the lock.
    pub host: &'a str,
    /// This process, for the lock.
    pub pid: u64,
    /// Lets time pass.
    pub pause: &'a dyn Fn(Duration),
}

/// Why there is no new snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// Secrets would be stored readable for whoever reads the repository.
    #[error(
        "{flag} would store secrets unencrypted in the repository; add --allow-plaintext-secrets if you mean it"
    )]
    PlaintextSecrets {
        /// The flag that asked for them.
        flag: &'static str,
    },
    /// There is no repository, or it is too new.
    #[error(transparent)]
    Repository(#[from] OpenError),
    /// The repository's snapshots cannot be listed.
    #[error("the repository's snapshots cannot be listed: {0}")]
    Listing(StoreError),
    /// The snapshot before cannot be built upon.
    #[error("the last snapshot cannot be built upon: {0}")]
    Parent(SnapshotError),
    /// The repository is locked, or the lock was lost.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Writers of the archive could not be paused.
    #[error(transparent)]
    Freeze(#[from] FreezeError),
    /// The database cannot be captured.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The database's file cannot be read.
    #[error("the database {} cannot be read at page {page}: {source}", path.display())]
    ReadPages {
        /// The database.
        path: std::path::PathBuf,
        /// The first page that was asked for.
        page: u64,
        /// What the system said.
        source: std::io::Error,
    },
    /// Attachments cannot be read at all.
    #[error(transparent)]
    Contents(#[from] content::OpenError),
    /// An attachment cannot be captured.
    #[error(transparent)]
    Content(Box<ContentError>),
    /// What is to be captured cannot be kept until it is.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Another file cannot be captured.
    #[error(transparent)]
    Extras(#[from] ExtrasError),
    /// A blob cannot be stored.
    #[error("what describes the snapshot cannot be stored: {0}")]
    Blob(SourceFault),
    /// The repository cannot be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The system gives no threads.
    #[error("the system starts no more threads: {0}")]
    Threads(String),
    /// The clock or the last snapshot's time is beyond what can be written.
    #[error("no time later than the last snapshot's can be written; check the clock of this machine")]
    Clock,
    /// The program has a fault.
    #[error("the program failed: {0}; the repository is as it was before")]
    Internal(String),
    /// The caller stopped it.
    #[error("stopped; the repository is as it was before")]
    Cancelled,
}

impl From<Stopped> for CreateError {
    /// Never seen: whoever stopped the writing of packs has the reason, which is returned instead.
    fn from(_: Stopped) -> Self {
        Self::Cancelled
    }
}

/// Makes one snapshot.
pub fn run(
    context: &Context<'_>,
    request: &CreateRequest<'_>,
    freezer: &mut dyn Freezer,
) -> Result<CreateReport, CreateError> {
    refuse_secrets(request)?;
    let recorder = Recorder::of(context.observer);
    let context = Context { observer: &recorder, ..*context };
    let store = DirectoryStore::new(request.repo);
    read_config(&store)?;
    let lock = lock_repository(&context, request)?;
    let repository = Repository::open(store, Zstd)?;
    let known = KnownBlobs::of(&repository);
    let parent = parent::find(&repository, &known, &context, request)?;
    let capture =
        Capture { context, request, repository: &repository, known: &known, parent: parent.as_ref() };
    let mut report = capture.run(freezer, lock.as_ref())?;
    if let Some(Err(error)) = lock.map(Lock::release) {
        context.observer.warn(&error.to_string());
    }
    report.warnings = recorder.warnings();
    Ok(report)
}

fn refuse_secrets(request: &CreateRequest<'_>) -> Result<(), CreateError> {
    let flags = [(request.include_config, "--include-config"), (request.include_tokens, "--include-tokens")];
    match flags.into_iter().find(|(asked, _)| *asked) {
        Some((_, flag)) if !request.allow_plaintext_secrets => Err(CreateError::PlaintextSecrets { flag }),
        _ => Ok(()),
    }
}

/// Takes the exclusive lock and cleans up after whoever was interrupted; a dry run changes nothing.
fn lock_repository(context: &Context<'_>, request: &CreateRequest<'_>) -> Result<Option<Lock>, CreateError> {
    if request.dry_run {
        return Ok(None);
    }
    let lock_request = LockRequest {
        root: request.repo,
        operation: "create",
        host: request.host,
        pid: request.pid,
        force: request.force_unlock,
        pause: request.pause,
    };
    let lock = lock::exclusive(context, &lock_request)?;
    clean_staging(request.repo)?;
    Ok(Some(lock))
}

/// What every step needs.
struct Capture<'a> {
    context: Context<'a>,
    request: &'a CreateRequest<'a>,
    repository: &'a Repository,
    known: &'a KnownBlobs<'a>,
    parent: Option<&'a Parent>,
}

/// What the steps found and stored.
struct Captured {
    stats: ArchiveStats,
    is_canonical: bool,
    pages: CapturedPages,
    attachments: CapturedAttachments,
    extras: CapturedExtras,
}

/// Whose contents were handed over, to say so when one turns out to be bad.
#[derive(Default)]
struct Sources {
    attachments: attachments::HandedOver,
    extras: extras::HandedOver,
}

impl Capture<'_> {
    fn run(&self, freezer: &mut dyn Freezer, lock: Option<&Lock>) -> Result<CreateReport, CreateError> {
        let began = (self.context.now)();
        let session = Session::open(&self.request.home.database)?;
        self.check_extras()?;
        let pinned = self.pin(session, freezer)?;
        let frozen = (self.context.now)();
        let mut sources = Sources::default();
        let known = |id: &_| self.known.holds(id);
        let written = write_packs(self.context, self.pack_options(), &known, |sink| {
            self.capture(pinned, sink, &mut sources)
        });
        let (captured, packed) = written.map_err(|error| sources.explain(error))?;
        let times = Times { began, frozen };
        self.publish(captured, packed, &times, lock)
    }

    /// Pins the database while writers pause; the pause does not grow with the archive.
    fn pin(&self, session: Session, freezer: &mut dyn Freezer) -> Result<Pinned, CreateError> {
        let observer = self.context.observer;
        observer.begin(phase::FREEZE, 0);
        let pinned = freeze::during(freezer, || {
            if observer.cancelled() {
                return Err(CreateError::Cancelled);
            }
            Ok(session.pin(observer, self.request.pause)?)
        })?;
        pinned.check_same_file()?;
        Ok(pinned)
    }

    fn capture(
        &self,
        pinned: Pinned,
        sink: &PackSink<'_, '_>,
        sources: &mut Sources,
    ) -> Result<Captured, CreateError> {
        let stats = pinned.stats()?;
        let References { contents, rows, canonical } = pinned.references()?;
        let pages = self.capture_pages(&pinned, sink)?;
        // Before the attachments, which may take long, so that the live log can be copied again.
        pinned.close()?;
        let attachments = self.capture_attachments(contents, rows, sink, &mut sources.attachments)?;
        let extras = self.capture_extras(sink, &mut sources.extras)?;
        Ok(Captured { stats, is_canonical: canonical, pages, attachments, extras })
    }

    fn pack_options(&self) -> PackOptions<'_> {
        PackOptions {
            root: self.request.repo,
            jobs: self.jobs(),
            level: self.level(),
            dry_run: self.request.dry_run,
        }
    }

    fn jobs(&self) -> usize {
        match self.request.jobs {
            0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            jobs => jobs,
        }
    }

    fn level(&self) -> i32 {
        if self.request.zstd_level == 0 { DEFAULT_LEVEL } else { self.request.zstd_level }
    }

    fn options(&self) -> Options {
        Options {
            include_config: self.request.include_config,
            include_tokens: self.request.include_tokens,
            zstd_level: self.level().into(),
            tag: self.request.tag.to_owned(),
        }
    }

    fn stop_if_cancelled(&self) -> Result<(), CreateError> {
        if self.context.observer.cancelled() { Err(CreateError::Cancelled) } else { Ok(()) }
    }
}

/// When a run began, and when its database was pinned.
struct Times {
    began: Timestamp,
    frozen: Timestamp,
}

impl Sources {
    /// Names the attachment or file that a fault is about.
    fn explain(self, error: PackError<CreateError>) -> CreateError {
        match error {
            PackError::Produce(error) => error,
            PackError::Publish(error) => error.into(),
            PackError::Cancelled => CreateError::Cancelled,
            PackError::Source(fault) => match self.attachments.explain(fault) {
                Ok(error) => error,
                Err(fault) => match self.extras.explain(fault) {
                    Ok(error) => error.into(),
                    Err(fault) => CreateError::Blob(fault),
                },
            },
            PackError::Threads(error) => CreateError::Threads(error.to_string()),
            error @ (PackError::Compress(_) | PackError::Panicked) => {
                CreateError::Internal(error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests;
