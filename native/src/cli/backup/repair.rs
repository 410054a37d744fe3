//! `msgvault backup repair`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use msgvault_cli::{Exit, JobsArgs, check_all, with_jobs};
use msgvault_platform::context::Context;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::text::{count, escape};
use msgvault_verifier::verify::{Depth, Report, Scope};
use serde::Serialize;

use super::{LockArgs, lock_shared};
use crate::cli::Invocation;
use crate::cli::failure::Failure;
use crate::create::DEFAULT_LEVEL;
use crate::mend::{self, MendFromLiveRequest, MendReport, MendRequest};
use crate::repo::lock::Lock;
use crate::repo::rebuild_index::{RebuildReport, rebuild_indexes};
use crate::retention::condemned_packs;

#[derive(clap::Args)]
#[group(id = "how", required = true, multiple = false)]
struct HowArgs {
    /// Make lost and damaged index files anew from the footers of the packs
    #[arg(long)]
    rebuild_index: bool,
    /// Fetch what is lost or damaged from a copy of the repository, and prove it before it takes the place of anything
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Store again what is lost and the living archive still has: attachments, files, pages of the database
    #[arg(long)]
    from_live: bool,
}

#[derive(clap::Args)]
pub(in crate::cli) struct RepairArgs {
    #[command(flatten)]
    how: HowArgs,
    /// Show what would be fetched or stored, and change nothing
    #[arg(long, conflicts_with = "rebuild_index")]
    dry_run: bool,
    #[command(flatten)]
    threads: JobsArgs,
    #[command(flatten)]
    lock: LockArgs,
}

/// What a repair did, in whichever way.
#[derive(Default, Serialize)]
struct RepairReport {
    #[serde(flatten)]
    rebuilt: RebuildReport,
    #[serde(flatten)]
    mended: MendReport,
}

pub(super) fn run(invocation: &Invocation<'_>, args: &RepairArgs) -> Result<Exit, Failure> {
    match &args.how {
        HowArgs { from: Some(from), .. } => fetch(invocation, args, from),
        HowArgs { from_live: true, .. } => store_again(invocation, args),
        HowArgs { .. } => rebuild(invocation, args),
    }
}

fn rebuild(invocation: &Invocation<'_>, args: &RepairArgs) -> Result<Exit, Failure> {
    let rebuilt = invocation.exclusively("repair", &args.lock, |context, root, lock| {
        let condemned = condemned_packs(root)?;
        Ok(rebuild_indexes(context, root, &invocation.open()?, &condemned, lock)?)
    })?;
    let is_done = rebuilt.unreadable.is_empty() && rebuilt.left.is_empty();
    let report = RepairReport { rebuilt, ..RepairReport::default() };
    tell(invocation, &report, is_done, || text(&report.rebuilt), || wrong(&report.rebuilt))
}

fn fetch(invocation: &Invocation<'_>, args: &RepairArgs, from: &Path) -> Result<Exit, Failure> {
    mend(invocation, args, |context, root, lock| {
        let _shared = lock_shared(context, from, "repair", &args.lock)?;
        let check = |repository: &Repository| check_everything(repository, context);
        let request = MendRequest { root, from, check: &check };
        Ok(with_jobs(args.threads.jobs, || mend::mend(context, &request, lock))??)
    })
}

fn store_again(invocation: &Invocation<'_>, args: &RepairArgs) -> Result<Exit, Failure> {
    let home = invocation.home()?;
    let level = home.zstd_level.filter(|level| *level > 0).unwrap_or(DEFAULT_LEVEL);
    mend(invocation, args, |context, root, lock| {
        let check = |repository: &Repository| check_everything(repository, context);
        Ok(with_jobs(args.threads.jobs, || {
            let jobs = rayon::current_num_threads();
            let request = MendFromLiveRequest { root, home: &home, jobs, level, check: &check };
            mend::mend_from_live(context, &request, lock)
        })??)
    })
}

fn check_everything(repository: &Repository, context: &Context<'_>) -> Report {
    check_all(repository, &Scope::All, Depth::Full, context.observer)
}

