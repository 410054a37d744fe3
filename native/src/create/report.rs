//! What a run tells its caller.

use std::io;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use msgvault_platform::context::SharedObserver;
use msgvault_verifier::format::id::{IndexId, PackId, SnapshotId};
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::format::stats::ArchiveStats;
use msgvault_verifier::{Observer, Phase};
use serde::Serialize;

use super::{Captured, CreateRequest};

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
    /// 1, or 2 when attachments have paths of their own.
    pub format_version: u64,
    /// What SQLite says of the captured database; none when it was not asked.
    pub check: Option<DatabaseCheck>,
    /// The database.
    pub pages: PageCounts,
    /// The attachments.
    pub attachments: AttachmentCounts,
    /// Other files.
    pub extras: ExtraCounts,
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
    warnings: Vec<String>,
) -> CreateReport {
    let attachments = &captured.attachments;
    CreateReport {
        dry_run: request.dry_run,
        check: captured.check.clone(),
        pages: PageCounts {
            page_size: manifest.db.page_size,
            total: manifest.db.page_count,
            changed: captured.database.changed,
            bytes: manifest.database_bytes(),
            map_chain_depth: manifest.db.map_chain_depth,
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
        stats: captured.stats.clone(),
        new_packs: manifest.new_packs.filter(|_| !request.dry_run).unwrap_or_default(),
        new_index: manifest.new_index,
        bytes_added: manifest.bytes_added,
        duration_seconds: manifest.duration_seconds,
        freeze_seconds: seconds(captured.times.began, captured.times.frozen),
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
