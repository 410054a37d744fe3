//! `msgvault backup restore`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use msgvault_cli::{Exit, JobsArgs, MemoryArgs};
use msgvault_freeze::record;
use msgvault_platform as platform;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::snapshot::ContentDigest;
use msgvault_verifier::text::human_bytes;

use super::LockArgs;
use crate::cli::failure::Failure;
use crate::cli::{Invocation, environment};
use crate::home::{Flags, Home};
use crate::restore::{self, RestoreReport, RestoreRequest};

#[derive(Args)]
pub(in crate::cli) struct RestoreArgs {
    /// A snapshot ID, the beginning of one, or `latest` (the default)
    #[arg(value_name = "SNAPSHOT")]
    snapshot: Option<String>,
    /// The folder that becomes an archive home
    #[arg(long, value_name = "DIR")]
    target: PathBuf,
    /// Replace files of the same names in a target that is not empty
    #[arg(long)]
    overwrite: bool,
    /// Restore only if the snapshot holds exactly this, as `inspect` and `verify` show it, under whatever name
    #[arg(long, value_name = "HEX")]
    expect_content: Option<ContentDigest>,
    /// Let SQLite check the restored database from end to end
    #[arg(long)]
    integrity_check: bool,
    #[command(flatten)]
    lock: LockArgs,
    #[command(flatten)]
    threads: JobsArgs,
    #[command(flatten)]
    memory: MemoryArgs,
}

pub(super) fn run(invocation: &Invocation<'_>, args: &RestoreArgs) -> Result<Exit, Failure> {
    let (root, snapshot) = choose(invocation, args)?;
    let host = platform::host_name();
    let live_homes = live_homes(invocation, &args.target)?;
    let request = RestoreRequest {
        lock: super::lock_request(&root, "restore", &host, &args.lock),
        snapshot: &snapshot,
        expect_content: args.expect_content,
        target: &args.target,
        overwrite: args.overwrite,
        integrity_check: args.integrity_check,
        jobs: args.threads.jobs,
        memory: args.memory.memory(),
        live_homes: &live_homes,
    };
    let restored =
        invocation.machine.with_context(&invocation.output, |context| restore::run(context, &request))?;
    let report = restored.map_err(|error| invocation.machine.failure(error))?;
    invocation.output.result(&report, || text(&report))?;
    Ok(Exit::Done)
}

/// The repository's folder and the snapshot; the restore opens the repository again, once it is locked.
fn choose(invocation: &Invocation<'_>, args: &RestoreArgs) -> Result<(PathBuf, SnapshotId), Failure> {
    let repository = invocation.open_within(args.memory)?;
    Ok((invocation.repo()?.clone(), repository.select(args.snapshot.as_deref().unwrap_or("latest"))?))
}

/// The folders of the configured home, and of the one that the target is, as far as a daemon serves them.
fn live_homes(invocation: &Invocation<'_>, target: &Path) -> Result<Vec<PathBuf>, Failure> {
    let at_target = Flags { home: Some(target.to_owned()), config: None };
    let at_target = Home::resolve(&at_target, &environment::home_environment(), &environment::cwd());
    let mut folders = Vec::new();
    // Whoever restores onto a new machine has no home, or a broken one.
    for home in [invocation.home().ok(), at_target.ok()].into_iter().flatten() {
        if home.data_dir.is_dir() && record::live(&home.data_dir).map_err(Failure::failed)?.is_some() {
            let database = home.database.parent().map(Path::to_owned);
            folders.extend([home.home, home.data_dir].into_iter().chain(database));
        }
    }
    Ok(folders)
}

fn text(report: &RestoreReport) -> String {
    let mut out = format!(
        "restored snapshot {} to {}\n  database     {}\n  attachments  {} ({}) in {} files\n  other files  {}",
        report.snapshot,
        report.target.display(),
        human_bytes(report.database_bytes),
        report.attachments,
        human_bytes(report.attachment_bytes),
        report.attachment_files,
        report.extras,
    );
    if report.integrity_checked {
        out += "\n  SQLite found the database sound from end to end";
    }
    if report.pack_tables_emptied {
        out += "\n  the database is the captured one but for its two tables of packed attachments, which are empty now: every attachment is a file of its own";
    }
    for disclosure in &report.disclosures {
        out += "\n  the database holds texts derived from documents, which came back with it:";
        for (name, count) in &disclosure.counts {
            let _ = write!(out, " {name} {count}");
        }
    }
    out
}
