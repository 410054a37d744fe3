//! `msgvault backup verify`.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use msgvault_cli::{Exit, Limit, VerifyArgs, check_plan, check_sums, print_report, resolve_scope, with_jobs};
use msgvault_platform as platform;
use msgvault_platform::FileError;
use msgvault_platform::context::Context;
use msgvault_verifier::Observer;
use msgvault_verifier::repository::{Repository, read_config};
use msgvault_verifier::store::DirectoryStore;
use msgvault_verifier::text::parse_bytes;
use msgvault_verifier::verify::rolling::{last_verified, oldest_first, within};
use msgvault_verifier::verify::{Looked, Problem, ProblemCode, Report, Scope, Verdict, plan};

use super::{LockArgs, length_of_time};
use crate::cli::Invocation;
use crate::cli::failure::Failure;
use crate::repo::lock::Shared;
use crate::repo::verified::remember;
use crate::restore::{self, RestoreError};

#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    verify: VerifyArgs,
    /// Also write each snapshot's database to scratch space and prove it as a restore does
    #[arg(long, conflicts_with_all = ["quick", "sums"])]
    restore_check: bool,
    /// In all snapshots, first read the packs that were never read, and then those that are longest unread
    #[arg(long, conflicts_with_all = ["snapshot", "quick", "sums", "restore_check"])]
    oldest: bool,
    /// With `--oldest`, read about so many bytes, or for so long, such as `20GiB` or `30min` [default: everything]
    #[arg(long, value_name = "SIZE|DURATION", requires = "oldest", value_parser = budget)]
    budget: Option<Budget>,
    /// End with exit code 3 if a pack was not read for so long, such as `90d`, as far as the repository knows
    #[arg(long, value_name = "DURATION", value_parser = length_of_time, conflicts_with = "sums")]
    max_age: Option<SignedDuration>,
    #[command(flatten)]
    lock: LockArgs,
}

/// How much is read in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Budget {
    Bytes(u64),
    Time(Duration),
}

pub(in crate::cli) fn budget(text: &str) -> Result<Budget, &'static str> {
    let time = length_of_time(text).ok().and_then(|time| Duration::try_from(time).ok());
    match (parse_bytes(text), time) {
        (Ok(_), Some(_)) if text.ends_with('m') => Err("`m` could be megabytes or minutes: write MiB or min"),
        (Ok(bytes), _) => Ok(Budget::Bytes(bytes)),
        (Err(_), Some(time)) => Ok(Budget::Time(time)),
        (Err(_), None) => Err("give bytes or a time, such as 20GiB or 30min"),
    }
}

pub(super) fn run(invocation: &Invocation<'_>, args: &Args) -> Result<Exit, Failure> {
    let work =
        |context: &Context<'_>| with_jobs(args.verify.threads.jobs, || verify(invocation, args, context));
    let report = invocation.machine.with_context(&invocation.output, work)???;
    let exit = print_report(&invocation.output, &report)?;
    Ok(invocation.machine.interrupted().unwrap_or(exit))
}

fn verify(invocation: &Invocation<'_>, args: &Args, context: &Context<'_>) -> Result<Report, Failure> {
    let root = invocation.repo()?;
    // A folder that is not a repository gets no lock, and the index is read once nothing can be removed.
    read_config(&DirectoryStore::new(&root)).map_err(Failure::from)?;
    let lock = super::lock_shared(context, &root, "verify", &args.lock)?;
    let repository = invocation.open_within(args.verify.memory)?;
    if args.verify.sums {
        return Ok(check_sums(&repository, context.observer));
    }
    let scope = if args.oldest { Scope::All } else { resolve_scope(&repository, &args.verify)? };
    if args.restore_check {
        let ids = match &scope {
            Scope::All => repository.listing().map(|listing| listing.snapshots).unwrap_or_default(),
            Scope::One(id) => vec![id.clone()],
        };
        // Before the hours that the rest may take.
        let checked = restore::check_scratch_space(&repository, &ids, &std::env::temp_dir());
        checked.map_err(|error| no_scratch_space(&error))?;
    }
    let mut report = check(&repository, &scope, args, context, (&root, &lock));
    if args.restore_check {
        rehearse(&repository, &mut report, args.verify.threads.jobs, context)?;
    }
    Ok(report)
}

