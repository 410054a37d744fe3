//! Verification on the command line.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use msgvault_verifier::repository::{OpenError, Repository, SelectError};
use msgvault_verifier::text::count;
use msgvault_verifier::verify::rolling::Reading;
use msgvault_verifier::verify::{
    Depth, Findings, PackTask, Plan, Report, Scope, Verdict, check_pack, check_sum, merge, merge_sums, plan,
    plan_sums,
};
use msgvault_verifier::{Observer, Phase};
use rayon::prelude::*;

use super::{Exit, JobsArgs, MemoryArgs, Output, Unreported};

/// What to verify.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// A snapshot ID, the beginning of one, or `latest` (the default)
    #[arg(value_name = "SNAPSHOT", conflicts_with = "all")]
    pub snapshot: Option<String>,
    /// Verify every snapshot
    #[arg(long)]
    pub all: bool,
    /// Check that every reference resolves, without reading content
    #[arg(long)]
    pub quick: bool,
    /// Compare every file of the repository with its sums, without looking into it
    #[arg(long, conflicts_with_all = ["snapshot", "quick"])]
    pub sums: bool,
    /// How many packs are read at the same time
    #[command(flatten)]
    pub threads: JobsArgs,
    /// How much memory an object may take
    #[command(flatten)]
    pub memory: MemoryArgs,
}

impl VerifyArgs {
    /// How deep to look.
    pub fn depth(&self) -> Depth {
        if self.quick { Depth::Quick } else { Depth::Full }
    }
}

/// Why a verification could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The repository cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The snapshot is not there.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// No threads could be started.
    #[error("cannot start {jobs} worker threads: {reason}")]
    Threads {
        /// How many were asked for.
        jobs: usize,
        /// What the system said.
        reason: String,
    },
    /// A thread panicked.
    #[error("a part of the verification failed unexpectedly, which is a defect of this program")]
    Panicked,
    /// The result cannot be printed.
    #[error(transparent)]
    Unreported(#[from] Unreported),
}

impl VerifyError {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Open(error) => Exit::of_open(error),
            Self::Select(error) => Exit::of_select(error),
            Self::Threads { .. } | Self::Panicked => Exit::Failed,
            Self::Unreported(_) => Exit::Unreported,
        }
    }
}

/// Finds the snapshots that the options mean.
pub fn resolve_scope(repository: &Repository, args: &VerifyArgs) -> Result<Scope, SelectError> {
    if args.all {
        return Ok(Scope::All);
    }
    repository.select(args.snapshot.as_deref().unwrap_or("latest")).map(Scope::One)
}

/// Runs `work` with so many threads; 0 is one a CPU. A panic is an error.
pub fn with_jobs<T: Send>(jobs: usize, work: impl FnOnce() -> T + Send) -> Result<T, VerifyError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build();
    let pool = pool.map_err(|error| VerifyError::Threads { jobs, reason: error.to_string() })?;
    catch_unwind(AssertUnwindSafe(|| pool.install(work))).map_err(|_| VerifyError::Panicked)
}

/// Verifies a scope on all threads of the current pool.
pub fn check_all(
    repository: &Repository,
    scope: &Scope,
    depth: Depth,
    observer: &(dyn Observer + Sync),
) -> Report {
    check_plan(repository, plan(repository, scope, depth, observer), &Limit::NONE, observer).0
}

/// How much content is read.
pub struct Limit<'a> {
    /// No more than of so many packs.
    pub packs: usize,
    /// No other pack is begun once this says no; one is read in any case.
    pub goes_on: &'a (dyn Fn() -> bool + Sync),
}

impl Limit<'_> {
    /// Everything is read.
    pub const NONE: Self = Self { packs: usize::MAX, goes_on: &|| true };
}

