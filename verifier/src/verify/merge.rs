//! What was found, told a snapshot at a time.

use crate::length::{to_u32, to_u64, to_usize};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::format::id::{BlobId, PackId, PageHash, SnapshotId};
use crate::format::manifest::{DOCUMENT_DERIVATIVES, DocumentDerivatives, Manifest};
use crate::format::page_map::Run;
use crate::format::page_size::PageSize;
use crate::format::stats::ArchiveStats;
use crate::memory::TooLargeHere;
use crate::observer::Observer;
use crate::repository::{BlobIndex, Repository};
use crate::snapshot::references::{ReferenceReader, Role};
use crate::snapshot::{Maps, SnapshotError};

use super::Depth;
use super::check::PackResult;
use super::fault::Fault;
use super::loss::Loss;
use super::lost::LostIndexes;
use super::not_checked::NotChecked;
use super::pages::KnownPages;
use super::plan::{PackTask, Plan};
use super::problem::{Problem, ProblemCode, load_code};
use super::report::{Report, Totals};

/// Joins what the checks of a plan's tasks found to a report.
pub fn merge(repository: &Repository, plan: Plan, findings: Findings, observer: &dyn Observer) -> Report {
    let mut complete = !plan.cancelled && !findings.cut_short && findings.done.len() == plan.tasks.len();
    drop(plan.tasks);
    let mut problems = plan.problems;
    let mut not_checked = plan.not_checked;
    let unseen: Vec<NotChecked> =
        not_checked.iter().filter(|left| left.snapshot.is_none()).cloned().collect();
    let mut references = ReferenceReader::default();
    let mut suspects = BTreeSet::new();
    let lost = LostIndexes::of(repository);
    for id in &plan.snapshots {
        if observer.cancelled() {
            complete = false;
            break;
        }
        let manifest = match repository.manifest(id) {
            Ok(manifest) => manifest,
            Err(error) => {
                match NotChecked::of_manifest(id, &error) {
                    Some(left) => not_checked.push(left),
                    None => problems.push(Problem::of_snapshot(id, load_code(&error), error.to_string())),
                }
                continue;
            }
        };
        let unhashed = plan.unhashed.as_ref();
        let judge =
            RefCell::new(Judge { depth: plan.depth, unhashed, ..Judge::new(id, &lost, &findings, &unseen) });
        let visit = &mut |blob: &BlobId, role: Role<'_>| judge.borrow_mut().visit(blob, role);
        references.each(repository, &manifest, observer, visit, &mut |error| judge.borrow_mut().fail(error));
        let mut judge = judge.into_inner();
        judge.manifest(repository, &manifest);
        // Files that change between the two walks must not make anything pass that nobody looked at.
        let is_told = not_checked.iter().any(|left| left.snapshot.as_ref() == Some(id));
        complete &= !judge.met_unchecked || is_told;
        not_checked.append(&mut judge.not_checked);
        let mut found = judge.finish(&mut suspects);
        if found.is_empty() {
            let doubts = plan.doubts.iter().filter(|doubt| doubt.snapshot.as_ref() == Some(id));
            found.extend(doubts.cloned());
        }
        problems.append(&mut found);
    }
    problems.sort();
    problems.dedup();
    not_checked.sort();
    not_checked.dedup();
    let asked = (plan.depth.into(), plan.all, plan.snapshots);
    let foreign = repository.foreign_files();
    let totals = findings.totals;
    let report = Report::new(repository.config(), asked, problems, not_checked, foreign, totals, complete);
    let mut report = Report { suspects, ..report };
    report.state_content(repository, observer);
    report
}

/// Everything that the checks found, by position in the index. What a good blob leaves is 8 bytes, and the
/// hashes of its pages.
#[derive(Debug)]
pub struct Findings {
    /// The length of every checked blob, `UNCHECKED` for the others.
    raw_lens: Vec<u64>,
    /// The hashes of the wanted pages in page blobs; 16 bytes a page.
    pages: HashMap<(u32, PageSize), KnownPages>,
    faults: HashMap<u32, Fault>,
    bad_packs: HashMap<PackId, Fault>,
    totals: Totals,
    /// Packs of which there is a result.
    done: HashSet<PackId>,
    /// Whether any of them was cancelled.
    cut_short: bool,
}

const UNCHECKED: u64 = u64::MAX;