fn mend(
    invocation: &Invocation<'_>,
    args: &RepairArgs,
    work: impl Fn(&Context<'_>, &Path, Option<&Lock>) -> Result<MendReport, Failure>,
) -> Result<Exit, Failure> {
    let mended = if args.dry_run {
        let root = invocation.repo()?;
        let rehearsed =
            invocation.machine.with_context(&invocation.output, |context| work(context, &root, None))?;
        rehearsed.map_err(|error| invocation.machine.failure(error))?
    } else {
        invocation.exclusively("repair", &args.lock, |context, root, lock| work(context, root, Some(lock)))?
    };
    let is_missing_nothing = mended.not_fetched.is_empty() && mended.not_stored.is_empty();
    let is_done = is_missing_nothing && (mended.dry_run || mended.problems_left == 0);
    let report = RepairReport { mended, ..RepairReport::default() };
    tell(invocation, &report, is_done, || mended_text(&report.mended), || unmended(&report.mended))
}

fn tell(
    invocation: &Invocation<'_>,
    report: &RepairReport,
    is_done: bool,
    text: impl FnOnce() -> String,
    wrong: impl FnOnce() -> Vec<String>,
) -> Result<Exit, Failure> {
    if is_done {
        invocation.output.result(report, text)?;
        return Ok(Exit::Done);
    }
    invocation.output.problems(report, text, wrong)?;
    Ok(Exit::Problems)
}

fn unmended(report: &MendReport) -> Vec<String> {
    let left = count(report.problems_left, "problem");
    let files = report.not_fetched.iter().map(|left| format!("{}: {}", left.file, left.detail));
    let blobs =
        report.not_stored.iter().map(|left| format!("{} ({}): {}", left.what, left.file, left.detail));
    [format!("not everything could be mended: {left} left")].into_iter().chain(files).chain(blobs).collect()
}

/// Blobs of one kind from one pack in one line.
fn counted<'r>(blobs: impl Iterator<Item = (&'r str, &'r str, &'r str)>) -> Vec<String> {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for blob in blobs {
        *counts.entry(blob).or_default() += 1;
    }
    let told = counts.into_iter().map(|((what, file, detail), times)| {
        let times = if times == 1 { String::new() } else { format!(", {times} times") };
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        format!("{}{times}, of {file}{detail}", escape(what))
    });
    told.collect()
}

fn mended_text(report: &MendReport) -> String {
    let mut out = String::new();
    let fetched = if report.dry_run { "would fetch" } else { "fetched" };
    for file in &report.fetched {
        let _ = writeln!(out, "{fetched} {}", escape(file));
    }
    for file in &report.kept {
        let _ = writeln!(out, "kept the bad one as {}", escape(file));
    }
    for left in &report.not_fetched {
        let _ = writeln!(out, "not fetched: {}: {}", escape(&left.file), escape(&left.detail));
    }
    let stored = if report.dry_run { "would store again" } else { "stored again" };
    let again = report.stored_again.iter().map(|again| (&*again.what, &*again.file, ""));
    for line in counted(again) {
        let _ = writeln!(out, "{stored}: {line}");
    }
    for line in counted(report.not_stored.iter().map(|left| (&*left.what, &*left.file, left.detail))) {
        let _ = writeln!(out, "not stored: {line}");
    }
    let has_changed = !report.fetched.is_empty() || !report.stored_again.is_empty();
    let end = match (report.problems_left, report.dry_run) {
        (0, _) if !has_changed => "Nothing is wrong, and nothing was changed.".to_owned(),
        (0, _) => "Nothing is wrong any more.".to_owned(),
        (left, true) => format!("{} found.", count(left, "problem")),
        (left, false) => {
            format!("{} left; `msgvault backup verify --all` tells them.", count(left, "problem"))
        }
    };
    out + &end
}

fn wrong(report: &RebuildReport) -> Vec<String> {
    let packs = report.unreadable.iter().map(|pack| format!("left out {}: {}", pack.file, pack.detail));
    let left = report.left.iter().map(|file| format!("left as it is, since it cannot be read: {file}"));
    let sentence = "not everything could be put into an index".to_owned();
    [sentence].into_iter().chain(packs).chain(left).collect()
}

fn text(report: &RebuildReport) -> String {
    let mut out = String::new();
    for index in &report.rebuilt {
        let (blobs, packs) = (count(index.blobs, "blob"), count(index.packs, "pack"));
        let _ = writeln!(out, "rebuilt {}: {blobs} in {packs}", index.file);
    }
    for pack in &report.unreadable {
        let _ = writeln!(out, "left out {}: {}", escape(&pack.file), escape(&pack.detail));
    }
    for file in &report.left {
        let _ = writeln!(out, "left as it is, since it cannot be read from its medium: {}", escape(file));
    }
    out += if report.rebuilt.is_empty() {
        "No index file had to be rebuilt."
    } else {
        "Now check the repository with `msgvault backup verify --all`."
    };
    out
}
