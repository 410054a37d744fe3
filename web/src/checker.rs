//! Checks one pack after another, in a Worker of its own.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use js_sys::futures::future_to_promise;
use js_sys::{Function, Promise};
use msgvault_verifier::verify::{Depth, PackCheck, PackJob, PackOutcome, PackResult};
use msgvault_verifier::{Memory, Observer, PackReader, Ruzstd};
use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::digests::Digests;
use crate::failure::CallFailure;
use crate::store::ChosenFiles;

/// What a page may take: a browser's memory is not the page's alone.
pub(crate) fn for_a_page() -> Memory {
    Memory::new(256 << 20, "use msgvault-verify")
}

/// Bytes between two reports of progress.
const PROGRESS_STEP: u64 = 4 << 20;

/// Checks the packs of one repository.
#[wasm_bindgen]
pub struct PackChecker {
    files: Arc<ChosenFiles>,
    packs: Rc<PackReader>,
}

/// What a checker answers: the outcome for the map of packs, and the result for the session.
#[derive(Serialize)]
struct CheckedPack {
    outcome: PackOutcome,
    result: String,
}

#[wasm_bindgen]
impl PackChecker {
    /// Takes the files of a repository.
    #[wasm_bindgen(constructor)]
    pub fn new(files: ChosenFiles) -> Self {
        let files = Arc::new(files);
        let packs = Rc::new(PackReader::new(Arc::clone(&files), Ruzstd).within(for_a_page()));
        Self { files, packs }
    }

    /// Does a job that a session gave out, and promises the answer as text. `advance` is called with the
    /// number of bytes checked since the last call.
    pub fn check(&self, job: String, quick: bool, advance: Function) -> Promise {
        let (files, packs) = (Arc::clone(&self.files), Rc::clone(&self.packs));
        let depth = if quick { Depth::Quick } else { Depth::Full };
        future_to_promise(async move { Ok(check(&files, &packs, &job, depth, &advance).await?.into()) })
    }
}

async fn check(
    files: &ChosenFiles,
    packs: &PackReader,
    job: &str,
    depth: Depth,
    advance: &Function,
) -> Result<String, JsValue> {
    let job = PackJob::from_json(job).map_err(CallFailure::of)?;
    let progress = ProgressReporter { advance, pending: Cell::new(0) };
    let mut check = PackCheck::begin(packs, &job, depth, &progress);
    let mut digests = Digests::new();
    while let Some(wanted) = check.upcoming() {
        if depth == Depth::Full {
            files.fetch(&job.pack.path(), wanted).await;
        }
        digests.next(&mut check).await?;
    }
    digests.settle(&mut check).await?;
    progress.flush();
    let mut result = check.finish();
    if result.outcome() == PackOutcome::Bad
        && let Err(changed) = files.still_chosen(&job.pack.path())
    {
        result = PackResult::not_checked(changed.to_string());
    }
    let checked =
        CheckedPack { outcome: result.outcome(), result: result.to_json().map_err(CallFailure::of)? };
    Ok(serde_json::to_string(&checked).map_err(CallFailure::of)?)
}

struct ProgressReporter<'a> {
    advance: &'a Function,
    pending: Cell<u64>,
}

impl ProgressReporter<'_> {
    fn flush(&self) {
        #[expect(clippy::cast_precision_loss, reason = "only shown to people")]
        let bytes = self.pending.take() as f64;
        // A page that cannot draw progress still wants the result.
        let _ = self.advance.call1(&JsValue::NULL, &JsValue::from_f64(bytes));
    }
}

