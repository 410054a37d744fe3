//! Why a restore stops.

use std::io;
use std::path::PathBuf;

use msgvault_freeze::ownership::OwnershipError;
use msgvault_freeze::record::RecordError;
use msgvault_platform::FileError;
use msgvault_platform::context::Context;
use msgvault_verifier::FrameError;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::repository::{BlobError, BlobFault, OpenError};
use msgvault_verifier::snapshot::{ContentDigest, SnapshotError};
use msgvault_verifier::text::human_bytes;
use rusqlite::ErrorCode;

use crate::archive::pack_index::IndexFault;
use crate::archive::schema::SchemaError;
use crate::archive::temporary::TemporaryError;
use crate::repo::lock::LockError;

/// Why a restore stops. Whatever it says, an old database in the target is as it was, unless it says that
/// the snapshot is restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The repository is locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The repository cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The snapshot cannot be made whole.
    #[error(transparent)]
    Snapshot(SnapshotError),
    /// A blob cannot be had.
    #[error("{}{}", .0, advice(.0))]
    Blob(BlobError),
    /// A blob is not what the snapshot says of it.
    #[error("blob {blob} has {found} bytes where {expected} are needed for {what}: the snapshot is damaged")]
    WrongLength {
        /// The blob.
        blob: BlobId,
        /// What it is for.
        what: &'static str,
        /// Bytes that the snapshot needs or states.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The snapshot is not the one that somebody wrote down.
    #[error(
        "the snapshot holds {found} and not the expected {expected}, so that nothing was restored; `msgvault-verify inspect` shows what each snapshot holds"
    )]
    Content {
        /// What it should hold.
        expected: ContentDigest,
        /// What it holds.
        found: ContentDigest,
    },
    /// A page is not what the snapshot says of it.
    #[error("page {page} of the database, in blob {blob}, does not match its hash: the snapshot is damaged")]
    Page {
        /// The page, from 0.
        page: u64,
        /// The blob that holds it.
        blob: BlobId,
    },
    /// The snapshot has an auxiliary artifact of a kind that this program does not know.
    #[error(
        "the snapshot has an auxiliary artifact {name:?}, which this program does not know and a restore could leave out; restore it with the program that made it, or with a newer version of this one"
    )]
    UnknownArtifact {
        /// Its name.
        name: String,
    },
    /// A document disclosure is not one.
    #[error("the disclosure {name:?} in blob {blob} is not what it should be: the snapshot is damaged")]
    Disclosure {
        /// Its name.
        name: String,
        /// Its content.
        blob: BlobId,
    },
    /// The target is not fit for a restore.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The target cannot be written.
    #[error("{}{}", .0, .0.advice())]
    Write(#[from] FileError),
    /// The restored database does not answer as an archive does.
    #[error("the restored database: {0}")]
    Schema(#[from] SchemaError),
    /// The restored database's tables of packed attachments cannot be used.
    #[error("the restored database: {0}")]
    PackIndex(#[from] IndexFault),
    /// The recorded paths cannot be kept.
    #[error(transparent)]
    Temporary(#[from] TemporaryError),
    /// SQLite cannot read the restored database.
    #[error("the restored database cannot be read: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The database refers to an attachment that the snapshot does not have.
    #[error("the database refers to attachment {id}, which the snapshot does not hold: it is damaged")]
    NotListed {
        /// The attachment.
        id: BlobId,
    },
    /// The snapshot has an attachment that the database does not refer to.
    #[error("the snapshot holds attachment {id}, to which the database does not refer: it is damaged")]
    NotReferenced {
        /// The attachment.
        id: BlobId,
    },
    /// The restored database is not the one that was counted at capture.
    #[error("the restored database counts {found}, the snapshot says {expected}: it is damaged")]
    Proof {
        /// What the manifest says.
        expected: String,
        /// What the database says.
        found: String,
    },
    /// SQLite's own check found something.
    #[error(
        "SQLite finds the restored database damaged, as it was when it was captured: {findings}; the repository is intact, and the archive was damaged when the backup was made"
    )]
    Integrity {
        /// The first findings.
        findings: String,
    },
    /// The database was made to do harm: it asks for more work than its bytes justify.
    #[error(
        "the captured database asks SQLite for endless work: {steps} steps were not enough to read it; it was made to do harm, or is damaged"
    )]
    Endless {
        /// Steps of SQLite's machine that were allowed.
        steps: u64,
    },
    /// SQLite needs more memory than allowed.
    #[error(
        "too large here: SQLite needs more than {} of memory for the captured database; allow more with --memory, or use a machine that has more",
        human_bytes(*limit)
    )]
    SqliteMemory {
        /// Bytes that it may take.
        limit: u64,
    },
    /// SQLite's full check would run functions whose time nothing bounds.
    #[error(
        "SQLite's full check is not made: the captured schema computes with a function that can take for ever ({told}); restore without --integrity-check, and look at the schema before you use the archive"
    )]
    LongFunction {
        /// What SQLite said.
        told: String,
    },
    /// The caller stopped the run.
    #[error("the restore was stopped; nothing that was there before is lost")]
    Cancelled,
    /// An injected fault.
    #[error("the restore failed at {point}: {source}")]
    Fault {
        /// Where.
        point: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A thread panicked.
    #[error("a part of the restore failed unexpectedly, which is a defect of this program")]
    Panicked,
    /// The threads cannot be started.
    #[error("no threads can be started: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl From<SnapshotError> for RestoreError {
    fn from(error: SnapshotError) -> Self {
        if error.is_stopped() { Self::Cancelled } else { Self::Snapshot(error) }
    }
}

