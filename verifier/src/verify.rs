//! Whether a repository can be trusted: plan, check, merge.
//!
//! `plan` walks the manifests and finds out which blobs must be read; `check_pack` reads those of one pack,
//! on whatever thread the caller likes; `Findings` takes what was found, in any order; `merge` walks the
//! snapshots again and turns what was found into one report. The report is the same to the byte in whatever
//! order the packs were checked.
//!
//! A checker that shares no memory with the planner takes a `PackJob` instead of a task, and both jobs and
//! results can be sent as text.

mod check;
mod fault;
mod freshness;
mod loss;
mod lost;
mod merge;
mod not_checked;
mod pages;
mod plan;
mod problem;
mod report;
pub mod rolling;
mod sums;
mod transfer;
mod words;

pub use check::{PackCheck, PackOutcome, PackResult, UnprovenBlob, check_job, check_pack};
pub use freshness::{MaxAge, Rolling};
pub use merge::{Findings, merge};
pub use not_checked::NotChecked;
pub use pages::{PageRanges, WantedPages};
pub use plan::{PackJob, PackTask, Plan, Wanted, plan};
pub use problem::{Problem, ProblemCode};
pub use report::{Looked, Report, SnapshotReport, Totals, Verdict};
pub use sums::{SumOutcome, SumTask, SumsPlan, check_sum, merge_sums, plan_sums, verify_sums};

use crate::format::id::SnapshotId;
use crate::observer::{Observer, Phase};
use crate::repository::Repository;

/// What to verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every snapshot.
    All,
    /// One snapshot.
    One(SnapshotId),
}

/// How deep to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Every reference resolves, and what describes a snapshot can be read. Content is not read.
    Quick,
    /// Every blob is read and hashed.
    Full,
    /// As quick for everything, and as full for some packs; [`rolling`] says which.
    Rolling,
}

/// Verifies a scope, one pack after another.
///
/// A caller with threads does the same with its own loop over [`Plan::tasks`].
pub fn verify(repository: &Repository, scope: &Scope, depth: Depth, observer: &dyn Observer) -> Report {
    let plan = plan(repository, scope, depth, observer);
    observer.begin(Phase::CHECK, plan.bytes());
    let mut findings = Findings::new(repository.index());
    for task in &plan.tasks {
        findings.add(task, check_pack(repository, task, depth, observer));
    }
    merge(repository, plan, findings, observer)
}
