//! Why there is no new snapshot.

use std::fmt;
use std::io;
use std::path::PathBuf;

use msgvault_freeze::FreezeError;
use msgvault_platform::FileError;
use msgvault_verifier::format::path::PathError;
use msgvault_verifier::repository::OpenError;
use msgvault_verifier::snapshot::SnapshotError;
use msgvault_verifier::store::StoreError;
use msgvault_verifier::text::human_bytes;

use crate::archive::content::{self, ContentError};
use crate::archive::session::SessionError;
use crate::archive::temporary::TemporaryError;
use crate::repo::lock::LockError;

use crate::repo::pack_writer::{PackError, SourceFault, Stopped};
use crate::repo::publish::PublishError;
use crate::repo::sums::SumsError;

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
    Session(SessionError),
    /// The database's file cannot be read.
    #[error("the database {} cannot be read at page {page}: {source}", path.display())]
    ReadPages {
        /// The database.
        path: PathBuf,
        /// The first page that was asked for.
        page: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Attachments cannot be read at all.
    #[error(transparent)]
    Contents(#[from] content::OpenError),
    /// An attachment cannot be captured; before the others were looked at.
    #[error(transparent)]
    Attachment(Box<ContentError>),
    /// Attachments cannot be captured.
    #[error(transparent)]
    Attachments(Box<ContentFaults>),
    /// What is to be captured cannot be kept until it is.
    #[error(transparent)]
    Temporary(#[from] TemporaryError),
    /// Another file cannot be captured.
    #[error(transparent)]
    Extras(#[from] ExtrasError),
    /// A blob cannot be stored.
    #[error("what describes the snapshot cannot be stored: {0}")]
    Blob(SourceFault),
    /// The repository cannot be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The sums cannot be written.
    #[error("no snapshot was made: {0}")]
    Sums(#[from] SumsError),
    /// What is new has no room, however well it compresses.
    #[error("{error}, for {} before compression{}", human_bytes(*new), error.advice())]
    Space {
        /// Bytes that are new.
        new: u64,
        /// The least that is needed, and what is free.
        error: FileError,
    },
    /// The system gives no threads.
    #[error("the system starts no more threads: {0}")]
    Threads(String),
    /// The clock or the last snapshot's time is beyond what can be written.
    #[error("no time later than the last snapshot's can be written; check the clock of this machine")]
    Clock,
    /// The clock can hardly be right.
    #[error("the clock of this machine says {now}, {reason}; set it right, or add --accept-clock if it is")]
    ImplausibleClock {
        /// What the clock says.
        now: String,
        /// What speaks against it.
        reason: String,
    },
    /// The program has a fault.
    #[error("the program failed: {0}; no snapshot was made, and the others are as they were")]
    Internal(String),
    /// The live log grew while the scan waited for the repository.
    #[error(
        "the archive's write-ahead log grew over {} while its database was scanned, and was let go; see why the repository takes so long to be written to, or back up when less is written to the archive",
        human_bytes(*limit)
    )]
    LogGrew {
        /// The bytes that it may have.
        limit: u64,
    },
    /// The caller stopped it.
    #[error("stopped; no snapshot was made, and the others are as they were")]
    Cancelled,
}

impl From<SessionError> for CreateError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Cancelled => Self::Cancelled,
            error => Self::Session(error),
        }
    }
}

impl From<Stopped> for CreateError {
    /// Never seen: whoever stopped the writing of packs has the reason, which is returned instead.
    fn from(_: Stopped) -> Self {
        Self::Cancelled
    }
}

impl From<PackError<Self>> for CreateError {
    fn from(error: PackError<Self>) -> Self {
        match error {
            PackError::Produce(error) => error,
            PackError::Publish(error) => error.into(),
            PackError::Cancelled => Self::Cancelled,
            PackError::Source(fault) => Self::Blob(fault),
            PackError::Threads(error) => Self::Threads(error.to_string()),
            error @ (PackError::Compress(_) | PackError::Panicked) => Self::Internal(error.to_string()),
        }
    }
}

/// The attachments of an archive that cannot be captured; at least one.
#[derive(Debug)]
pub struct ContentFaults {
    /// The one that ended the run.
    pub first: ContentError,
    /// All of them, or the first thousand, in the order of the archive.
    pub all: Vec<ContentError>,
    /// How many there are.
    pub count: u64,
}

impl fmt::Display for ContentFaults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            0 | 1 => write!(out, "{}", self.first),
            count => write!(
                out,
                "{count} attachments cannot be captured, and nothing was kept; take their files from an older \
                 snapshot (the guide says how)"
            ),
        }
    }
}

impl std::error::Error for ContentFaults {}

/// Why another file cannot be captured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtrasError {
    /// Several of these.
    #[error("{} files cannot be captured: {}", .0.len(), .0.join("; "))]
    Several(Vec<String>),
    /// A symbolic link; what it leads to would be another file after a restore.
    #[error("{} is a symbolic link, which a backup cannot hold; replace it by the file itself", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// A name that the format cannot hold.
    #[error("{} has a name that is not UTF-8, which a backup cannot hold; rename it", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// A name that not every file system can hold.
    #[error("{source}, so a restore could fail elsewhere; rename it")]
    BadPath {
        /// The rule that is broken.
        source: PathError,
    },
    /// Two names that are one to some file systems.
    #[error("{first} and {second} are one file to some file systems; rename one")]
    SamePath {
        /// One name.
        first: String,
        /// The other one.
        second: String,
    },
    /// There is no configuration to be captured.
    #[error("--include-config asks for the configuration, and none was loaded; name it with --config")]
    NoConfig,
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