/// Checks the tasks of a plan in their order on all threads of the current pool, and says which packs it read. Where
/// the limit leaves out content, that is checked as a quick verification does.
pub fn check_plan(
    repository: &Repository,
    mut plan: Plan,
    limit: &Limit<'_>,
    observer: &(dyn Observer + Sync),
) -> (Report, Reading) {
    explain(repository, &plan, limit, observer);
    observer.begin(Phase::CHECK, plan.bytes());
    let findings = Mutex::new(Findings::new(repository.index()));
    let check = |tasks: &[PackTask], depth: Depth, goes_on: &(dyn Fn() -> bool + Sync)| {
        let due = tasks.iter().enumerate().take_while(|(number, _)| *number == 0 || goes_on());
        let outcomes = due.par_bridge().map(|(_, task)| {
            let result = check_pack(repository, task, depth, observer);
            let outcome = (task.pack, result.outcome());
            findings.lock().unwrap_or_else(PoisonError::into_inner).add(task, result);
            outcome
        });
        outcomes.collect::<Vec<_>>()
    };
    let mut outcomes = Vec::new();
    if plan.depth == Depth::Full {
        let (first, _) = plan.tasks.split_at(limit.packs.min(plan.tasks.len()));
        outcomes = check(first, Depth::Full, limit.goes_on);
    }
    let (_, rest) = plan.tasks.split_at(outcomes.len());
    check(rest, Depth::Quick, &|| true);
    if plan.depth == Depth::Full && !rest.is_empty() {
        plan.depth = Depth::Rolling;
    }
    let reading = Reading::new(&plan, repository.index(), &outcomes);
    let findings = findings.into_inner().unwrap_or_else(PoisonError::into_inner);
    (merge(repository, plan, findings, observer), reading)
}

fn explain(repository: &Repository, plan: &Plan, limit: &Limit<'_>, observer: &(dyn Observer + Sync)) {
    let read = match plan.depth {
        Depth::Full if limit.packs < plan.tasks.len() => {
            let first = count(limit.packs, "pack");
            format!("and what is needed of the first {first} is read and compared with its hash")
        }
        Depth::Full => "and every blob that is needed is read and compared with its hash".to_owned(),
        Depth::Quick | Depth::Rolling => "and only what describes snapshots is read".to_owned(),
    };
    observer.explain(&format!(
        "the index names {}; {} of {} are opened, {read}",
        count(repository.index().len(), "blob"),
        plan.tasks.len(),
        count(repository.index().packs().len(), "pack"),
    ));
}

/// Compares every file with its sums on all threads of the current pool.
pub fn check_sums(repository: &Repository, observer: &(dyn Observer + Sync)) -> Report {
    let plan = plan_sums(repository);
    let files = count(plan.tasks.len(), "file");
    observer.explain(&format!("the sums name {files}, and each is read once and compared"));
    observer.begin(Phase::CHECK, plan.bytes());
    let check = |task| check_sum(repository.store(), task, observer);
    let outcomes = plan.tasks.par_iter().map(check).collect();
    merge_sums(repository, plan, outcomes)
}

/// Prints a report and says how the program ends.
pub fn print_report(output: &Output, report: &Report) -> Result<Exit, VerifyError> {
    let text = || {
        let text = report.to_text();
        let summary = report.summary();
        let colored = output.colored(&summary, report.is_good());
        text.strip_suffix(&summary).map_or_else(|| text.clone(), |head| format!("{head}{colored}"))
    };
    let exit = match report.verdict {
        Verdict::Intact | Verdict::SumsMatch if report.is_good() => Exit::Done,
        Verdict::Damaged if report.needs_newer_program() => Exit::TooNew,
        // Of an intact one, something was not looked at for too long.
        Verdict::Intact | Verdict::SumsMatch | Verdict::Damaged | Verdict::ArchiveDamaged => Exit::Problems,
        // Neither good nor bad is known, and nobody stopped it.
        Verdict::Unchecked if report.complete => Exit::Failed,
        Verdict::Unchecked => Exit::Interrupted(2),
    };
    let printed = match exit {
        Exit::Done => output.result(report, text),
        _ => output.problems(report, text, || report.wrong()),
    };
    match printed {
        // What is wrong matters more than that the report is lost.
        Err(error) if exit != Exit::Done => {
            Ok(output.failure(exit, &format!("{} {error}", report.summary().trim_end())))
        }
        Err(error) => Err(error.into()),
        Ok(()) => Ok(exit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_worker_is_an_error() {
        assert_eq!(with_jobs(2, || 1).unwrap(), 1);
        let work = || [1, 2, 3].par_iter().for_each(|n| assert_ne!(*n, 2, "on purpose"));
        assert!(matches!(with_jobs(2, work), Err(VerifyError::Panicked)));
    }
}
