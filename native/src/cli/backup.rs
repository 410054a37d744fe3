//! `msgvault backup`.

mod init;
mod list;
mod verify;

use msgvault_verifier::cli::{Exit, VerifyArgs};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::DirectoryStore;

use crate::context::Context;
use crate::decompress::Zstd;
use crate::platform;
use crate::repo::lock::{self, LockError, LockRequest, Shared};

use super::Session;
use super::environment::pause;
use super::failure::Failure;

type OpenRepository = Repository<DirectoryStore, Zstd>;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Make an empty repository
    Init,
    /// List the snapshots of a repository, newest last
    List,
    /// Verify snapshots
    Verify(VerifyArgs),
}

pub(super) fn run(session: &Session<'_>, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Init => init::run(session),
        Command::List => list::run(session),
        Command::Verify(args) => verify::run(session, &args),
    }
}

impl Session<'_> {
    fn open(&self) -> Result<OpenRepository, Failure> {
        Ok(Repository::open(DirectoryStore::new(self.repo()?), Zstd)?)
    }
}

/// Takes a shared lock for a reader; says so when a read-only medium has none.
fn lock_shared(
    context: &Context<'_>,
    repository: &OpenRepository,
    operation: &str,
) -> Result<Shared, LockError> {
    let host = platform::host_name();
    let request = LockRequest {
        root: repository.store().root(),
        operation,
        host: &host,
        pid: std::process::id().into(),
        force: false,
        pause: &pause,
    };
    let lock = lock::shared(context, &request)?;
    if let Shared::Unlocked(reason) = &lock {
        context.observer.warn(&format!("reading without a lock: {reason}"));
    }
    Ok(lock)
}
