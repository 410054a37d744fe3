//! `msgvault backup forget` and `unforget`.

use std::fmt::Write;
use std::path::Path;

use msgvault_cli::Exit;
use msgvault_platform as platform;
use msgvault_platform::context::Context;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::repository::{Repository, SelectError};
use msgvault_verifier::text::{count, escape};
use serde::Serialize;

use super::prune::{text as prune_text, usual as usual_prune};
use super::rules::RuleArgs;
use super::{LockArgs, confirms};
use crate::cli::Invocation;
use crate::cli::failure::Failure;
use crate::prune::{self, PruneReport};
use crate::retention::{self, ForgetReport, ForgetRequest, JudgedSnapshot, UnforgetReport, What};

#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(in crate::cli) struct ForgetArgs {
    /// Snapshots to forget, by name or the beginning of it
    #[arg(value_name = "SNAPSHOT", conflicts_with = "rules")]
    snapshots: Vec<String>,
    #[command(flatten)]
    rules: RuleArgs,
    /// Then give back the space of what no snapshot needs, as `prune` does by itself
    #[arg(long, conflicts_with = "dry_run")]
    prune: bool,
    /// Show what would be forgotten and what stays, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Forget the newest snapshot too, when it is named
    #[arg(long, requires = "snapshots")]
    force: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    lock: LockArgs,
}

#[derive(clap::Args)]
pub(in crate::cli) struct UnforgetArgs {
    /// The forgotten snapshot, by name or the beginning of it
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    #[command(flatten)]
    lock: LockArgs,
}

pub(super) fn run(invocation: &Invocation<'_>, args: &ForgetArgs) -> Result<Exit, Failure> {
    let mut rules = args.rules.rules();
    if args.snapshots.is_empty() && rules.is_empty() {
        rules = invocation.home()?.keep;
    }
    if args.snapshots.is_empty() && rules.is_empty() {
        let message = "name the snapshots to forget, or say what to keep, such as --keep-daily 7 --keep-monthly 12, here or under [backup.keep] of the configuration; without a rule nothing is forgotten";
        return Err(Failure { exit: Exit::Usage, ..Failure::failed(message) });
    }
    let by = platform::host_name();
    let forget = |context: &Context<'_>, repository: &Repository, lock: Option<&_>| {
        let root = invocation.repo()?;
        let what = if args.snapshots.is_empty() {
            What::Unkept(rules.clone())
        } else {
            What::Named { ids: named(&root, repository, &args.snapshots)?, force: args.force }
        };
        let request = ForgetRequest { root: &root, what, by: &by };
        Ok::<_, Failure>(retention::forget(context, &request, repository, lock)?)
    };
    let preview = || -> Result<ForgetReport, Failure> {
        let repository = invocation.open()?;
        invocation.machine.with_context(&invocation.output, |context| forget(context, &repository, None))?
    };
    if args.dry_run {
        let report = ForgottenAndPruned { forget: preview()?, pruned: None };
        invocation.output.result(&report, || text(&report.forget))?;
        return Ok(Exit::Done);
    }
    if invocation.asks(args.yes) {
        let report = preview()?;
        let question = format!("{}\nForget {}?", table(&report), count(report.forgotten, "snapshot"));
        if report.forgotten > 0 && !confirms(&question)? {
            return Err(Failure::failed("nothing was forgotten"));
        }
    }
    let report = invocation.exclusively("forget", &args.lock, |context, root, lock| {
        let forget = forget(context, &invocation.open()?, Some(lock))?;
        let prune = || -> Result<PruneReport, Failure> {
            Ok(prune::prune(context, &usual_prune(root, &by), &invocation.open()?, Some(lock))?)
        };
        Ok(ForgottenAndPruned { forget, pruned: args.prune.then(prune).transpose()? })
    })?;
    invocation.output.result(&report, || {
        let pruned = report.pruned.as_ref().map(|pruned| format!("\n{}", prune_text(pruned)));
        text(&report.forget) + &pruned.unwrap_or_default()
    })?;
    Ok(Exit::Done)
}

/// What was forgotten, and what a prune then did.
#[derive(Serialize)]
struct ForgottenAndPruned {
    #[serde(flatten)]
    forget: ForgetReport,
    pruned: Option<PruneReport>,
}

/// The snapshots that are meant; those that are forgotten already, as by a run that was cut short, are done with.
fn named(root: &Path, repository: &Repository, wanted: &[String]) -> Result<Vec<SnapshotId>, Failure> {
    let mut ids = Vec::new();
    for wanted in wanted {
        match repository.select(wanted) {
            Err(SelectError::Unknown { .. }) if retention::is_forgotten(root, wanted)? => {}
            selected => ids.push(selected?),
        }
    }
    Ok(ids)
}

pub(super) fn unforget(invocation: &Invocation<'_>, args: &UnforgetArgs) -> Result<Exit, Failure> {
    let report = invocation.exclusively("unforget", &args.lock, |context, root, lock| {
        Ok(retention::unforget(context, root, &args.snapshot, &platform::host_name(), lock)?)
    })?;
    invocation.output.result(&report, || {
        let UnforgetReport { restored, .. } = &report;
        let names: Vec<&str> = restored.iter().map(SnapshotId::as_str).collect();
        if names.is_empty() {
            "it is listed already".to_owned()
        } else {
            format!("listed again: {}", names.join(", "))
        }
    })?;
    Ok(Exit::Done)
}

fn text(report: &ForgetReport) -> String {
    let mut out = table(report);
    let forgotten = count(report.forgotten, "snapshot");
    let kept = report.snapshots.len().saturating_sub(report.forgotten);
    let _ = match (report.forgotten, report.dry_run) {
        (0, _) => write!(out, "\nNothing to forget; all {kept} stay."),
        (_, true) => write!(out, "\n{forgotten} would be forgotten, {kept} stay; nothing was changed."),
        (_, false) => write!(
            out,
            "\nForgot {forgotten}, {kept} stay. `msgvault backup unforget` takes one back, `msgvault backup prune` gives the space back."
        ),
    };
    out
}

/// One line a snapshot: what happens to it, and why it stays.
fn table(report: &ForgetReport) -> String {
    let mut out = String::new();
    for JudgedSnapshot { snapshot_id, tag, messages, kept, reasons } in &report.snapshots {
        let verb = if *kept { "keep  " } else { "forget" };
        let messages = messages.map_or_else(|| "-".to_owned(), |messages| messages.to_string());
        let reasons: Vec<String> = reasons.iter().map(|reason| escape(&reason.to_string())).collect();
        let _ = write!(out, "{verb}  {snapshot_id}  {messages:>9} messages");
        if !tag.is_empty() {
            let _ = write!(out, "  [{}]", escape(tag));
        }
        let _ = writeln!(out, "  {}", reasons.join(", "));
    }
    out.truncate(out.trim_end().len());
    out
}
