//! `msgvault backup`.

mod copy;
mod create;
mod forget;
mod hold;
mod init;
mod list;
mod prune;
mod repair;
mod restore;
mod rules;
mod stats;
mod sums;
pub(super) mod verify;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use msgvault_cli::{Exit, MemoryArgs};
use msgvault_platform as platform;
use msgvault_platform::context::Context;
use msgvault_verifier::repository::{Repository, read_config};
use msgvault_verifier::store::DirectoryStore;

use crate::decompress::Zstd;
use crate::repo::lock::{self, Lock, LockError, LockRequest, Shared};

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
    /// Copy the repository to another disk, and prove every byte on the way
    Copy(copy::CopyArgs),
    /// State the SHA-256 of files that have none stated yet, for `sha256sum` and `verify --sums`
    Sums(sums::SumsArgs),
    /// Tell what takes the space: snapshots, kinds, packs, large attachments, months
    Stats(stats::StatsArgs),
    /// Mend what is lost or damaged, from a copy of the repository, from the archive, or from what is there
    Repair(repair::RepairArgs),
    /// Restore a snapshot to a folder, and prove it
    Restore(restore::RestoreArgs),
    /// Forget snapshots by name or by rules; what they need stays until `prune`
    Forget(forget::ForgetArgs),
    /// Take a forgotten snapshot back, while what it needs is there
    Unforget(forget::UnforgetArgs),
    /// Hold a snapshot, so that nothing forgets it
    Hold(hold::HoldArgs),
    /// Let a snapshot go that was held
    Unhold(hold::UnholdArgs),
    /// Give back the space of what no snapshot needs
    Prune(prune::PruneArgs),
}

pub(super) fn run(invocation: &Invocation<'_>, command: BackupCommand) -> Result<Exit, Failure> {
    match command {
        BackupCommand::Init => init::run(invocation),
        BackupCommand::Create(args) => create::run(invocation, &args),
        BackupCommand::List => list::run(invocation),
        BackupCommand::Verify(args) => verify::run(invocation, &args),
        BackupCommand::Copy(args) => copy::run(invocation, &args),
        BackupCommand::Sums(args) => sums::run(invocation, &args),
        BackupCommand::Stats(args) => stats::run(invocation, &args),
        BackupCommand::Repair(args) => repair::run(invocation, &args),
        BackupCommand::Restore(args) => restore::run(invocation, &args),
        BackupCommand::Forget(args) => forget::run(invocation, &args),
        BackupCommand::Unforget(args) => forget::unforget(invocation, &args),
        BackupCommand::Hold(args) => hold::hold(invocation, &args),
        BackupCommand::Unhold(args) => hold::unhold(invocation, &args),
        BackupCommand::Prune(args) => prune::run(invocation, &args),
    }
}

impl Invocation<'_> {
    pub(super) fn open(&self) -> Result<Repository, Failure> {
        Ok(Repository::open(DirectoryStore::new(self.repo()?), Zstd)?)
    }

    fn open_within(&self, memory: MemoryArgs) -> Result<Repository, Failure> {
        Ok(Repository::open_within(DirectoryStore::new(self.repo()?), Zstd, memory.memory())?)
    }
}

/// What to do about locks of others.
#[derive(clap::Args)]
struct LockArgs {
    /// Break a lock that is in the way, even if its holder may be alive
    #[arg(long)]
    force_unlock: bool,
    /// Wait so long for a lock that is in the way, such as `90s`, `5m` or `1h30m` [default: not at all]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    retry_lock: Option<Duration>,
}

impl LockArgs {
    fn patience(&self) -> Duration {
        self.retry_lock.unwrap_or_default()
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or("give numbers with units, such as 90s, 5m or 1h30m")
}

/// A time in units of a fixed length; a day has 24 hours.
fn length_of_time(text: &str) -> Result<SignedDuration, &'static str> {
    let parsed = text.parse::<jiff::Span>().ok();
    let duration = parsed.and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok());
    duration
        .filter(|duration| !duration.is_negative())
        .ok_or("give numbers with units, such as 0s, 12h or 7d")
}

/// This process, as it asks for a lock.
fn lock_request<'a>(root: &'a Path, operation: &'a str, host: &'a str, args: &LockArgs) -> LockRequest<'a> {
    LockRequest {
        root,
        operation,
        host,
        pid: std::process::id().into(),
        force: args.force_unlock,
        patience: args.patience(),
        pause: &pause,
    }
}

impl Invocation<'_> {
    /// Changes the repository under the exclusive lock, which is let go in the end.
    fn exclusively<T>(
        &self,
        operation: &str,
        args: &LockArgs,
        change: impl FnOnce(&Context<'_>, &Path, &Lock) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let root = self.repo()?;
        read_config(&DirectoryStore::new(&root))?;
        let host = platform::host_name();
        let changed = self.machine.with_context(&self.output, |context| -> Result<T, Failure> {
            let lock = lock::exclusive(context, &lock_request(&root, operation, &host, args))?;
            let changed = change(context, &root, &lock)?;
            if let Err(error) = lock.release() {
                context.observer.warn(&error.to_string());
            }
            Ok(changed)
        })?;
        changed.map_err(|error| self.machine.failure(error))
    }

    /// Whether there is a person at a terminal to ask; whoever cannot be asked has said yes by the command.
    fn asks(&self, is_sure: bool) -> bool {
        !is_sure && !self.output.args().json && io::stdin().is_terminal() && io::stderr().is_terminal()
    }
}

/// Asks a person.
fn confirms(question: &str) -> io::Result<bool> {
    let mut answer = String::new();
    write!(io::stderr(), "{question} [y/N] ")?;
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Takes a shared lock for a reader; says so when there is none for it.
fn lock_shared(
    context: &Context<'_>,
    root: &Path,
    operation: &str,
    args: &LockArgs,
) -> Result<Shared, LockError> {
    let host = platform::host_name();
    let lock = lock::shared(context, &lock_request(root, operation, &host, args))?;
    if matches!(lock, Shared::Locked(_)) {
        context.observer.explain("this run holds a shared lock: nobody removes what it reads");
    }
    if let Shared::Unlocked(reason) = &lock {
        context.observer.warn(&format!("the repository is read without a lock: {reason}"));
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("1h30m", 5400), ("0s", 0), ("2 hours", 7200)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "90", "-5m", "5 parsecs", "5m ago"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
