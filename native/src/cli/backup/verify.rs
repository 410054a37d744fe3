//! `msgvault backup verify`.

use msgvault_cli::{Exit, VerifyArgs, check_all, check_sums, print_report, resolve_scope, with_jobs};
use msgvault_platform::FileError;
use msgvault_platform::context::Context;
use msgvault_verifier::repository::{Repository, read_config};
use msgvault_verifier::store::DirectoryStore;
use msgvault_verifier::verify::{Problem, ProblemCode, Report, Scope, Verdict};

use super::LockArgs;
use crate::cli::Invocation;
use crate::cli::failure::Failure;
use crate::restore::{self, RestoreError};

#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    verify: VerifyArgs,
    /// Also write each snapshot's database to scratch space and prove it as a restore does
    #[arg(long, conflicts_with_all = ["quick", "sums"])]
    restore_check: bool,
    #[command(flatten)]
    lock: LockArgs,
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
    let _lock = super::lock_shared(context, &root, "verify", &args.lock)?;
    let repository = invocation.open_within(args.verify.memory)?;
    if args.verify.sums {
        return Ok(check_sums(&repository, context.observer));
    }
    let scope = resolve_scope(&repository, &args.verify)?;
    if args.restore_check {
        let ids = match &scope {
            Scope::All => repository.listing().map(|listing| listing.snapshots).unwrap_or_default(),
            Scope::One(id) => vec![id.clone()],
        };
        // Before the hours that the rest may take.
        let checked = restore::check_scratch_space(&repository, &ids, &std::env::temp_dir());
        checked.map_err(|error| no_scratch_space(&error))?;
    }
    let mut report = check_all(&repository, &scope, args.verify.depth(), context.observer);
    if args.restore_check {
        rehearse(&repository, &mut report, args.verify.threads.jobs, context)?;
    }
    Ok(report)
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
