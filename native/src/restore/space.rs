//! What a restore needs room for.

use msgvault_verifier::snapshot::Snapshot;

/// What is done where there is no room.
pub(super) const ACTION: &str = "restore into";

/// Bytes that a snapshot needs at least: all of it in an empty folder; else attachments can be there already.
pub(super) fn needed(snapshot: &Snapshot, is_empty: bool) -> u64 {
    let extras = snapshot.extras.iter().fold(0u64, |sum, extra| sum.saturating_add(extra.size));
    let attachments = if is_empty { snapshot.manifest.attachments.blob_bytes } else { 0 };
    snapshot.manifest.database_bytes().saturating_add(extras).saturating_add(attachments)
}
