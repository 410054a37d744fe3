//! Makes the snapshot exist: the index, the repository's page size, and the manifest last (`docs/format.md`
//! §12).

use jiff::Timestamp;
use msgvault_verifier::format::id::IndexId;
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::format::sums::{FileSum, SumsName};
use msgvault_verifier::length::to_unsigned;
use msgvault_verifier::repository::read_config;

use super::{Capture, Captured, CreateError, cache, manifest, stop_if_cancelled};
use crate::repo::lock::Lock;
use crate::repo::pack_writer::Packed;
use crate::repo::publish::{FileKind, make_durable, publish_bytes, take_back};
use crate::repo::sums;
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
    publish_manifest(capture, &manifest, packed, lock)?;
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

fn publish_manifest(
    capture: &Capture<'_>,
    manifest: &Manifest,
    packed: &Packed,
    lock: &Lock,
) -> Result<(), CreateError> {
    let root = capture.request.repo;
    let mut config = read_config(capture.repository.store())?;
    if config.page_size != manifest.db.page_size {
        config.page_size = manifest.db.page_size;
        let text = config.encode();
        publish_bytes(capture.context, root, FileKind::Config, "config.toml", text.as_bytes())?;
    }
    make_reused_durable(capture)?;
    lock.still_held()?;
    let text = manifest.encode();
    state_sums(capture, manifest, text.as_bytes(), packed)?;
    // Whoever took the lock away may be removing what this manifest would name.
    let published = lock.still_held().map_err(CreateError::from).and_then(|()| {
        let name = manifest.snapshot_id.path();
        Ok(publish_bytes(capture.context, root, FileKind::Manifest, &name, text.as_bytes())?)
    });
    published.inspect_err(|_| {
        let sums = SumsName::Snapshot(manifest.snapshot_id.clone());
        take_back(root, &sums.path());
    })
}

/// The sums of what the run added, before the manifest that they name.
fn state_sums(
    capture: &Capture<'_>,
    manifest: &Manifest,
    text: &[u8],
    packed: &Packed,
) -> Result<(), CreateError> {
    let root = capture.request.repo;
    let mut files = packed.sums.clone();
    if let Some(index) = manifest.new_index {
        let path = index.path();
        let sum = sums::of_published(root, &path)?;
        files.insert(path, sum);
    }
    files.insert(manifest.snapshot_id.path(), FileSum::of(text));
    sums::state_snapshot(&capture.context, root, capture.repository, &manifest.snapshot_id, files)?;
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