/// Problems of one code that are listed for a snapshot. A lost index makes one of every blob, in every
/// snapshot.
const MAX_ALIKE: usize = 1000;

impl Findings {
    /// Nothing yet, of a repository with this index.
    pub fn new(index: &BlobIndex) -> Self {
        Self {
            raw_lens: vec![UNCHECKED; index.len()],
            pages: HashMap::new(),
            faults: HashMap::new(),
            bad_packs: HashMap::new(),
            totals: Totals::default(),
            done: HashSet::new(),
            cut_short: false,
        }
    }

    /// Takes the results of tasks, in any order; only the first of each.
    pub fn add(&mut self, task: &PackTask, result: PackResult) {
        if !self.done.insert(task.pack) {
            return;
        }
        self.cut_short |= result.cancelled;
        let was_checked = |fault: Option<&Fault>| !matches!(fault, Some(Fault::NotChecked(_)));
        self.totals.packs += usize::from(was_checked(result.pack_fault.as_ref()));
        self.totals.blobs += match &result.pack_fault {
            // A pack that is of no use was looked at for all of its blobs.
            Some(Fault::Problem(..)) => task.blobs.len(),
            _ => result.blobs.iter().filter(|blob| was_checked(blob.outcome.as_ref().err())).count(),
        };
        self.totals.bytes_read = self.totals.bytes_read.saturating_add(result.bytes_read);
        if let Some(fault) = result.pack_fault {
            self.bad_packs.insert(task.pack, fault);
        }
        for blob in result.blobs {
            match blob.outcome {
                Ok(facts) => {
                    let position = usize::try_from(blob.position).ok();
                    if let Some(slot) = position.and_then(|position| self.raw_lens.get_mut(position)) {
                        *slot = facts.raw_len;
                    }
                    for (size, hashes) in facts.pages {
                        let wanted =
                            task.pages_of(blob.position).iter().find(|wanted| wanted.page_size == size);
                        let Some(wanted) = wanted else { continue };
                        self.pages.insert((blob.position, size), KnownPages::new(&wanted.ranges, hashes));
                    }
                }
                Err(fault) => {
                    self.faults.insert(blob.position, fault);
                }
            }
        }
    }

    /// What is known of a blob.
    fn of(&self, index: &BlobIndex, blob: &BlobId) -> Finding<'_> {
        let Some(position) = index.position(blob) else { return Finding::NotIndexed };
        let Some(location) = index.at(position) else { return Finding::NotIndexed };
        let pack = location.pack;
        if let Some(fault) = self.bad_packs.get(&pack) {
            return Finding::BadPack(pack, fault);
        }
        let key = to_u32(position);
        if let Some(fault) = self.faults.get(&key) {
            return Finding::Faulty(pack, fault);
        }
        match self.raw_lens.get(position) {
            Some(&raw_len) if raw_len != UNCHECKED => Finding::Good { key, pack, raw_len },
            _ => Finding::Unchecked,
        }
    }
}

enum Finding<'f> {
    NotIndexed,
    BadPack(PackId, &'f Fault),
    Faulty(PackId, &'f Fault),
    Unchecked,
    Good { key: u32, pack: PackId, raw_len: u64 },
}

/// Collects the problems of one snapshot.
struct Judge<'f> {
    id: &'f SnapshotId,
    index: &'f BlobIndex,
    depth: Depth,
    lost: &'f LostIndexes<'f>,
    findings: &'f Findings,
    /// Page blobs of which no page was hashed, and why.
    unhashed: Option<&'f (HashSet<u32>, TooLargeHere)>,
    /// Index files that nobody could look at: any of them may name a blob that no other one does.
    unseen: &'f [NotChecked],
    problems: Vec<Problem>,
    /// All packs in which something is wrong.
    suspects: BTreeSet<PackId>,
    /// How many problems of a code were found; only the first ones are kept.
    found: BTreeMap<ProblemCode, usize>,
    not_checked: Vec<NotChecked>,
    /// Whether a blob is known to no index that could be read, while others could not.
    lacks_index: bool,
    /// Whether a blob came up that no task had.
    met_unchecked: bool,
    reported: HashSet<BlobId>,
    /// Bad packs, with what is lost with each.
    packs: BTreeMap<PackId, Loss>,
}

