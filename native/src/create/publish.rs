//! Makes the snapshot exist: the index, the repository's page size, and the manifest last (`docs/format.md`
//! §12).

use jiff::Timestamp;
use msgvault_verifier::format::id::IndexId;
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::length::to_unsigned;
use msgvault_verifier::repository::read_config;

use super::{Capture, Captured, CreateError, cache, manifest, stop_if_cancelled};
use crate::repo::lock::Lock;
use crate::repo::pack_writer::Packed;
use crate::repo::publish::{FileKind, make_durable, publish_bytes};
use crate::repo::write_index::{next_index_id, write_index};

/// In milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Publishes what was packed as a snapshot, and returns its manifest.
pub(super) fn publish(
    capture: &Capture<'_>,
    captured: &Captured,
    packed: &Packed,
    lock: &Lock,
) -> Result<Manifest, CreateError> {
    let index = publish_index(capture, packed)?;
    let manifest = manifest::build(capture, captured, packed, index)?;
    publish_manifest(capture, &manifest, lock)?;
    update_cache(capture, &manifest, captured);
    Ok(manifest)
}

/// Publishes the index of the new blobs, if there are any. Without it their packs are of no use.
fn publish_index(capture: &Capture<'_>, packed: &Packed) -> Result<Option<IndexId>, CreateError> {
    if packed.blobs.is_empty() {
        stop_if_cancelled(capture)?;
        return Ok(None);
    }
    let root = capture.request.repo;
    let id = next_index_id(&capture.context, capture.repository.store());
    let publish = || {
        stop_if_cancelled(capture)?;
        let blobs = &packed.blobs;
        Ok(write_index(&capture.context, root, FileKind::Index, id, blobs.len(), blobs.entries())?)
    };
    publish().map(|()| Some(id)).inspect_err(|_: &CreateError| packed.take_back(root))
}

fn publish_manifest(capture: &Capture<'_>, manifest: &Manifest, lock: &Lock) -> Result<(), CreateError> {
    let root = capture.request.repo;
    let mut config = read_config(capture.repository.store())?;
    if config.page_size != manifest.db.page_size {
        config.page_size = manifest.db.page_size;
        let text = config.encode();
        publish_bytes(capture.context, root, FileKind::Config, "config.toml", text.as_bytes())?;
    }
    make_reused_durable(capture)?;
    // Whoever took the lock away may be removing what this manifest would name.
    lock.still_held()?;
    let name = manifest.snapshot_id.path();
    publish_bytes(capture.context, root, FileKind::Manifest, &name, manifest.encode().as_bytes())?;
    Ok(())
}

/// What an interrupted run published and this one refers to was renamed, and perhaps no more: its blobs are known,
/// so nothing was stored here and nothing synced. What a snapshot refers to is durable since then.
fn make_reused_durable(capture: &Capture<'_>) -> Result<(), CreateError> {
    let newest = capture.parent.and_then(|parent| parent.manifest.created_at.parse::<Timestamp>().ok());
    let newest = newest.map_or(0, |time| to_unsigned(time.as_millisecond()));
    // The clock can have been set, and a parent's time is that of its pinning; a day is cheap.
    let since = newest.saturating_sub(DAY);
    let packs = capture.repository.index().packs().iter();
    let recent = packs.filter(|pack| pack.unix_ms() >= since).map(|pack| pack.path());
    let names: Vec<String> = recent.chain(["indexes/x".to_owned()]).collect();
    Ok(make_durable(capture.context, capture.request.repo, names.iter().map(String::as_str))?)
}

/// Caches the page hashes of a keyframe.
fn update_cache(capture: &Capture<'_>, manifest: &Manifest, captured: &Captured) {
    let observer = capture.context.observer;
    if manifest.db.map_chain_depth != 0 {
        observer.explain("the cache stays as it is: it keeps the page hashes of keyframes");
        return;
    }
    let folder = &capture.request.home.cache_dir;
    let repo = &capture.repository.config().repo_id;
    if let Err(error) = cache::write(folder, repo, &manifest.snapshot_id, &captured.database.hashes) {
        let folder = folder.display();
        observer.warn(&format!("the page hashes are not cached in {folder}: {error}"));
    } else {
        observer.explain("the page hashes of the new keyframe are cached beside the archive");
    }
}
