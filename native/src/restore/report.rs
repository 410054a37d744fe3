//! What a restore tells its caller.

use std::path::PathBuf;

use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::format::manifest::DocumentDerivatives;
use msgvault_verifier::verify::Verdict;
use serde::Serialize;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Where it is now.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub target: PathBuf,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Distinct attachments.
    pub attachments: u64,
    /// Files that hold them; one attachment can be at several paths.
    pub attachment_files: u64,
    /// Bytes of the distinct attachments.
    pub attachment_bytes: u64,
    /// Other files.
    pub extras: u64,
    /// Whether SQLite checked the database from end to end.
    pub integrity_checked: bool,
    /// What is known about the captured database: intact when SQLite checked it, else unchecked.
    pub verdict: Verdict,
    /// Whether the database differs from the captured one, in that its tables of packed attachments are
    /// empty: every attachment is a file of its own now.
    pub pack_tables_emptied: bool,
    /// What the snapshot says about the texts derived from documents that its database holds.
    pub disclosures: Vec<DocumentDerivatives>,
}
