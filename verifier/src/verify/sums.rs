//! Whether every file of a repository has the bytes that its sums state: nothing is decoded for it, so that it works
//! without any key.

use std::collections::BTreeMap;

use crate::format::id::{PackId, SnapshotId};
use crate::format::sums::{FOLDER, FileSum};
use crate::observer::{Observer, Phase};
use crate::pack::ReadError;
use crate::repository::Repository;
use crate::store::{Store, StoreError};
use crate::sums::{RecordedSums, sum_file};

use super::not_checked::NotChecked;
use super::problem::{Problem, ProblemCode};
use super::report::{Looked, Report, Totals};

/// What tells its reader to make up for sums that are not there.
const ADVICE: &str = "`msgvault backup sums` states what is not stated yet, as it is now";

/// What else can be meant by a manifest that is not there.
const NEVER_HAVE_BEEN: &str = ": it is lost, or its backup was interrupted at the very end; then the next `msgvault backup create` clears this up";

/// The files to read, and what is known before.
#[derive(Debug)]
pub struct SumsPlan {
    /// Files with a stated sum, by path.
    pub tasks: Vec<SumTask>,
    bytes: u64,
    problems: Vec<Problem>,
    not_checked: Vec<NotChecked>,
}

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SumTask {
    /// Its path.
    pub file: String,
    /// The sum that is stated.
    pub stated: FileSum,
    /// Whether it is a manifest that may never have been written: only its own sums know the snapshot.
    pub may_never_have_been: bool,
}

/// What was found in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SumOutcome {
    file: String,
    /// Bytes that were read; none when it was not read to its end.
    bytes_read: Option<u64>,
    problem: Option<Problem>,
    not_checked: Option<NotChecked>,
}

