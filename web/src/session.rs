//! An opened repository, on the page's behalf.

use js_sys::Uint8Array;
use msgvault_verifier::Ruzstd;
use msgvault_verifier::format::attachment_list::Attachment;
use msgvault_verifier::format::id::{BlobId, SnapshotId};
use msgvault_verifier::inspect::{self, RepositoryOverview};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::{load_attachments, load_manifest};
use msgvault_verifier::verify::{Depth, Findings, PackResult, Plan, Report, Scope, merge, plan};
use serde::Serialize;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

use crate::changes::changes;
use crate::checker::for_a_page;
use crate::database::{DatabaseReader, MAX_BLOB};
use crate::failure::CallFailure;
use crate::packs::{PackRow, packs};
use crate::store::ChosenFiles;

/// What the page can ask of an opened repository. Answers are JSON, unless they are bytes.
#[wasm_bindgen]
pub struct PageSession {
    repository: Repository,
    verification: Option<VerificationRun>,
    database: Option<DatabaseReader>,
    /// The attachments of the snapshot that was looked into last, largest first.
    attachments: Option<(SnapshotId, Vec<Attachment>)>,
}

/// A verification, from plan to report.
struct VerificationRun {
    plan: Plan,
    findings: Findings,
}

#[derive(Serialize)]
struct RepositoryView {
    overview: RepositoryOverview,
    packs: Vec<PackRow>,
}

/// What the page needs to know of a task.
#[derive(Serialize)]
struct TaskRow {
    file: String,
    blobs: usize,
    bytes: u64,
}

#[derive(Serialize)]
struct VerificationOutcome<'a> {
    report: &'a Report,
    summary: String,
    text: String,
}

#[derive(Serialize)]
struct AttachmentPage {
    total: usize,
    items: Vec<AttachmentRow>,
}

#[derive(Serialize)]
struct AttachmentRow {
    sha256: BlobId,
    size: u64,
}

#[wasm_bindgen]
impl PageSession {
    /// Opens the repository in these files. Fails with a `CallFailure`.
    pub fn open(files: ChosenFiles) -> Result<PageSession, JsValue> {
        let repository = Repository::open_within(files, Ruzstd, for_a_page()).map_err(CallFailure::from)?;
        Ok(Self { repository, verification: None, database: None, attachments: None })
    }

    /// The overview, and the packs.
    pub fn overview(&self) -> Result<String, JsValue> {
        let overview = inspect::overview(&self.repository).map_err(CallFailure::of)?;
        json(&RepositoryView { overview, packs: packs(&self.repository) })
    }

    /// Plans a verification of one snapshot, or of all when none is named, and lists the tasks.
    pub fn plan(&mut self, snapshot: Option<String>, quick: bool) -> Result<String, JsValue> {
        let scope = match snapshot {
            Some(id) => Scope::One(parse(&id)?),
            None => Scope::All,
        };
        let depth = if quick { Depth::Quick } else { Depth::Full };
        let plan = plan(&self.repository, &scope, depth, &());
        let row = |task: &msgvault_verifier::verify::PackTask| TaskRow {
            file: task.pack.path(),
            blobs: task.blobs.len(),
            bytes: task.bytes,
        };
        let rows: Vec<TaskRow> = plan.tasks.iter().map(row).collect();
        let findings = Findings::new(self.repository.index());
        self.verification = Some(VerificationRun { plan, findings });
        json(&rows)
    }

    /// A task as a job for a checker.
    pub fn job(&self, task: usize) -> Result<String, JsValue> {
        let task = self.verification.as_ref().and_then(|run| run.plan.tasks.get(task));
        let task = task.ok_or_else(|| CallFailure::of("there is no such task"))?;
        Ok(task.job(self.repository.index()).to_json().map_err(CallFailure::of)?)
    }

    /// Takes the result of a task.
    pub fn accept(&mut self, task: usize, result: &str) -> Result<(), JsValue> {
        let result = PackResult::from_json(result).map_err(CallFailure::of)?;
        self.store_result(task, result)
    }

    /// Notes that a task could not be done, because the Worker that did it failed for `reason`.
    #[wasm_bindgen(js_name = giveUp)]
    pub fn give_up(&mut self, task: usize, reason: &str) -> Result<(), JsValue> {
        self.store_result(
            task,
            PackResult::not_checked(format!("not checked: {reason}; use msgvault-verify")),
        )
    }

