//! `msgvault backup prune`.

use std::fmt::Write;
use std::path::Path;

use jiff::SignedDuration;
use msgvault_cli::Exit;
use msgvault_platform as platform;
use msgvault_platform::context::Context;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::text::{count, human_bytes, parse_bytes};

use super::{LockArgs, confirms, length_of_time};
use crate::cli::Invocation;
use crate::cli::failure::Failure;
use crate::prune::{self, MaxUnused, PruneReport, PruneRequest};
use crate::repo::lock::Lock;

/// How much may be of no use, unless somebody says otherwise.
const MAX_UNUSED: &str = "10%";
/// How long what nothing needs stays, unless somebody says otherwise.
const GRACE: &str = "7d";

#[derive(clap::Args)]
pub(in crate::cli) struct PruneArgs {
    /// How much of the packs that stay may be of no use: a part of them, or bytes
    #[arg(long, value_name = "PART|SIZE", default_value = MAX_UNUSED)]
    max_unused: MaxUnused,
    /// Write at most so many bytes of packs anew, such as `2G` [default: as many as needed]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    max_repack: Option<u64>,
    /// Remove what nothing has needed for so long, such as `12h` or `7d`
    #[arg(long, value_name = "DURATION", default_value = GRACE, value_parser = length_of_time)]
    grace: SignedDuration,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    lock: LockArgs,
}

/// A prune as it is without flags.
pub(super) fn usual<'a>(root: &'a Path, by: &'a str) -> PruneRequest<'a> {
    let max_unused = MAX_UNUSED.parse().unwrap_or(MaxUnused::Percent(10));
    PruneRequest {
        root,
        by,
        max_unused,
        max_repack: None,
        grace: length_of_time(GRACE).unwrap_or(SignedDuration::MAX),
    }
}

pub(super) fn run(invocation: &Invocation<'_>, args: &PruneArgs) -> Result<Exit, Failure> {
    let (root, by) = (invocation.repo()?, platform::host_name());
    let PruneArgs { max_unused, max_repack, grace, .. } = *args;
    let request = PruneRequest { root: &root, by: &by, max_unused, max_repack, grace };
    let prune = |context: &Context<'_>, repository: &Repository, lock: Option<&Lock>| {
        Ok::<_, Failure>(prune::prune(context, &request, repository, lock)?)
    };
    if args.dry_run || invocation.asks(args.yes) {
        let repository = invocation.open()?;
        let report = invocation
            .machine
            .with_context(&invocation.output, |context| prune(context, &repository, None))?;
        let report = report.map_err(|failure| invocation.machine.failure(failure))?;
        if args.dry_run {
            invocation.output.result(&report, || text(&report))?;
            return Ok(Exit::Done);
        }
        if !confirms(&format!("{}\nPrune?", text(&report)))? {
            return Err(Failure::failed("nothing was pruned"));
        }
    }
    let report = invocation.exclusively("prune", &args.lock, |context, _, lock| {
        prune(context, &invocation.open()?, Some(lock))
    })?;
    invocation.output.result(&report, || text(&report))?;
    Ok(Exit::Done)
}

pub(super) fn text(report: &PruneReport) -> String {
    let packs = &report.packs;
    let mut out = String::new();
    let mut line = |what: &str, number: usize, bytes: u64| {
        let _ = writeln!(out, "  {what:<10} {}, {}", count(number, "pack"), human_bytes(bytes));
    };
    let would = if report.dry_run { "would " } else { "" };
    line("stay", packs.kept + packs.written, packs.kept_bytes);
    if packs.repacked > 0 {
        line("repacked", packs.repacked, packs.repacked_bytes);
    }
    if packs.waiting > 0 {
        line("wait", packs.waiting, packs.waiting_bytes);
    }
    line("removed", packs.removed, packs.removed_bytes);
    if report.forgotten_removed > 0 {
        let forgotten = count(report.forgotten_removed, "forgotten snapshot");
        let _ = writeln!(out, "  {forgotten} can no longer be taken back");
    }
    let unused = human_bytes(packs.unused_bytes);
    let _ = write!(out, "{would}leave {unused} of no use in packs that stay");
    out
}
