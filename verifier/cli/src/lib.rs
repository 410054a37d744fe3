//! What `msgvault` and `msgvault-verify` have in common on the command line: options, progress, exit codes,
//! and how reports are printed. Only here does anything of this crate print.

mod inspect;
mod jobs;
mod memory;
mod output;
mod panics;
mod progress;
mod rate;
mod verify;

pub use inspect::{print_details, print_overview};
pub use jobs::JobsArgs;
pub use memory::MemoryArgs;
pub use output::{Color, Output, OutputArgs, ProgressKind, Unreported};
pub use panics::guarded;
pub use progress::Progress;
pub use verify::{
    Limit, VerifyArgs, VerifyError, check_all, check_plan, check_sums, print_report, resolve_scope, with_jobs,
};

use msgvault_verifier::format::manifest::ManifestError;
use msgvault_verifier::repository::{LoadError, OpenError, SelectError};
use msgvault_verifier::snapshot::SnapshotError;

/// The page that verifies a repository in a browser, in builds that hold it.
pub const PAGE: Option<&[u8]> = page();

/// What builds without the page say to those who ask for it.
pub const NO_PAGE: &str =
    "this build does not hold the page; build it with `web/build.sh` and then with `--features page`";

#[cfg(feature = "page")]
const fn page() -> Option<&'static [u8]> {
    Some(include_bytes!("../../../web/dist/msgvault-verify.html"))
}

#[cfg(not(feature = "page"))]
const fn page() -> Option<&'static [u8]> {
    None
}

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// What was asked for makes no sense.
    Usage,
    /// Finished and found problems.
    Problems,
    /// Done, and something about it is alarming.
    Alarming,
    /// Done, and the report could not be written.
    Unreported,
    /// There is no repository.
    NoRepository,
    /// Somebody else holds a lock.
    Locked,
    /// A newer program is needed.
    TooNew,
    /// Ended by the user or the system.
    Interrupted(u8),
}

impl Exit {
    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Problems => 3,
            Self::Alarming => 4,
            Self::Unreported => 5,
            Self::NoRepository => 10,
            Self::Locked => 11,
            Self::TooNew => 13,
            Self::Interrupted(signal) => 128 + signal,
        }
    }

    /// How a program ends that cannot open a repository.
    pub fn of_open(error: &OpenError) -> Self {
        match error {
            OpenError::Missing(_) | OpenError::NotARepository => Self::NoRepository,
            OpenError::Config(msgvault_verifier::format::config::ConfigError::TooNew { .. }) => Self::TooNew,
            _ => Self::Failed,
        }
    }

    /// How a program ends that cannot make a snapshot whole.
    pub fn of_snapshot(error: &SnapshotError) -> Self {
        match error {
            SnapshotError::Load { error: LoadError::Manifest(ManifestError::TooNew { .. }), .. } => {
                Self::TooNew
            }
            _ => Self::Failed,
        }
    }

    /// How a program ends that cannot tell which snapshot is meant.
    pub fn of_select(_: &SelectError) -> Self {
        Self::Failed
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