impl SumsPlan {
    /// Bytes of packs and indexes, which are almost all that there is to read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Compares all files with the sums, one after another.
pub fn verify_sums(repository: &Repository, observer: &dyn Observer) -> Report {
    let plan = plan_sums(repository);
    observer.begin(Phase::CHECK, plan.bytes());
    let check = |task: &SumTask| check_sum(repository.store(), task, observer);
    let outcomes = plan.tasks.iter().map(check).collect();
    merge_sums(repository, plan, outcomes)
}

/// Finds out what the sums name, and what should be named and is not.
pub fn plan_sums(repository: &Repository) -> SumsPlan {
    let mut plan = SumsPlan { tasks: Vec::new(), bytes: 0, problems: Vec::new(), not_checked: Vec::new() };
    let recorded = match RecordedSums::read(repository.store()) {
        Ok(recorded) => recorded,
        Err(error) => {
            plan.fail(ProblemCode::SumsUnreadable, FOLDER, &error);
            return plan;
        }
    };
    if recorded.is_empty() && recorded.unreadable.is_empty() {
        plan.leave(None, FOLDER, format!("the repository has no sums; {ADVICE}"));
        return plan;
    }
    for (file, error) in &recorded.unreadable {
        match error {
            ReadError::Store(error) => plan.fail(ProblemCode::SumsUnreadable, file, error),
            error => {
                plan.problems.push(Problem::of_file(ProblemCode::SumsUnreadable, file, error.to_string()));
            }
        }
    }
    for (file, of) in &recorded.contradictions {
        let detail = format!("it states another SHA-256 of {of} than other sums do");
        plan.problems.push(Problem::of_file(ProblemCode::SumsUnreadable, file, detail));
    }
    match files_of(repository) {
        Ok((files, bytes)) => {
            plan.bytes = bytes;
            for (file, snapshot) in files {
                if !recorded.files.contains_key(&file) {
                    plan.leave(snapshot, &file, format!("no sums name it; {ADVICE}"));
                }
            }
        }
        Err(error) => plan.fail(ProblemCode::SumsFileUnreadable, "the repository", &error),
    }
    let without_manifest = recorded.without_manifest(repository.store());
    let task = |(file, stated): (String, FileSum)| {
        let may_never_have_been = SnapshotId::of_path(&file).is_some_and(|id| without_manifest.contains(&id));
        SumTask { file, stated, may_never_have_been }
    };
    plan.tasks = recorded.files.into_iter().map(task).collect();
    plan
}

/// Every file that sums should name, and the bytes of packs and indexes.
type Files = (BTreeMap<String, Option<SnapshotId>>, u64);

fn files_of(repository: &Repository) -> Result<Files, StoreError> {
    let mut files = BTreeMap::new();
    let mut bytes = 0u64;
    for (index, len) in repository.index_files()? {
        bytes = bytes.saturating_add(len);
        files.insert(index.path(), None);
    }
    // What no index names is nobody's yet: a run that was interrupted left it.
    files.extend(repository.index().packs().iter().map(|pack| (pack.path(), None)));
    for (_, len) in repository.pack_files()? {
        bytes = bytes.saturating_add(len);
    }
    files.extend(repository.listing()?.snapshots.into_iter().map(|id| (id.path(), Some(id))));
    Ok((files, bytes))
}

/// Reads one file, and compares it with its sum.
pub fn check_sum(store: &dyn Store, task: &SumTask, observer: &dyn Observer) -> SumOutcome {
    let SumTask { file, stated, may_never_have_been } = task;
    let mut outcome = SumOutcome { file: file.clone(), bytes_read: None, problem: None, not_checked: None };
    let problem = |code, detail: String| Problem {
        snapshot: SnapshotId::of_path(file),
        pack: PackId::of_path(file),
        ..Problem::of_file(code, file, detail)
    };
    match sum_file(store, file, observer) {
        Ok(None) => {}
        Ok(Some((found, len))) => {
            outcome.bytes_read = Some(len);
            if found != *stated {
                let what = format!("its SHA-256 is {found}, and the sums state {stated}");
                outcome.problem = Some(problem(ProblemCode::SumsMismatch, what));
            }
        }
        Err(error) => {
            outcome.not_checked = NotChecked::of_store(SnapshotId::of_path(file).as_ref(), &error);
            if outcome.not_checked.is_none() {
                let code = match error {
                    StoreError::Missing { .. } => ProblemCode::SumsFileMissing,
                    _ => ProblemCode::SumsFileUnreadable,
                };
                let more = if *may_never_have_been { NEVER_HAVE_BEEN } else { "" };
                outcome.problem = Some(problem(code, format!("{error}{more}")));
            }
        }
    }
    outcome
}

/// One report of everything that was found, in whatever order.
pub fn merge_sums(repository: &Repository, plan: SumsPlan, outcomes: Vec<SumOutcome>) -> Report {
    let SumsPlan { tasks, mut problems, mut not_checked, .. } = plan;
    let mut totals = Totals::default();
    let mut settled = 0usize;
    for outcome in outcomes {
        let is_pack = PackId::of_path(&outcome.file).is_some();
        let was_looked_at = outcome.bytes_read.is_some() || outcome.problem.is_some();
        settled = settled.saturating_add(usize::from(was_looked_at || outcome.not_checked.is_some()));
        totals.packs = totals.packs.saturating_add(usize::from(is_pack && outcome.bytes_read.is_some()));
        totals.bytes_read = totals.bytes_read.saturating_add(outcome.bytes_read.unwrap_or(0));
        problems.extend(outcome.problem);
        not_checked.extend(outcome.not_checked);
    }
    problems.sort();
    not_checked.sort();
    let complete = settled >= tasks.len();
    let snapshots = repository.listing().map(|listing| listing.snapshots).unwrap_or_default();
    let what = (Looked::Sums, true, snapshots);
    let foreign = repository.foreign_files();
    Report::new(repository.config(), what, problems, not_checked, foreign, totals, complete)
}

impl SumsPlan {
    fn fail(&mut self, code: ProblemCode, file: &str, error: &StoreError) {
        match NotChecked::of_store(None, error) {
            Some(left) => self.not_checked.push(left),
            None => self.problems.push(Problem::of_file(code, file, error.to_string())),
        }
    }

    fn leave(&mut self, snapshot: Option<SnapshotId>, file: &str, detail: String) {
        self.not_checked.push(NotChecked { snapshot, file: file.to_owned(), blob: None, detail });
    }
}
