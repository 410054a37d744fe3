//! The outcome of a verification: one document for people, programs and the page.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use serde::Serialize;

use crate::format::config::RepoConfig;
use crate::format::id::{BlobId, SnapshotId};
use crate::repository::{BlobError, LoadError};
use crate::snapshot::SnapshotError;
use crate::store::StoreError;
use crate::text::{count, human_bytes};

use super::fault::Fault;
use super::problem::Problem;
use super::{Depth, ProblemCode, words};

/// What is known in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything that was asked for was checked, and nothing is wrong.
    Intact,
    /// Something is wrong.
    Damaged,
    /// Nothing wrong was found, and not everything could be checked.
    Unchecked,
}

/// What a verification found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version of the verifier.
    pub version: &'static str,
    /// The repository's own name.
    pub repo_id: String,
    /// How deep it looked.
    pub depth: Depth,
    /// Whether every snapshot was asked for.
    pub all: bool,
    /// False when it was cut short.
    pub complete: bool,
    /// The verdict on everything that was asked for.
    pub verdict: Verdict,
    /// The snapshots that were asked for, oldest first.
    pub snapshots: Vec<SnapshotReport>,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// What could not be looked at; nothing is known about it.
    pub not_checked: Vec<NotChecked>,
    /// What was read.
    pub totals: Totals,
}

/// A file, or a blob in it, that nobody could look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NotChecked {
    /// The snapshot that needs it; none when the whole repository does.
    pub snapshot: Option<SnapshotId>,
    /// The manifest, the index file, or the pack that holds the blob.
    pub file: String,
    /// The blob; none when it is about the whole file.
    pub blob: Option<BlobId>,
    /// Why, in a sentence.
    pub detail: String,
}

impl NotChecked {
    /// A file that the store could not show; none when the error is about the file itself.
    pub(super) fn of_store(snapshot: Option<&SnapshotId>, error: &StoreError) -> Option<Self> {
        let StoreError::Unavailable { path, .. } = error else { return None };
        let (snapshot, detail) = (snapshot.cloned(), error.to_string());
        Some(Self { snapshot, file: path.clone(), blob: None, detail })
    }

    /// A manifest that `snapshot` needs and that could not be looked at; none when the manifest is to blame.
    pub(super) fn of_manifest(snapshot: &SnapshotId, error: &LoadError) -> Option<Self> {
        match error {
            LoadError::Store(error) => Self::of_store(Some(snapshot), error),
            LoadError::Manifest(_) => None,
        }
    }

    /// What kept a snapshot from being made whole; none when that is a problem of the repository.
    pub(super) fn of_error(snapshot: &SnapshotId, error: &SnapshotError) -> Option<Self> {
        match error {
            SnapshotError::Blob { error, .. } => Self::of_blob(snapshot, error),
            SnapshotError::Load { error, .. } => Self::of_manifest(snapshot, error),
            _ => None,
        }
    }

    /// A blob that `snapshot` needs and that could not be looked at; none when blob or pack are to blame.
    pub(super) fn of_blob(snapshot: &SnapshotId, error: &BlobError) -> Option<Self> {
        let Fault::NotChecked(detail) = Fault::of(&error.fault) else { return None };
        let (snapshot, file) = (Some(snapshot.clone()), error.pack?.path());
        Some(Self { snapshot, file, blob: Some(error.blob), detail })
    }
}

/// The verdict on one snapshot.
#[derive(Debug, Clone, Serialize)]
pub struct SnapshotReport {
    /// The snapshot.
    pub id: SnapshotId,
    /// Its verdict.
    pub verdict: Verdict,
    /// How many problems it has.
    pub problems: usize,
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Packs that were opened.
    pub packs: usize,
    /// Blobs that were checked.
    pub blobs: usize,
    /// Stored bytes that were read.
    pub bytes_read: u64,
}

impl Report {
    /// `problems` and `not_checked` are sorted.
    pub(super) fn new(
        config: &RepoConfig,
        (depth, all, snapshots): (Depth, bool, Vec<SnapshotId>),
        problems: Vec<Problem>,
        not_checked: Vec<NotChecked>,
        totals: Totals,
        complete: bool,
    ) -> Self {
        let unjudged = |id: SnapshotId| SnapshotReport { id, verdict: Verdict::Unchecked, problems: 0 };
        let mut report = Self {
            version: env!("CARGO_PKG_VERSION"),
            repo_id: config.repo_id.to_string(),
            depth,
            all,
            complete,
            verdict: Verdict::Unchecked,
            snapshots: snapshots.into_iter().map(unjudged).collect(),
            problems,
            not_checked,
            totals,
        };
        report.judge();
        report
    }

