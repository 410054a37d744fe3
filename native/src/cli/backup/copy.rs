//! `msgvault backup copy`.

use std::fmt::Write;
use std::path::PathBuf;

use msgvault_cli::{Exit, JobsArgs, MemoryArgs};
use msgvault_platform as platform;
use msgvault_platform::context::Context;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::repository::{SelectError, read_config};
use msgvault_verifier::store::DirectoryStore;
use msgvault_verifier::text::{count, escape, human_bytes};

use super::{LockArgs, lock_request, lock_shared};
use crate::cli::Invocation;
use crate::cli::failure::Failure;
use crate::copy::{self, CopyReport, CopyRequest};
use crate::repo::lock;

#[derive(clap::Args)]
pub(in crate::cli) struct CopyArgs {
    /// The copy: a folder that is empty or does not exist yet, or a copy from before
    #[arg(long, value_name = "DIR", required_unless_present = "folder")]
    to: Option<PathBuf>,
    #[arg(value_name = "DIR", conflicts_with = "to", hide = true)]
    folder: Option<PathBuf>,
    /// Only these snapshots and those that they are built upon [default: all]
    #[arg(long, value_name = "SNAPSHOT", num_args = 1..)]
    snapshots: Vec<String>,
    /// Remove from the copy what was forgotten and pruned here, and nothing else
    #[arg(long)]
    prune: bool,
    /// Show what would be copied, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    threads: JobsArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    lock: LockArgs,
}

pub(super) fn run(invocation: &Invocation<'_>, args: &CopyArgs) -> Result<Exit, Failure> {
    let copied =
        invocation.machine.with_context(&invocation.output, |context| -> Result<CopyReport, Failure> {
            copy(invocation, args, context)
        })?;
    let report = copied.map_err(|error| invocation.machine.failure(error))?;
    if report.damaged.is_empty() && report.left_out.is_empty() {
        invocation.output.result(&report, || text(&report))?;
        return Ok(Exit::Done);
    }
    invocation.output.problems(&report, || text(&report), || wrong(&report))?;
    Ok(Exit::Problems)
}

fn copy(invocation: &Invocation<'_>, args: &CopyArgs, context: &Context<'_>) -> Result<CopyReport, Failure> {
    let root = invocation.repo()?;
    let to = args.to.as_ref().or(args.folder.as_ref()).cloned().unwrap_or_default();
    let config = read_config(&DirectoryStore::new(&root))?;
    copy::prepare(context, &root, &config, &to, args.dry_run)?;
    let (host, by) = (platform::host_name(), platform::host_name());
    let take = || lock::exclusive(context, &lock_request(&to, "copy", &host, &args.lock));
    let locked = (!args.dry_run).then(take).transpose()?;
    let _shared = lock_shared(context, &root, "copy", &args.lock)?;
    let source = invocation.open_within(args.memory)?;
    let snapshots = args.snapshots.iter().map(|wanted| source.select(wanted));
    let snapshots = snapshots.collect::<Result<Vec<SnapshotId>, SelectError>>()?;
    let request =
        CopyRequest { to: &to, snapshots: &snapshots, prune: args.prune, by: &by, jobs: args.threads.jobs };
    let report = copy::copy(context, &request, &source, locked.as_ref())?;
    if let Some(Err(error)) = locked.map(lock::Lock::release) {
        context.observer.warn(&error.to_string());
    }
    Ok(report)
}

fn wrong(report: &CopyReport) -> Vec<String> {
    let damaged = count(report.damaged.len(), "file");
    let left_out = count(report.left_out.len(), "snapshot");
    let sentence =
        format!("not everything could be copied: {damaged} of the source damaged, {left_out} left out");
    let files = report.damaged.iter().map(|file| format!("{}: {}", file.file, file.detail));
    let left_out = report.left_out.iter().map(|id| format!("left out {id}"));
    [sentence].into_iter().chain(files).chain(left_out).collect()
}

fn text(report: &CopyReport) -> String {
    let mut out = String::new();
    for file in &report.damaged {
        let _ = writeln!(out, "damaged, and not copied: {}: {}", escape(&file.file), escape(&file.detail));
    }
    for id in &report.left_out {
        let _ = writeln!(out, "left out, since it needs what is damaged: {id}");
    }
    let removed = &report.removed;
    if !removed.record.is_empty() {
        let (snapshots, packs) = (count(removed.snapshots, "snapshot"), count(removed.packs, "pack"));
        let _ = writeln!(out, "removed from the copy what was let go here: {snapshots}, {packs}");
    }
    let (snapshots, packs) = (count(report.snapshots.len(), "snapshot"), count(report.packs, "pack"));
    let would = if report.dry_run { "would copy" } else { "copied" };
    let bytes = human_bytes(report.bytes);
    let _ =
        write!(out, "{would} {snapshots}: {packs}, {bytes}; {} there already", count(report.there, "pack"));
    out
}