impl<'f> Judge<'f> {
    fn new(
        id: &'f SnapshotId,
        lost: &'f LostIndexes<'f>,
        findings: &'f Findings,
        unseen: &'f [NotChecked],
    ) -> Self {
        Self {
            id,
            index: lost.repository().index(),
            lost,
            depth: Depth::Full,
            findings,
            unhashed: None,
            unseen,
            problems: Vec::new(),
            suspects: BTreeSet::new(),
            found: BTreeMap::new(),
            not_checked: Vec::new(),
            lacks_index: false,
            met_unchecked: false,
            reported: HashSet::new(),
            packs: BTreeMap::new(),
        }
    }

    /// Says whether the blob is good, and no snapshot can take it for anything else.
    fn visit(&mut self, blob: &BlobId, role: Role<'_>) -> bool {
        match self.findings.of(self.index, blob) {
            Finding::NotIndexed => self.not_indexed(blob, &role),
            Finding::BadPack(pack, Fault::NotChecked(reason))
            | Finding::Faulty(pack, Fault::NotChecked(reason)) => self.leave(blob, pack, reason),
            Finding::Faulty(pack, Fault::Problem(code, text)) => {
                if self.reported.insert(*blob) {
                    let found = (*code, text.as_str());
                    self.report(Problem::of_found(self.id, &role.describe(), *blob, pack, found));
                }
            }
            Finding::BadPack(pack, Fault::Problem(..)) => {
                self.packs.entry(pack).or_insert_with(|| Loss::new(*blob)).add(blob, &role);
            }
            Finding::Unchecked => self.met_unchecked = true,
            Finding::Good { key, pack, raw_len } => return self.fit(blob, pack, key, raw_len, role),
        }
        false
    }

    fn report(&mut self, problem: Problem) {
        self.suspects.extend(problem.pack);
        let found = self.found.entry(problem.code).or_default();
        *found += 1;
        if *found <= MAX_ALIKE {
            self.problems.push(problem);
        }
    }

    fn not_indexed(&mut self, blob: &BlobId, role: &Role<'_>) {
        if !self.reported.insert(*blob) {
            return;
        }
        if self.unseen.is_empty() {
            self.report(self.lost.problem(self.id, &role.describe(), *blob));
        } else if !self.lacks_index {
            self.lacks_index = true;
            let here = |left: &NotChecked| NotChecked { snapshot: Some(self.id.clone()), ..left.clone() };
            self.not_checked.extend(self.unseen.iter().map(here));
        }
    }

    /// Notes a blob about which nothing is known, for a reason that is not the repository's.
    fn leave(&mut self, blob: &BlobId, pack: PackId, reason: &str) {
        if self.reported.insert(*blob) {
            let (snapshot, detail) = (Some(self.id.clone()), reason.to_owned());
            self.not_checked.push(NotChecked { snapshot, file: pack.path(), blob: Some(*blob), detail });
        }
    }

    /// Checks that an intact blob is what the snapshot takes it for.
    fn fit(&mut self, blob: &BlobId, pack: PackId, key: u32, raw_len: u64, role: Role<'_>) -> bool {
        let (code, expected) = match role {
            Role::Object(_) => return true,
            Role::Pages(maps, runs) => {
                // Asked again for every snapshot, whose pages can be others.
                self.fit_runs(blob, pack, key, raw_len, maps, runs);
                return false;
            }
            Role::Attachment(size) => (ProblemCode::AttachmentSizeMismatch, size),
            Role::Extra(_, size) => (ProblemCode::ExtraSizeMismatch, size),
            Role::Artifact(_, size) => (ProblemCode::ArtifactMismatch, size),
        };
        if raw_len != expected {
            let detail = format!("{} has {raw_len} bytes, {expected} are stated", role.describe());
            self.mismatch(code, blob, pack, detail);
        }
        raw_len == expected
    }

    fn fit_runs(&mut self, blob: &BlobId, pack: PackId, key: u32, raw_len: u64, maps: &Maps, runs: &[Run]) {
        let findings = self.findings;
        let size = maps.pages.page_size;
        let known = findings.pages.get(&(key, size));
        if let Some((unhashed, error)) = self.unhashed
            && known.is_none()
            && unhashed.contains(&key)
        {
            self.leave(blob, pack, &format!("not checked: the hashes of all pages together are {error}"));
        }
        for run in runs {
            if run.blob_end(size).is_none_or(|end| end > raw_len) {
                let detail = format!(
                    "the run at page {} reaches past the {raw_len} bytes of the blob",
                    run.start_page
                );
                self.mismatch(ProblemCode::RunOutsideBlob, blob, pack, detail);
                continue;
            }
            match known.and_then(|known| known.of(run, size)) {
                Some(actual) => self.fit_pages(blob, pack, maps, run, actual),
                // Quick looks at no content.
                None => self.met_unchecked |= self.depth == Depth::Full && !self.reported.contains(blob),
            }
        }
    }