impl From<BlobError> for RestoreError {
    fn from(error: BlobError) -> Self {
        match error.fault {
            BlobFault::Frame(FrameError::Stopped) => Self::Cancelled,
            _ => Self::Blob(error),
        }
    }
}

/// What to do about a blob; continues the sentence.
fn advice(error: &BlobError) -> &'static str {
    match error.fault {
        BlobFault::Frame(FrameError::TooLargeHere(_)) => "",
        _ => "; `msgvault backup verify` lists everything that is damaged",
    }
}

impl RestoreError {
    /// Whether the snapshot came back as it was captured, and its database was damaged then already: every page
    /// was compared with its hash before SQLite saw it.
    pub fn is_archive_damage(&self) -> bool {
        let is_corrupt = |code| matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase);
        matches!(self, Self::Integrity { .. }) || self.sqlite_code().is_some_and(is_corrupt)
    }

    /// Whether nothing is known to be wrong: there is not the memory to tell, or not the time.
    pub fn is_not_checked(&self) -> bool {
        let (Self::Snapshot(SnapshotError::Blob { error, .. }) | Self::Blob(error)) = self else {
            return matches!(self, Self::SqliteMemory { .. } | Self::LongFunction { .. });
        };
        matches!(error.fault, BlobFault::Frame(FrameError::TooLargeHere(_)))
    }

    /// What SQLite said about the captured database.
    pub(super) fn sqlite_code(&self) -> Option<ErrorCode> {
        match self {
            Self::Schema(SchemaError::Sqlite(error))
            | Self::PackIndex(IndexFault::Sqlite(error))
            | Self::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }
}

/// Why a folder is not fit for a restore. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It is a symbolic link.
    #[error("the target {} is a symbolic link; name the folder that it leads to", path.display())]
    Link {
        /// The target.
        path: PathBuf,
    },
    /// It is a file.
    #[error("the target {} is not a folder", path.display())]
    NotAFolder {
        /// The target.
        path: PathBuf,
    },
    /// There is something in it.
    #[error(
        "the target {} is not empty; name another one, or give --overwrite to replace files of the same names and keep the others",
        path.display()
    )]
    NotEmpty {
        /// The target.
        path: PathBuf,
    },
    /// A daemon uses it.
    #[error("the target {} is the home of a running daemon; stop the daemon or name another folder", path.display())]
    LiveHome {
        /// The target.
        path: PathBuf,
    },
    /// It is the repository or lies in it.
    #[error("the target {} lies in the repository; name a folder elsewhere", path.display())]
    InRepository {
        /// The target.
        path: PathBuf,
    },
    /// The repository lies in it.
    #[error("the target {} holds the repository; name a folder elsewhere", path.display())]
    AboveRepository {
        /// The target.
        path: PathBuf,
    },
    /// A folder, or something else that is not a file, is where a file must go.
    #[error("{} is not a regular file, and a file of the snapshot must go there; move it away", path.display())]
    Occupied {
        /// What is in the way.
        path: PathBuf,
    },
    /// A link or a file is where a folder must go.
    #[error("{} is not a folder, and files of the snapshot must go into it; move it away", path.display())]
    NoFolder {
        /// What is in the way.
        path: PathBuf,
    },
    /// Another restore writes to it.
    #[error("another restore writes to the target {}; wait for it, or name another folder", path.display())]
    InUse {
        /// The target.
        path: PathBuf,
    },
    /// It cannot be told whether a daemon uses it.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Somebody works in it.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// It cannot be looked at.
    #[error("the target {} cannot be used: {source}", path.display())]
    Unusable {
        /// The target.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Tells the observer, which may inject a fault.
pub(super) fn reached(context: &Context<'_>, point: &'static str) -> Result<(), RestoreError> {
    context.observer.reached(point).map_err(|source| RestoreError::Fault { point, source })
}
