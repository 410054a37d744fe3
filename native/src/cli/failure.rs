//! Why a command failed, and how the program ends then.

use std::io;

use msgvault_cli::{Exit, Unreported, VerifyError};
use msgvault_daemon::ServeError;
use msgvault_freeze::FreezeError;
use msgvault_verifier::repository::{OpenError, SelectError};
use msgvault_verifier::verify::Verdict;

use crate::archive::content::ContentError;
use crate::copy::CopyError;
use crate::create::CreateError;
use crate::home::HomeError;
use crate::mend::MendError;
use crate::prune::PruneError;
use crate::repo::init::InitError;
use crate::repo::lock::LockError;
use crate::repo::rebuild_index::RebuildError;
use crate::repo::sums::SumsError;
use crate::restore::RestoreError;
use crate::retention::RetentionError;

/// One line for people and the exit code.
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
    /// What is known about the snapshot all the same.
    pub(super) verdict: Option<Verdict>,
    /// The attachments that it is about.
    pub(super) attachments: Vec<ContentError>,
}

impl Failure {
    pub(super) fn failed(message: impl ToString) -> Self {
        Self { exit: Exit::Failed, message: message.to_string(), verdict: None, attachments: Vec::new() }
    }

    fn new(exit: Exit, error: &dyn std::error::Error) -> Self {
        Self { exit, message: error.to_string(), verdict: None, attachments: Vec::new() }
    }
}

macro_rules! failures {
    ($($error:ty => $exit:expr,)*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let exit: fn(&$error) -> Exit = $exit;
                Self::new(exit(&error), &error)
            }
        }
    )*};
}

failures! {
    HomeError => |_| Exit::Failed,
    InitError => |_| Exit::Failed,
    LockError => of_lock,
    OpenError => Exit::of_open,
    SelectError => Exit::of_select,
    VerifyError => VerifyError::exit,
    FreezeError => |_| Exit::Failed,
    ServeError => |_| Exit::Failed,
    RebuildError => of_rebuild,
    RetentionError => of_retention,
    PruneError => of_prune,
    SumsError => of_sums,
    CopyError => of_copy,
    MendError => of_mend,
    Unreported => |_| Exit::Unreported,
    io::Error => |_| Exit::Failed,
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        let failure = Self::new(of_create(&error), &error);
        match error {
            CreateError::Attachments(faults) => Self { attachments: faults.all, ..failure },
            _ => failure,
        }
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        let verdict = error.is_archive_damage().then_some(Verdict::ArchiveDamaged);
        Self { verdict, ..Self::new(of_restore(&error), &error) }
    }
}

fn of_lock(error: &LockError) -> Exit {
    match error {
        LockError::Held { .. } | LockError::Shared { .. } => Exit::Locked,
        _ => Exit::Failed,
    }
}

fn of_create(error: &CreateError) -> Exit {
    match error {
        CreateError::Lock(error) => of_lock(error),
        CreateError::Sums(error) => of_sums(error),
        CreateError::Repository(error) => Exit::of_open(error),
        CreateError::Parent(error) => Exit::of_snapshot(error),
        _ => Exit::Failed,
    }
}

fn of_rebuild(error: &RebuildError) -> Exit {
    match error {
        RebuildError::Lock(error) => of_lock(error),
        _ => Exit::Failed,
    }
}

fn of_restore(error: &RestoreError) -> Exit {
    match error {
        RestoreError::Lock(error) => of_lock(error),
        RestoreError::Open(error) => Exit::of_open(error),
        RestoreError::Snapshot(error) => Exit::of_snapshot(error),
        RestoreError::UnknownArtifact { .. } => Exit::TooNew,
        _ => Exit::Failed,
    }
}

fn of_retention(error: &RetentionError) -> Exit {
    match error {
        RetentionError::Lock(error) => of_lock(error),
        RetentionError::Open(error) => Exit::of_open(error),
        RetentionError::Manifest(error) => Exit::of_snapshot(error),
        _ => Exit::Failed,
    }
}

fn of_prune(error: &PruneError) -> Exit {
    match error {
        PruneError::Lock(error) => of_lock(error),
        PruneError::Open(error) => Exit::of_open(error),
        PruneError::Snapshot(error) => Exit::of_snapshot(error),
        PruneError::Doubt { too_new: true, .. } => Exit::TooNew,
        _ => Exit::Failed,
    }
}

fn of_sums(error: &SumsError) -> Exit {
    match error {
        SumsError::Lock(error) => of_lock(error),
        SumsError::Snapshot(error) => Exit::of_snapshot(error),
        _ => Exit::Failed,
    }
}

fn of_copy(error: &CopyError) -> Exit {
    match error {
        CopyError::Lock(error) => of_lock(error),
        CopyError::Open(error) => Exit::of_open(error),
        CopyError::Snapshot(error) => Exit::of_snapshot(error),
        CopyError::Sums(error) => of_sums(error),
        CopyError::Record(error) => of_retention(error),
        _ => Exit::Failed,
    }
}

fn of_mend(error: &MendError) -> Exit {
    match error {
        MendError::Lock(error) => of_lock(error),
        MendError::Open(error) => Exit::of_open(error),
        MendError::Sums(error) => of_sums(error),
        _ => Exit::Failed,
    }
}
