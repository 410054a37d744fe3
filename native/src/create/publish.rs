//! Makes the snapshot exist: the index, the repository's page size, and the manifest last (`docs/format.md`
//! §12).

use jiff::Timestamp;
use msgvault_verifier::format::id::IndexId;
use msgvault_verifier::format::index;
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::length::{to_u32, to_unsigned};
use msgvault_verifier::repository::read_config;

use super::{Capture, Captured, CreateError, cache, manifest, stop_if_cancelled};
use crate::repo::lock::Lock;
use crate::repo::pack_writer::Packed;
use crate::repo::publish::{FileKind, Staged, make_durable, publish_bytes};

/// Bytes of an index that are written at once.
const PIECE: usize = 1 << 20;
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
    let id = index_id(capture);
    let publish = || {
        stop_if_cancelled(capture)?;
        let mut file = Staged::create(capture.context, capture.request.repo, FileKind::Index)?;
        // More blobs than an index has room for do not fit into memory either.
        let mut encoder = index::IndexEncoder::new(to_u32(packed.blobs.len()));
        for entry in packed.blobs.entries() {
            encoder.push(&entry);
            if encoder.pending() >= PIECE {
                file.write(&encoder.take())?;
            }
        }
        file.write(&encoder.finish())?;
        Ok(file.publish(&id.path())?)
    };
    publish().map(|()| Some(id)).inspect_err(|_: &CreateError| packed.take_back(capture.request.repo))
}

/// An ID behind those of all index files, since of two entries for a blob the later file's counts.
fn index_id(capture: &Capture<'_>) -> IndexId {
    let (unix_ms, random) = capture.context.ulid_parts();
    let id = IndexId::from_parts(unix_ms, random);
    let names = capture.repository.store().list("indexes").unwrap_or_default();
    let ids = names.iter().filter_map(|entry| IndexId::of_path(&format!("indexes/{}", entry.name)));
    match ids.max() {
        Some(last) if last >= id => {
            let next = u128::from_be_bytes(last.to_bytes()).saturating_add(1);
            IndexId::from_bytes(next.to_be_bytes())
        }
        _ => id,
    }
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
    if manifest.db.map_chain_depth != 0 {
        return;
    }
    let folder = &capture.request.home.cache_dir;
    let repo = &capture.repository.config().repo_id;
    if let Err(error) = cache::write(folder, repo, &manifest.snapshot_id, &captured.database.hashes) {
        let folder = folder.display();
        capture.context.observer.warn(&format!("the page hashes are not cached in {folder}: {error}"));
    }
}