impl Observer for ProgressReporter<'_> {
    fn advance(&self, bytes: u64) {
        self.pending.set(self.pending.get().saturating_add(bytes));
        if self.pending.get() >= PROGRESS_STEP {
            self.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use msgvault_verifier::repository::Repository;
    use msgvault_verifier::store::DirectoryStore;
    use msgvault_verifier::verify::{Findings, Report, Scope, Verdict, check_job, check_pack, merge, plan};

    fn store(fixture: &str) -> DirectoryStore {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");
        DirectoryStore::new(format!("{root}/{fixture}/repo"))
    }

    /// Verifies with jobs and results that are sent as text, last pack first.
    fn verify_by_text(fixture: &str, memory: impl Fn() -> Memory) -> Report {
        let repository = Repository::open_within(store(fixture), Ruzstd, memory()).unwrap();
        let packs = PackReader::new(store(fixture), Ruzstd).within(memory());
        let plan = plan(&repository, &Scope::All, Depth::Full, &());
        let check = |task: &msgvault_verifier::verify::PackTask| {
            let sent = task.job(repository.index()).to_json().unwrap();
            let job = PackJob::from_json(&sent).unwrap();
            let result = check_job(&packs, &job, Depth::Full, &());
            PackResult::from_json(&result.to_json().unwrap()).unwrap()
        };
        let mut findings = Findings::new(repository.index());
        plan.tasks.iter().rev().for_each(|task| findings.add(task, check(task)));
        merge(&repository, plan, findings, &())
    }

    #[test]
    fn jobs_and_results_sent_as_text_give_the_same_report() {
        for fixture in ["plain", "chain", "no-attachments", "namespaced", "unchanged"] {
            let repository = Repository::open_within(store(fixture), Ruzstd, for_a_page()).unwrap();
            let plan = plan(&repository, &Scope::All, Depth::Full, &());
            let mut findings = Findings::new(repository.index());
            for task in &plan.tasks {
                findings.add(task, check_pack(&repository, task, Depth::Full, &()));
            }
            let direct = merge(&repository, plan, findings, &());
            let sent = verify_by_text(fixture, for_a_page);
            assert_eq!(serde_json::to_value(&sent).unwrap(), serde_json::to_value(&direct).unwrap());
            assert_eq!(sent.verdict, Verdict::Intact);
        }
    }

    #[test]
    fn a_blob_too_large_here_is_neither_damaged_nor_intact() {
        let report = verify_by_text("plain", || Memory::new(16, "use msgvault-verify"));
        assert_eq!(report.verdict, Verdict::Unchecked);
        assert_eq!(report.problems, []);
        assert!(!report.not_checked.is_empty());
        assert!(report.not_checked.iter().all(|left| left.detail.contains("not checked: too large here")));
        assert!(report.summary().contains("could not be checked here"), "{}", report.summary());
        assert!(report.snapshots.iter().all(|snapshot| snapshot.verdict == Verdict::Unchecked));
    }

    #[test]
    fn a_task_left_undone_leaves_its_snapshots_unchecked() {
        let repository = Repository::open_within(store("plain"), Ruzstd, for_a_page()).unwrap();
        let plan = plan(&repository, &Scope::All, Depth::Full, &());
        let mut findings = Findings::new(repository.index());
        for task in &plan.tasks {
            let result = PackResult::not_checked("the Worker died");
            assert_eq!(result.outcome(), PackOutcome::NotChecked);
            findings.add(task, result);
        }
        let report = merge(&repository, plan, findings, &());
        assert_eq!((report.verdict, report.complete), (Verdict::Unchecked, true));
        assert_eq!(report.problems, []);
    }

    #[test]
    fn a_second_result_for_a_task_does_not_count_for_another() {
        let repository = Repository::open_within(store("chain"), Ruzstd, for_a_page()).unwrap();
        let plan = plan(&repository, &Scope::All, Depth::Full, &());
        assert!(plan.tasks.len() > 1);
        let mut findings = Findings::new(repository.index());
        for _ in &plan.tasks {
            findings.add(&plan.tasks[0], check_pack(&repository, &plan.tasks[0], Depth::Full, &()));
        }
        let report = merge(&repository, plan, findings, &());
        assert_eq!((report.verdict, report.complete), (Verdict::Unchecked, false));
    }
}