    /// Adds a problem that another check found.
    pub fn add(&mut self, problem: Problem) {
        self.problems.push(problem);
        self.problems.sort();
        self.judge();
    }

    /// Notes that not everything was checked.
    pub fn cut_short(&mut self) {
        self.complete = false;
        self.judge();
    }

    fn judge(&mut self) {
        let mut problems: HashMap<&SnapshotId, usize> = HashMap::new();
        for id in self.problems.iter().filter_map(|problem| problem.snapshot.as_ref()) {
            *problems.entry(id).or_default() += 1;
        }
        let left_out: HashSet<&SnapshotId> =
            self.not_checked.iter().filter_map(|left| left.snapshot.as_ref()).collect();
        for snapshot in &mut self.snapshots {
            snapshot.problems = problems.get(&snapshot.id).copied().unwrap_or(0);
            let looked_at = !left_out.contains(&snapshot.id);
            snapshot.verdict = verdict(snapshot.problems, self.complete && looked_at);
        }
        self.verdict = verdict(self.problems.len(), self.complete && self.not_checked.is_empty());
    }

    /// The report in words: problems of one cause in one file together. Text from the repository is escaped.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for snapshot in &self.snapshots {
            let state = match (snapshot.verdict, self.depth) {
                (Verdict::Intact, Depth::Full) => "ok".to_owned(),
                (Verdict::Intact, Depth::Quick) => "ok so far (content not read)".to_owned(),
                (Verdict::Unchecked, _) => "not checked to the end".to_owned(),
                (Verdict::Damaged, _) => format!("DAMAGED, {}", count(snapshot.problems, "problem")),
            };
            let _ = writeln!(out, "{}  {state}", snapshot.id);
        }
        words::problems(&mut out, &self.problems);
        words::not_checked(&mut out, &self.not_checked);
        let _ = write!(out, "{}", self.summary());
        out
    }

    /// The verdict in one sentence.
    pub fn summary(&self) -> String {
        let checked = format!(
            "{} in {}, {} of {} read",
            count(self.totals.blobs, "blob"),
            count(self.totals.packs, "pack"),
            human_bytes(self.totals.bytes_read),
            count(self.snapshots.len(), "snapshot"),
        );
        match (self.verdict, self.depth) {
            _ if self.has_nothing_to_check() => {
                "The repository holds no snapshot, so that nothing was checked.".to_owned()
            }
            (Verdict::Intact, Depth::Full) => format!("Intact: {checked}."),
            (Verdict::Intact, Depth::Quick) => format!(
                "No problem found by the quick check, which resolves references and does not read content: {}.",
                count(self.snapshots.len(), "snapshot")
            ),
            (Verdict::Damaged, _) => {
                let left = self.left_over().map(|left| format!(" {left}.")).unwrap_or_default();
                format!("DAMAGED: {} ({checked}).{left}", count(self.problems.len(), "problem"))
            }
            (Verdict::Unchecked, _) => {
                let left = self.left_over().map(|left| format!(" {left}.")).unwrap_or_default();
                format!("Not checked to the end: {checked}; no problem found so far.{left}")
            }
        }
    }

    /// Whether the verdict is on no snapshot at all: nothing is wrong then, which is no good news for a
    /// person.
    pub fn has_nothing_to_check(&self) -> bool {
        self.verdict == Verdict::Intact && self.snapshots.is_empty()
    }

    /// What was left out, apart from what a cancelled run did not come to.
    fn left_over(&self) -> Option<String> {
        let blobs = self.not_checked.iter().filter(|left| left.blob.is_some()).count();
        let whole = self.not_checked.iter().filter(|left| left.blob.is_none());
        let files = whole.map(|left| left.file.as_str()).collect::<HashSet<_>>().len();
        let left = [(blobs, "blob"), (files, "file")].into_iter().filter(|(left, _)| *left > 0);
        let left: Vec<String> = left.map(|(left, noun)| count(left, noun)).collect();
        (!left.is_empty()).then(|| format!("{} could not be checked here", left.join(" and ")))
    }

    /// Whether a newer program is needed, which has an exit code of its own.
    pub fn needs_newer_program(&self) -> bool {
        !self.problems.is_empty()
            && self.problems.iter().all(|problem| {
                matches!(problem.code, ProblemCode::ManifestTooNew | ProblemCode::ArtifactUnknown)
            })
    }
}

fn verdict(problems: usize, complete: bool) -> Verdict {
    match (problems, complete) {
        (0, true) => Verdict::Intact,
        (0, false) => Verdict::Unchecked,
        _ => Verdict::Damaged,
    }
}
