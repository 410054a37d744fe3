//! What a run tells its caller.

use std::io;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use msgvault_platform::context::SharedObserver;
use msgvault_verifier::format::id::{IndexId, PackId, SnapshotId};
use msgvault_verifier::format::manifest::{DocumentCounts, Manifest};
use msgvault_verifier::format::stats::ArchiveStats;
use msgvault_verifier::{Observer, Phase};
use serde::Serialize;

use super::{Captured, CreateRequest};
use crate::repo::pack_writer::Packed;

/// What was captured.
#[derive(Debug, Clone, Serialize)]
pub struct CreateReport {
    /// Whether nothing was stored.
    pub dry_run: bool,
    /// The new snapshot; none after a dry run.
    pub snapshot_id: Option<SnapshotId>,
    /// The snapshot that it builds upon.
    pub parent_id: Option<SnapshotId>,
    /// RFC 3339, UTC, seconds.
    pub created_at: String,
    /// The user's label.
    pub tag: String,
    /// 1, 2 when attachments have paths of their own, 4 when there are texts derived from documents.
    pub format_version: u64,
    /// What SQLite says of the captured database; none when it was not asked.
    pub check: Option<DatabaseCheck>,
    /// The database.
    pub pages: PageCounts,
    /// The attachments.
    pub attachments: AttachmentCounts,
    /// Other files.
    pub extras: ExtraCounts,
    /// What is disclosed about texts derived from documents; none when there are none.
    pub documents: Option<DocumentCounts>,
    /// What the archive counts.
    pub stats: ArchiveStats,
    /// New packs.
    pub new_packs: Vec<PackId>,
    /// The new index.
    pub new_index: Option<IndexId>,
    /// Stored bytes of the new blobs.
    pub bytes_added: u64,
    /// Seconds from the start to the manifest.
    pub duration_seconds: f64,
    /// Seconds until the database was pinned, waiting for writers included.
    pub freeze_seconds: f64,
    /// What is alarming: how much less the archive holds than the snapshot before, or that it was rewritten.
    pub alarms: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// What SQLite's quick check says of the captured database.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatabaseCheck {
    /// Whether nothing is wrong with it.
    pub sound: bool,
    /// The first findings, in SQLite's words.
    pub findings: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// The captured database.
#[derive(Debug, Clone, Serialize)]
pub struct PageCounts {
    /// Bytes per page.
    pub page_size: u32,
    /// Pages.
    pub total: u64,
    /// Pages that changed since the parent.
    pub changed: u64,
    /// Bytes of the database.
    pub bytes: u64,
    /// Deltas between this snapshot's maps and their keyframe.
    pub map_chain_depth: u64,
    /// Pages in all blobs that the snapshot needs.
    pub held: u64,
    /// Pages that did not change and were stored again, so that every blob of a keyframe is at least half in use.
    pub stored_again: u64,
    /// Stored bytes of these pages, which `bytes_added` contains.
    pub bytes_stored_again: u64,
}

/// The captured attachments.
#[derive(Debug, Clone, Serialize)]
pub struct AttachmentCounts {
    /// Rows of the table.
    pub rows: u64,
    /// Distinct contents.
    pub blobs: u64,
    /// Bytes of the distinct contents.
    pub bytes: u64,
    /// Contents that the parent does not have.
    pub new: u64,
}

/// The captured other files.
#[derive(Debug, Clone, Serialize)]
pub struct ExtraCounts {
    /// Files.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Tells of a snapshot by its manifest and what the manifest does not keep.
pub(super) fn of(
    request: &CreateRequest<'_>,
    manifest: Manifest,
    captured: &Captured,
    packed: &Packed,
    (alarms, warnings): (Vec<String>, Vec<String>),
) -> CreateReport {
    let (attachments, database) = (&captured.attachments, &captured.database);
    let again = database.again_blobs.iter().filter_map(|blob| packed.blobs.stored_len(blob));
    CreateReport {
        dry_run: request.dry_run,
        check: captured.check.clone(),
        pages: PageCounts {
            page_size: manifest.db.page_size,
            total: manifest.db.page_count,
            changed: database.changed,
            bytes: manifest.database_bytes(),
            map_chain_depth: manifest.db.map_chain_depth,
            held: database.held,
            stored_again: database.stored_again,
            bytes_stored_again: again.sum(),
        },
        snapshot_id: Some(manifest.snapshot_id).filter(|_| !request.dry_run),
        parent_id: manifest.parent_id,
        created_at: manifest.created_at,
        tag: manifest.options.tag,
        format_version: manifest.format_version,
        attachments: AttachmentCounts {
            rows: attachments.rows,
            blobs: attachments.blobs,
            bytes: attachments.blob_bytes,
            new: attachments.new_blobs,
        },
        extras: ExtraCounts { files: captured.extras.files, bytes: captured.extras.bytes },
        documents: captured.documents.as_ref().map(|documents| documents.counts),
        stats: captured.stats.clone(),
        new_packs: manifest.new_packs.filter(|_| !request.dry_run).unwrap_or_default(),
        new_index: manifest.new_index,
        bytes_added: manifest.bytes_added,
        duration_seconds: manifest.duration_seconds,
        freeze_seconds: seconds(captured.times.began, captured.times.frozen),
        alarms,
        warnings,
    }
}

/// Seconds from one time to another; 0 when the clock went back.
pub(super) fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

/// Passes everything on and remembers the warnings.
pub(super) struct Recorder<'a> {
    inner: SharedObserver<'a>,
    warnings: Mutex<Vec<String>>,
}

impl<'a> Recorder<'a> {
    pub(super) fn of(inner: SharedObserver<'a>) -> Self {
        Self { inner, warnings: Mutex::default() }
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observer for Recorder<'_> {
    fn cancelled(&self) -> bool {
        self.inner.cancelled()
    }

    fn explain(&self, message: &str) {
        self.inner.explain(message);
    }

    fn begin(&self, phase: Phase, total: u64) {
        self.inner.begin(phase, total);
    }

    fn advance(&self, bytes: u64) {
        self.inner.advance(bytes);
    }

    fn warn(&self, message: &str) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(message.to_owned());
        self.inner.warn(message);
    }

    fn reached(&self, point: &'static str) -> io::Result<()> {
        self.inner.reached(point)
    }
}
