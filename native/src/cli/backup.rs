//! `msgvault backup`.

mod create;
mod init;
mod list;
mod restore;
mod verify;

use std::path::Path;

use msgvault_cli::Exit;
use msgvault_platform as platform;
use msgvault_platform::context::Context;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::DirectoryStore;

use crate::decompress::Zstd;
use crate::repo::lock::{self, LockError, LockRequest, Shared};

use super::Invocation;
use super::environment::pause;
use super::failure::Failure;

#[derive(clap::Subcommand)]
pub(super) enum BackupCommand {
    /// Make an empty repository
    Init,
    /// Make a snapshot of the archive
    Create(create::CreateArgs),
    /// List the snapshots of a repository, newest last
    List,
    /// Verify snapshots
    Verify(verify::Args),
    /// Restore a snapshot to a folder, and prove it
    Restore(restore::RestoreArgs),
}

pub(super) fn run(invocation: &Invocation<'_>, command: BackupCommand) -> Result<Exit, Failure> {
    match command {
        BackupCommand::Init => init::run(invocation),
        BackupCommand::Create(args) => create::run(invocation, &args),
        BackupCommand::List => list::run(invocation),
        BackupCommand::Verify(args) => verify::run(invocation, &args),
        BackupCommand::Restore(args) => restore::run(invocation, &args),
    }
}

impl Invocation<'_> {
    pub(super) fn open(&self) -> Result<Repository, Failure> {
        Ok(Repository::open(DirectoryStore::new(self.repo()?), Zstd)?)
    }
}

/// This process, as it asks for a lock.
fn lock_request<'a>(root: &'a Path, operation: &'a str, host: &'a str) -> LockRequest<'a> {
    LockRequest { root, operation, host, pid: std::process::id().into(), force: false, pause: &pause }
}

/// Takes a shared lock for a reader; says so when a read-only medium has none.
fn lock_shared(context: &Context<'_>, root: &Path, operation: &str) -> Result<Shared, LockError> {
    let host = platform::host_name();
    let lock = lock::shared(context, &lock_request(root, operation, &host))?;
    if let Shared::Unlocked(reason) = &lock {
        context.observer.warn(&format!("the repository is read without a lock: {reason}"));
    }
    Ok(lock)
}
