//! The manifest: what describes a snapshot and names all of its parts (`docs/format.md` §9).

use jiff::{SignedDuration, Timestamp};
use msgvault_verifier::format::id::IndexId;
use msgvault_verifier::format::manifest::{Attachments, Extras, Manifest};
use serde_json::value::RawValue;

use super::report::seconds;
use super::{Capture, Captured, CreateError, clock};
use crate::repo::pack_writer::Packed;

/// What is never captured, as the format lists it.
const EXCLUDED: [&str; 6] = ["vectors.db", "analytics/", "logs/", "imports/", "tmp/", "locks"];
/// Takes the place of the ID until it is computed.
const NO_ID: &str = "00000000T000000Z-00000000000000000000000000000000";

/// The manifest of what was captured, its ID included.
pub(super) fn build(
    capture: &Capture<'_>,
    captured: &Captured,
    packed: &Packed,
    new_index: Option<IndexId>,
) -> Result<Manifest, CreateError> {
    let internal = |error: &dyn std::fmt::Display| CreateError::Internal(error.to_string());
    let auxiliary = captured.documents.as_ref().map(|documents| vec![documents.artifact.clone()]);
    let version = match (&auxiliary, captured.is_canonical) {
        (Some(_), _) => 4,
        (None, false) => 2,
        (None, true) => 1,
    };
    let attachments = &captured.attachments;
    let text = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    let mut manifest = Manifest {
        format_version: version,
        min_reader_version: version,
        msgvault_version: capture.request.version.to_owned(),
        snapshot_id: NO_ID.parse().map_err(|error| internal(&error))?,
        parent_id: capture.parent.map(|parent| parent.id().clone()),
        created_at: captured.created_at.clone(),
        options: capture.request.options(),
        db: captured.database.db.clone(),
        metadata: None,
        auxiliary,
        attachments: Attachments {
            layout: Some(text(&["loose"])),
            rows: attachments.rows,
            blobs: attachments.blobs,
            blob_bytes: attachments.blob_bytes,
            recipes: Some(Vec::new()),
            lists: Some(attachments.lists.clone()).filter(|lists| !lists.is_empty()),
        },
        extras: Extras { tree: captured.extras.tree },
        excluded: Some(text(&EXCLUDED)),
        stats: RawValue::from_string(captured.stats.to_json()).map_err(|error| internal(&error))?,
        new_packs: Some(packed.packs.clone()).filter(|packs| !packs.is_empty()),
        new_index,
        duration_seconds: seconds(captured.times.began, (capture.context.now)()),
        bytes_added: packed.blobs.stored_bytes(),
    };
    manifest.snapshot_id = manifest.computed_id().parse().map_err(|error| internal(&error))?;
    Ok(manifest)
}

/// When the database was pinned, moved behind every snapshot that there is.
pub(super) fn created_at(capture: &Capture<'_>, frozen: Timestamp) -> Result<String, CreateError> {
    let listing = capture.repository.listing().map_err(CreateError::Listing)?;
    let last = listing.snapshots.last().and_then(clock::time_of);
    let mut time = frozen;
    if let Some(last) = last.filter(|last| last.as_second() >= time.as_second()) {
        time = last.checked_add(SignedDuration::from_secs(1)).map_err(|_| CreateError::Clock)?;
    }
    let text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    // Four digits of the year are all that an ID has room for.
    if text.len() == 20 { Ok(text) } else { Err(CreateError::Clock) }
}