    fn fit_pages(&mut self, blob: &BlobId, pack: PackId, maps: &Maps, run: &Run, actual: &[PageHash]) {
        let expected =
            maps.hashes.hashes.iter().skip(to_usize(run.start_page)).take(to_usize(run.page_count));
        if let Some(page) = actual.iter().zip(expected).position(|(actual, expected)| actual != expected) {
            let page = run.start_page.saturating_add(to_u64(page));
            let detail =
                format!("page {page} of the database has another hash than the page-hash map states");
            self.mismatch(ProblemCode::PageMismatch, blob, pack, detail);
        }
    }

    fn mismatch(&mut self, code: ProblemCode, blob: &BlobId, pack: PackId, detail: String) {
        self.report(Problem {
            blob: Some(*blob),
            pack: Some(pack),
            ..Problem::of_snapshot(self.id, code, detail)
        });
    }

    /// Reports what kept references from being known, unless the blob that is to blame was reported.
    fn fail(&mut self, error: &SnapshotError) {
        if error.is_stopped() {
            self.met_unchecked = true;
            return;
        }
        if let SnapshotError::Blob { error, .. } = error
            && !matches!(self.findings.of(self.index, &error.blob), Finding::Good { .. } | Finding::Unchecked)
        {
            return;
        }
        match NotChecked::of_error(self.id, error) {
            Some(left) => self.not_checked.push(left),
            None => self.report(Problem::of_error(self.id, error)),
        }
    }

    /// Checks what the manifest says about itself, and the one artifact whose shape is known.
    fn manifest(&mut self, repository: &Repository, manifest: &Manifest) {
        let stats = ArchiveStats::from_json(manifest.stats.get());
        if let Some(stats) = stats.filter(|stats| stats.attachment_blobs != manifest.attachments.blobs) {
            let detail = format!(
                "stats count {} attachment blobs, the lists {}",
                stats.attachment_blobs, manifest.attachments.blobs
            );
            self.report(Problem::of_snapshot(self.id, ProblemCode::StatsMismatch, detail));
        }
        for item in manifest.auxiliary() {
            if item.name != DOCUMENT_DERIVATIVES {
                let detail = format!("the auxiliary artifact {:?} is not known to this program", item.name);
                self.report(Problem::of_snapshot(self.id, ProblemCode::ArtifactUnknown, detail));
                continue;
            }
            let Finding::Good { pack, .. } = self.findings.of(self.index, &item.blob) else { continue };
            match repository.blob(&item.blob, item.bytes) {
                Ok(json) if DocumentDerivatives::parse(&json).is_some() => {}
                Ok(_) => {
                    let detail =
                        "the document disclosure is not an object of counts with schema_version 1 or 2";
                    self.mismatch(ProblemCode::ArtifactMismatch, &item.blob, pack, detail.to_owned());
                }
                Err(error) => match NotChecked::of_blob(self.id, &error) {
                    Some(left) => self.not_checked.push(left),
                    None => self.report(Problem::of_blob(self.id, "the document disclosure", &error)),
                },
            }
        }
    }

    fn finish(mut self, suspects: &mut BTreeSet<PackId>) -> Vec<Problem> {
        for (pack, loss) in std::mem::take(&mut self.packs) {
            let Some(Fault::Problem(code, text)) = self.findings.bad_packs.get(&pack) else { continue };
            self.report(Problem::of_found(self.id, &loss.describe(), loss.first, pack, (*code, text)));
        }
        for (code, count) in std::mem::take(&mut self.found) {
            if let Some(more) = count.checked_sub(MAX_ALIKE).filter(|more| *more > 0) {
                let detail = format!("and {more} more of this kind, which are not listed");
                self.problems.push(Problem { file: None, ..Problem::of_snapshot(self.id, code, detail) });
            }
        }
        suspects.append(&mut self.suspects);
        self.problems
    }
}