    /// Ends the verification. Tasks without a result count as not checked.
    pub fn report(&mut self) -> Result<String, JsValue> {
        let run = self.verification.take().ok_or_else(|| CallFailure::of("no verification was begun"))?;
        let report = merge(&self.repository, run.plan, run.findings, &());
        json(&VerificationOutcome { summary: report.summary(), text: report.to_text(), report: &report })
    }

    /// Everything about a snapshot but its attachments.
    pub fn details(&self, snapshot: &str) -> Result<String, JsValue> {
        let mut details = inspect::details(&self.repository, &parse(snapshot)?).map_err(CallFailure::of)?;
        details.attachment_list = Vec::new();
        json(&details)
    }

    /// What a snapshot changed since its parent; `null` when it has none.
    pub fn changes(&self, snapshot: &str) -> Result<String, JsValue> {
        json(&changes(&self.repository, &parse(snapshot)?).map_err(CallFailure::of)?)
    }

    /// Attachments whose hash begins with `prefix`, largest first: `count` of them from `first` on.
    pub fn attachments(
        &mut self,
        snapshot: &str,
        prefix: &str,
        first: usize,
        count: usize,
    ) -> Result<String, JsValue> {
        let prefix = prefix.trim().to_ascii_lowercase();
        let found = |attachment: &&Attachment| attachment.id.to_string().starts_with(&prefix);
        let all = self.sorted_attachments(&parse(snapshot)?)?;
        let row = |attachment: &Attachment| AttachmentRow { sha256: attachment.id, size: attachment.size };
        let total = if prefix.is_empty() { all.len() } else { all.iter().filter(found).count() };
        let items = all.iter().filter(|one| prefix.is_empty() || found(one)).skip(first).take(count);
        json(&AttachmentPage { total, items: items.map(row).collect() })
    }

    /// The checked bytes of a blob.
    pub fn blob(&self, sha256: &str) -> Result<Uint8Array, JsValue> {
        let id: BlobId = sha256.parse().map_err(CallFailure::of)?;
        let bytes = self.repository.blob(&id, MAX_BLOB).map_err(CallFailure::of)?;
        Ok(Uint8Array::from(bytes.as_slice()))
    }

    /// Begins to read a snapshot's database, and returns its size in bytes.
    #[wasm_bindgen(js_name = beginDatabase)]
    pub fn begin_database(&mut self, snapshot: &str) -> Result<f64, JsValue> {
        let reader = DatabaseReader::open(&self.repository, &parse(snapshot)?).map_err(CallFailure::of)?;
        #[expect(clippy::cast_precision_loss, reason = "a database has fewer than 2^53 bytes")]
        let bytes = reader.bytes() as f64;
        self.database = Some(reader);
        Ok(bytes)
    }

    /// The next checked piece of the database; empty at the end.
    #[wasm_bindgen(js_name = nextPiece)]
    pub fn next_piece(&mut self) -> Result<Uint8Array, JsValue> {
        let reader = self.database.as_mut().ok_or_else(|| CallFailure::of("no database is being read"))?;
        let piece = reader.next(&self.repository).map_err(CallFailure::of)?;
        if piece.is_empty() {
            self.database = None;
        }
        Ok(Uint8Array::from(piece.as_slice()))
    }
}

impl PageSession {
    fn store_result(&mut self, task: usize, result: PackResult) -> Result<(), JsValue> {
        let run = self.verification.as_mut().ok_or_else(|| CallFailure::of("no verification was begun"))?;
        let task = run.plan.tasks.get(task).ok_or_else(|| CallFailure::of("there is no such task"))?;
        run.findings.add(task, result);
        Ok(())
    }

    fn sorted_attachments(&mut self, id: &SnapshotId) -> Result<&[Attachment], JsValue> {
        let attachments = match self.attachments.take() {
            Some((of, attachments)) if of == *id => attachments,
            _ => {
                let manifest = load_manifest(&self.repository, id).map_err(CallFailure::of)?;
                let all = load_attachments(&self.repository, &manifest, &()).map_err(CallFailure::of)?;
                let mut all: Vec<Attachment> = all.iter(self.repository.index()).collect();
                all.sort_by_key(|attachment| std::cmp::Reverse(attachment.size));
                all
            }
        };
        Ok(&self.attachments.insert((id.clone(), attachments)).1)
    }
}

fn parse(snapshot: &str) -> Result<SnapshotId, JsValue> {
    Ok(snapshot.parse().map_err(CallFailure::of)?)
}

fn json(document: &impl Serialize) -> Result<String, JsValue> {
    Ok(serde_json::to_string(document).map_err(CallFailure::of)?)
}
