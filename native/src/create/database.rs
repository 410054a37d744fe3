//! The database: its pages into blobs, and the two maps that describe them (`docs/format.md` §5 and §6).

use std::collections::HashMap;

use msgvault_verifier::format::id::{BlobId, PageHash};
use msgvault_verifier::format::manifest::Database;
use msgvault_verifier::format::page_hash::{PageHashDelta, PageHashes};
use msgvault_verifier::format::page_map::{MapKind, PageMap, Run};
use msgvault_verifier::length::{to_u32, to_u64};
use msgvault_verifier::snapshot::Maps;

use super::plan::PlannedRun;
use super::scan::{Scan, Scanned};
use super::{Capture, CreateError};
use crate::archive::session::Pinned;
use crate::phase;
use crate::repo::pack_writer::{PackKind, PackSink, Stopped, Unnamed};

/// The captured database.
pub(super) struct CapturedDatabase {
    /// What the manifest says about it.
    pub(super) db: Database,
    /// Pages that were captured, whether or not their blobs were known.
    pub(super) changed: u64,
    /// The hashes of all pages, to be cached when they are a keyframe.
    pub(super) hashes: PageHashes,
}

/// Stores the pages that changed, and the maps.
pub(super) fn store(
    capture: &Capture<'_>,
    pinned: &Pinned,
    sink: &PackSink<'_, '_>,
) -> Result<CapturedDatabase, CreateError> {
    let (page_size, page_count) = (pinned.page_size(), pinned.page_count());
    capture.context.observer.begin(phase::PAGES, page_count.saturating_mul(page_size.bytes()));
    // Pages of another size cannot be compared.
    let parent = capture
        .parent
        .filter(|parent| parent.maps.as_ref().is_some_and(|maps| maps.pages.page_size == page_size));
    let base = parent.and_then(|parent| parent.maps.as_ref());
    let lost = parent.map(|parent| parent.lost_pages(capture.known)).unwrap_or_default();
    if !lost.is_empty() {
        capture.context.observer.warn("packs of the last snapshot are missing; their pages are stored again");
    }
    let scan = Scan {
        file: pinned.file(),
        path: &capture.request.home.database,
        page_size,
        page_count,
        old: base.map(|maps| maps.hashes.hashes.as_slice()).unwrap_or_default(),
        lost: &lost,
        jobs: capture.request.jobs(),
        observer: capture.context.observer,
    };
    let Scanned { hashes, runs } = scan.run(|blob| sink.add(PackKind::Pages, blob))?;
    let changed = runs.iter().map(|run| run.page_count).sum();
    let hashes = PageHashes { page_size, hashes };
    let map = page_map(&hashes, &runs, sink)?;

    let delta_depth = parent
        .filter(|parent| parent.allows_delta)
        .map(|parent| parent.manifest.db.map_chain_depth.saturating_add(1));
    let (map_bytes, hash_bytes) = match (base, delta_depth) {
        (Some(base), Some(_)) => (map.encode(MapKind::Delta), hash_delta(base, &hashes).encode()),
        (Some(base), None) => {
            let map = base.pages.apply(&map).map_err(|error| CreateError::Internal(error.to_string()))?;
            (map.encode(MapKind::Keyframe), hashes.encode())
        }
        (None, _) => (map.encode(MapKind::Keyframe), hashes.encode()),
    };
    let (map, hash_map) =
        (sink.add(PackKind::Metadata, map_bytes)?, sink.add(PackKind::Metadata, hash_bytes)?);
    let db = Database {
        engine: "sqlite".to_owned(),
        page_size: page_size.get(),
        page_count,
        page_map: Some(sink.id_of(map)?),
        page_hash_map: Some(sink.id_of(hash_map)?),
        map_chain_depth: delta_depth.unwrap_or(0),
    };
    Ok(CapturedDatabase { db, changed, hashes })
}

/// The map of the captured pages, blobs in order of first use.
fn page_map(
    hashes: &PageHashes,
    planned: &[PlannedRun<Unnamed>],
    sink: &PackSink<'_, '_>,
) -> Result<PageMap, Stopped> {
    let mut blobs: Vec<BlobId> = Vec::new();
    let mut positions: HashMap<BlobId, u32> = HashMap::new();
    let mut runs = Vec::with_capacity(planned.len());
    for run in planned {
        let id = sink.id_of(run.blob)?;
        let blob_index = *positions.entry(id).or_insert_with(|| {
            blobs.push(id);
            to_u32(blobs.len() - 1)
        });
        runs.push(Run {
            start_page: run.start_page,
            // At most the pages of one blob.
            page_count: to_u32(run.page_count),
            blob_index,
            blob_offset: run.offset,
        });
    }
    Ok(PageMap { page_size: hashes.page_size, page_count: hashes.page_count(), blobs, runs })
}

/// The hashes that differ from the parent's, and those of all new pages.
fn hash_delta(base: &Maps, new: &PageHashes) -> PageHashDelta {
    let old = &base.hashes.hashes;
    let changed = |(position, hash): (usize, &PageHash)| {
        (old.get(position) != Some(hash)).then(|| (to_u64(position), *hash))
    };
    let (pages, hashes) = new.hashes.iter().enumerate().filter_map(changed).unzip();
    PageHashDelta { page_size: new.page_size, page_count: new.page_count(), pages, hashes }
}
