//! Checks one pack after another, in a Worker of its own.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;
use std::sync::Arc;

use js_sys::futures::future_to_promise;
use js_sys::{Function, Promise};
use msgvault_verifier::format::zstd_frame::FrameHeader;
use msgvault_verifier::verify::{Depth, PackCheck, PackJob, PackOutcome};
use msgvault_verifier::{Decompressor, Observer, PackReader, Ruzstd};
use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::digests::Digests;
use crate::failure::Failure;
use crate::store::Files;

/// The largest window of a compressed blob, in bytes: what a browser gives to a page is not ours alone.
const MAX_WINDOW: u64 = 256 << 20;
/// Bytes between two reports of progress.
const PROGRESS_STEP: u64 = 4 << 20;

/// The decoder without C, with a limit to its memory.
#[derive(Clone, Copy)]
pub(crate) struct Bounded;

impl Decompressor for Bounded {
    fn decoder<'a>(
        &self,
        header: &FrameHeader,
        frame: &'a mut dyn BufRead,
    ) -> io::Result<Box<dyn Read + 'a>> {
        Ruzstd.decoder(header, frame)
    }

    fn max_window(&self) -> u64 {
        MAX_WINDOW
    }
}

/// Checks packs.
#[wasm_bindgen]
pub struct Checker {
    files: Arc<Files>,
    packs: Rc<PackReader>,
}

/// What a checker answers: the outcome for the map of packs, and the result for the session.
#[derive(Serialize)]
struct Checked {
    outcome: PackOutcome,
    result: String,
}

#[wasm_bindgen]
impl Checker {
    /// Takes the files of a repository.
    #[wasm_bindgen(constructor)]
    pub fn new(files: Files) -> Self {
        let files = Arc::new(files);
        let packs = Rc::new(PackReader::new(Arc::clone(&files), Bounded));
        Self { files, packs }
    }

    /// Does a job that a session gave out, and promises a text; `advance` is called with the bytes that were done
    /// since the last call.
    pub fn check(&self, job: String, quick: bool, advance: Function) -> Promise {
        let (files, packs) = (Arc::clone(&self.files), Rc::clone(&self.packs));
        let depth = if quick { Depth::Quick } else { Depth::Full };
        future_to_promise(async move { Ok(check(&files, &packs, &job, depth, &advance).await?.into()) })
    }
}

async fn check(
    files: &Files,
    packs: &PackReader,
    job: &str,
    depth: Depth,
    advance: &Function,
) -> Result<String, JsValue> {
    let job = PackJob::from_json(job).map_err(Failure::of)?;
    let progress = Progress { advance, pending: Cell::new(0) };
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
    let result = check.finish();
    let checked = Checked { outcome: result.outcome(), result: result.to_json().map_err(Failure::of)? };
    Ok(serde_json::to_string(&checked).map_err(Failure::of)?)
}

struct Progress<'a> {
    advance: &'a Function,
    pending: Cell<u64>,
}

impl Progress<'_> {
    fn flush(&self) {
        #[expect(clippy::cast_precision_loss, reason = "for people only")]
        let bytes = self.pending.take() as f64;
        // A page that cannot draw progress still wants the result.
        let _ = self.advance.call1(&JsValue::NULL, &JsValue::from_f64(bytes));
    }
}

impl Observer for Progress<'_> {
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
    use msgvault_verifier::verify::{
        Findings, PackResult, Report, Scope, Verdict, check_job, check_pack, merge, plan,
    };

    /// A decoder that has no memory to speak of.
    #[derive(Clone, Copy)]
    struct Tiny;

    impl Decompressor for Tiny {
        fn decoder<'a>(
            &self,
            header: &FrameHeader,
            frame: &'a mut dyn BufRead,
        ) -> io::Result<Box<dyn Read + 'a>> {
            Ruzstd.decoder(header, frame)
        }

        fn max_window(&self) -> u64 {
            16
        }
    }

    fn store(fixture: &str) -> DirectoryStore {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");
        DirectoryStore::new(format!("{root}/{fixture}/repo"))
    }

    /// Verifies with jobs and results that are sent as text, last pack first.
    fn verify_by_text(fixture: &str, decompressor: impl Decompressor + Copy + 'static) -> Report {
        let repository = Repository::open(store(fixture), decompressor).unwrap();
        let packs = PackReader::new(store(fixture), decompressor);
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
    fn a_report_is_the_same_when_jobs_and_results_are_sent() {
        for fixture in ["plain", "chain", "no-attachments", "namespaced", "unchanged"] {
            let repository = Repository::open(store(fixture), Bounded).unwrap();
            let plan = plan(&repository, &Scope::All, Depth::Full, &());
            let mut findings = Findings::new(repository.index());
            for task in &plan.tasks {
                findings.add(task, check_pack(&repository, task, Depth::Full, &()));
            }
            let direct = merge(&repository, plan, findings, &());
            let sent = verify_by_text(fixture, Bounded);
            assert_eq!(serde_json::to_value(&sent).unwrap(), serde_json::to_value(&direct).unwrap());
            assert_eq!(sent.verdict, Verdict::Intact);
        }
    }

    #[test]
    fn what_is_too_large_here_is_neither_damaged_nor_intact() {
        let report = verify_by_text("plain", Tiny);
        assert_eq!(report.verdict, Verdict::Unchecked);
        assert_eq!(report.problems, []);
        assert!(!report.not_checked.is_empty());
        assert!(report.not_checked.iter().all(|left| left.detail.contains("not checked: too large here")));
        assert!(report.summary().contains("could not be checked here"), "{}", report.summary());
        assert!(report.snapshots.iter().all(|snapshot| snapshot.verdict == Verdict::Unchecked));
    }

    #[test]
    fn a_task_that_nobody_did_leaves_its_snapshots_unchecked() {
        let repository = Repository::open(store("plain"), Bounded).unwrap();
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
    fn a_second_result_of_a_task_stands_for_no_other_task() {
        let repository = Repository::open(store("chain"), Bounded).unwrap();
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