/// Checks what is asked for, and remembers what was read.
fn check(
    repository: &Repository,
    scope: &Scope,
    args: &Args,
    context: &Context<'_>,
    (root, lock): (&Path, &Shared),
) -> Report {
    let mut known = last_verified(repository.store(), (context.now)());
    let mut plan = plan(repository, scope, args.verify.depth(), context.observer);
    let began = Instant::now();
    let in_time = || !matches!(args.budget, Some(Budget::Time(time)) if began.elapsed() >= time);
    let mut limit = Limit { goes_on: &in_time, ..Limit::NONE };
    if args.oldest {
        oldest_first(&mut plan.tasks, &known);
        if let Some(Budget::Bytes(bytes)) = args.budget {
            limit.packs = within(&plan.tasks, bytes);
        }
    }
    let (mut report, reading) = check_plan(repository, plan, &limit, context.observer);
    let update = reading.update(&report, &known, (context.now)());
    update.apply(&mut known);
    if args.oldest || args.max_age.is_some() {
        report.rolling = Some(reading.tell(&update, &known, args.max_age));
    }
    if report.depth != Looked::Quick && !update.is_empty() {
        let kept = match lock {
            Shared::Locked(_) => remember(context, root, &platform::host_name(), repository, &update)
                .map_err(|error| error.to_string()),
            Shared::Unlocked(reason) => Err(reason.clone()),
        };
        if let Err(reason) = kept {
            let lost = format!(
                "the repository does not keep what was read now, so `verify --oldest` will not know of it: {reason}"
            );
            // Who did not ask for it misses nothing.
            let tell = if report.rolling.is_some() { Observer::warn } else { Observer::explain };
            tell(context.observer, &lost);
        }
    }
    report
}

fn no_scratch_space(error: &FileError) -> Failure {
    let advice = "point TMPDIR at a disk with room for the database";
    Failure::failed(format!("--restore-check: {error}{}; {advice}", error.advice()))
}

/// Restores the database of every snapshot that is intact so far, and adds what that brings to light.
fn rehearse(
    repository: &Repository,
    report: &mut Report,
    jobs: usize,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let intact = report.snapshots.iter().filter(|snapshot| snapshot.verdict == Verdict::Intact);
    let ids: Vec<_> = intact.map(|snapshot| snapshot.id.clone()).collect();
    for id in ids {
        let place = std::env::temp_dir();
        context.observer.explain(&format!("the database of {id} is rebuilt in {}", place.display()));
        let scratch = tempfile::tempdir().map_err(|error| {
            Failure::failed(format!("no scratch space can be had for --restore-check: {error}"))
        })?;
        match restore::rehearse(context, repository, &id, scratch.path(), jobs) {
            Ok(()) => {}
            Err(RestoreError::Cancelled) => {
                report.cut_short();
                break;
            }
            Err(RestoreError::Write(error)) => return Err(no_scratch_space(&error)),
            Err(error @ RestoreError::Threads(_)) => return Err(error.into()),
            Err(error) if error.is_not_checked() => {
                report.leave(&id, format!("not checked (--restore-check): {error}"));
            }
            Err(error) => {
                let code = if error.is_archive_damage() {
                    ProblemCode::ArchiveDamaged
                } else {
                    ProblemCode::RestoreFailed
                };
                report.add(Problem::of_snapshot(&id, code, error.to_string()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_bytes_or_a_time_and_never_a_guess() {
        let minutes = |minutes| Budget::Time(Duration::from_mins(minutes));
        let table = [
            ("20GiB", Budget::Bytes(20 << 30)),
            ("2G", Budget::Bytes(2 << 30)),
            ("500M", Budget::Bytes(500 << 20)),
            ("0", Budget::Bytes(0)),
            ("30min", minutes(30)),
            ("1h30m", minutes(90)),
            ("1d", minutes(1440)),
        ];
        for (text, expected) in table {
            assert_eq!(budget(text), Ok(expected), "{text}");
        }
        for text in ["", "30m", "-5min", "much", "5 parsecs", "1.5G"] {
            assert!(budget(text).is_err(), "{text}");
        }
    }
}
