//! The outcome of a verification: one document for people, programs and the page.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write;

use serde::Serialize;

use crate::format::config::RepoConfig;
use crate::format::id::{PackId, SnapshotId};
use crate::observer::Observer;
use crate::repository::{ForeignFile, Repository};
use crate::snapshot::{ContentDigest, Snapshot};
use crate::text::{count, human_bytes};

use super::freshness::Rolling;
use super::not_checked::NotChecked;
use super::problem::Problem;
use super::{Depth, ProblemCode, words};

/// So many causes are told to who reads a mail; the whole report has all.
const MOST_CAUSES: usize = 20;

/// How deep a verification looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Looked {
    /// Every reference resolves; content was not read.
    Quick,
    /// Every blob was read and hashed.
    Full,
    /// Every reference resolves; the content of some packs was read.
    Rolling,
    /// Every file was read and compared with the sums; nothing was decoded.
    Sums,
}

impl From<Depth> for Looked {
    fn from(depth: Depth) -> Self {
        match depth {
            Depth::Quick => Self::Quick,
            Depth::Full => Self::Full,
            Depth::Rolling => Self::Rolling,
        }
    }
}

/// What is known in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that was asked for was checked, and nothing is wrong.
    Intact,
    /// Every file has the SHA-256 that the sums state; whether the content is right was not asked.
    SumsMatch,
    /// Something is wrong.
    Damaged,
    /// The repository is intact, and the archive was damaged when it was captured.
    ArchiveDamaged,
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
    pub depth: Looked,
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
    /// Files among the repository's that are not its own; at most the first thousand. They are no problem.
    pub foreign: Vec<ForeignFile>,
    /// What was read.
    pub totals: Totals,
    /// When the packs were read, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolling: Option<Rolling>,
    /// All packs in which something is wrong, also where more is wrong than is listed.
    #[serde(skip)]
    pub(super) suspects: BTreeSet<PackId>,
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
    /// What it holds in one hash, where it alone was asked for and nothing is wrong with it.
    pub content: Option<ContentDigest>,
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
        (depth, all, snapshots): (Looked, bool, Vec<SnapshotId>),
        problems: Vec<Problem>,
        not_checked: Vec<NotChecked>,
        foreign: Vec<ForeignFile>,
        totals: Totals,
        complete: bool,
    ) -> Self {
        let unjudged =
            |id: SnapshotId| SnapshotReport { id, verdict: Verdict::Unchecked, problems: 0, content: None };
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
            foreign,
            totals,
            rolling: None,
            suspects: BTreeSet::new(),
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

    /// Notes that a check of a snapshot could not be made, for a reason that is not the repository's.
    pub fn leave(&mut self, id: &SnapshotId, detail: String) {
        let left = NotChecked { snapshot: Some(id.clone()), file: id.path(), blob: None, detail };
        self.not_checked.push(left);
        self.not_checked.sort();
        self.judge();
    }

    /// Notes that not everything was checked.
    pub fn cut_short(&mut self) {
        self.complete = false;
        self.judge();
    }

    fn judge(&mut self) {
        let mut problems: HashMap<&SnapshotId, Vec<&Problem>> = HashMap::new();
        for problem in &self.problems {
            problem.snapshot.iter().for_each(|id| problems.entry(id).or_default().push(problem));
        }
        let left_out: HashSet<&SnapshotId> =
            self.not_checked.iter().filter_map(|left| left.snapshot.as_ref()).collect();
        for snapshot in &mut self.snapshots {
            let found = problems.get(&snapshot.id).map_or(&[][..], Vec::as_slice);
            snapshot.problems = found.len();
            let looked_at = !left_out.contains(&snapshot.id);
            snapshot.verdict = verdict(found.iter().copied(), self.complete && looked_at);
        }
        let all_checked = self.complete && self.not_checked.is_empty() && !self.snapshots.is_empty();
        self.verdict = verdict(self.problems.iter(), all_checked);
        if self.depth == Looked::Sums {
            self.judge_sums();
        }
    }

    /// Sums say nothing of what a file is to which snapshot, so that all snapshots are as they state, or none.
    fn judge_sums(&mut self) {
        let all_match = self.verdict == Verdict::Intact;
        if all_match {
            self.verdict = Verdict::SumsMatch;
        }
        for snapshot in self.snapshots.iter_mut().filter(|snapshot| snapshot.verdict == Verdict::Intact) {
            snapshot.verdict = if all_match { Verdict::SumsMatch } else { Verdict::Unchecked };
        }
    }

    /// Of one snapshot, says in one hash what it holds. Of many, that would take long.
    pub(super) fn state_content(&mut self, repository: &Repository, observer: &dyn Observer) {
        if let (false, [one]) = (self.all, self.snapshots.as_mut_slice())
            && one.verdict == Verdict::Intact
        {
            let snapshot = Snapshot::load(repository, &one.id, observer).ok();
            one.content = snapshot.map(|snapshot| ContentDigest::of(&snapshot, repository.index()));
        }
    }

    /// The report in words: problems of one cause in one file together. Text from the repository is escaped.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for snapshot in &self.snapshots {
            let state = match (snapshot.verdict, self.depth) {
                (Verdict::Intact, Looked::Full | Looked::Sums) => "ok".to_owned(),
                (Verdict::Intact, Looked::Quick) => "ok so far (content not read)".to_owned(),
                (Verdict::Intact, Looked::Rolling) => "ok so far (not all content read)".to_owned(),
                (Verdict::SumsMatch, _) => "as the sums state (content not looked into)".to_owned(),
                (Verdict::Unchecked, _) => "not checked to the end".to_owned(),
                (Verdict::Damaged, _) => format!("DAMAGED, {}", count(snapshot.problems, "problem")),
                (Verdict::ArchiveDamaged, _) => {
                    "intact, but the ARCHIVE WAS DAMAGED when it was made".to_owned()
                }
            };
            let _ = writeln!(out, "{}  {state}", snapshot.id);
        }
        words::problems(&mut out, &self.problems, usize::MAX);
        words::not_checked(&mut out, &self.not_checked);
        words::foreign(&mut out, &self.foreign);
        let _ = write!(out, "{}", self.summary());
        out
    }

    /// What is wrong, for who asked to hear of nothing else: the summary, and then line by line the causes, at
    /// most twenty of them, each with the files to look at.
    pub fn wrong(&self) -> Vec<String> {
        let mut particulars = String::new();
        words::problems(&mut particulars, &self.problems, MOST_CAUSES);
        words::not_checked(&mut particulars, &self.not_checked);
        [self.summary()].into_iter().chain(particulars.lines().map(str::to_owned)).collect()
    }

    /// The verdict in a sentence, and another on when packs were read, where that was asked for.
    pub fn summary(&self) -> String {
        let verdict = self.verdict_sentence();
        self.rolling.as_ref().map_or(verdict.clone(), |rolling| format!("{verdict} {}", rolling.sentences()))
    }

    fn verdict_sentence(&self) -> String {
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
            (Verdict::Intact, Looked::Full | Looked::Sums) => format!("Intact: {checked}."),
            (Verdict::SumsMatch, _) => format!(
                "Every file has the SHA-256 that the sums state: {}, {} read. The content was not looked into.",
                count(self.totals.packs, "pack"),
                human_bytes(self.totals.bytes_read),
            ),
            (Verdict::Intact, Looked::Quick) => format!(
                "No problem found by the quick check, which resolves references and does not read content: {}.",
                count(self.snapshots.len(), "snapshot")
            ),
            (Verdict::Intact, Looked::Rolling) => {
                format!("No problem found in what was read, and every reference resolves: {checked}.")
            }
            (Verdict::Damaged, _) => {
                let left = self.left_over().map(|left| format!(" {left}.")).unwrap_or_default();
                format!("DAMAGED: {} ({checked}).{left}", count(self.problems.len(), "problem"))
            }
            (Verdict::ArchiveDamaged, _) => format!(
                "The repository is intact ({checked}); a captured database does not pass SQLite's check: the archive was DAMAGED when the backup was made."
            ),
            (Verdict::Unchecked, _) => {
                let left = self.left_over().map(|left| format!(" {left}.")).unwrap_or_default();
                format!("Not checked to the end: {checked}; no problem found so far.{left}")
            }
        }
    }

    /// Whether there is no snapshot, and nothing wrong: that is not good news.
    pub fn has_nothing_to_check(&self) -> bool {
        self.verdict == Verdict::Unchecked
            && self.complete
            && self.snapshots.is_empty()
            && self.not_checked.is_empty()
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

    /// Whether all is well: nothing is wrong, and all was read as lately as was asked for.
    pub fn is_good(&self) -> bool {
        let nothing_wrong = matches!(self.verdict, Verdict::Intact | Verdict::SumsMatch);
        nothing_wrong && !self.rolling.as_ref().is_some_and(Rolling::is_overdue)
    }

    /// Whether a newer program is needed, which has an exit code of its own.
    pub fn needs_newer_program(&self) -> bool {
        !self.problems.is_empty()
            && self.problems.iter().all(|problem| {
                matches!(problem.code, ProblemCode::ManifestTooNew | ProblemCode::ArtifactUnknown)
            })
    }
}

fn verdict<'a>(mut problems: impl Iterator<Item = &'a Problem>, complete: bool) -> Verdict {
    let Some(first) = problems.next() else {
        return if complete { Verdict::Intact } else { Verdict::Unchecked };
    };
    // Not all was read: nobody can say that the repository is intact.
    let of_archive = complete && first.code == ProblemCode::ArchiveDamaged;
    if of_archive && problems.all(|problem| problem.code == ProblemCode::ArchiveDamaged) {
        Verdict::ArchiveDamaged
    } else {
        Verdict::Damaged
    }
}
