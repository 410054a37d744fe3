//! The database: its pages into blobs, and the two maps that describe them (`docs/format.md` §5 and §6).

use std::collections::{BTreeSet, HashMap};

use msgvault_verifier::format::id::{BlobId, PageHash};
use msgvault_verifier::format::manifest::Database;
use msgvault_verifier::format::page_hash::{PageHashDelta, PageHashes};
use msgvault_verifier::format::page_map::{MapKind, PageMap, Run};
use msgvault_verifier::length::{to_u32, to_u64};
use msgvault_verifier::snapshot::Maps;
use msgvault_verifier::snapshot::density::pages_held;

use super::dense::{DenseRule, NewLens};
use super::parent::Parent;
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
    /// Pages that did not change and were stored again for a dense keyframe.
    pub(super) stored_again: u64,
    /// The blobs that they are in, whether or not they were known.
    pub(super) again_blobs: BTreeSet<BlobId>,
    /// Pages in all blobs that the snapshot needs.
    pub(super) held: u64,
    /// The hashes of all pages, to be cached when they are a keyframe.
    pub(super) hashes: PageHashes,
}

/// Stores the pages that changed, those that a dense keyframe stores again, and the maps.
pub(super) fn store(
    capture: &Capture<'_>,
    pinned: &Pinned,
    created_at: &str,
    sink: &PackSink<'_, '_>,
) -> Result<CapturedDatabase, CreateError> {
    let (page_size, page_count) = (pinned.page_size(), pinned.page_count());
    let observer = capture.context.observer;
    observer.begin(phase::PAGES, page_count.saturating_mul(page_size.bytes()));
    // Pages of another size cannot be compared.
    let same_size = |maps: &&Maps| maps.pages.page_size == page_size;
    let base = capture.parent.and_then(|parent| Some((parent, parent.maps.as_ref().filter(same_size)?)));
    let lost = base.map(|(parent, _)| parent.lost_pages(capture.known)).unwrap_or_default();
    if !lost.is_empty() {
        observer.warn("packs of the last snapshot are missing; their pages are stored again");
    }
    let rule = DenseRule { dense: capture.request.dense, created_at, known: capture.known };
    let keyframe = base.filter(|(parent, _)| rule.is_due(parent));
    // Blobs that are sparse already do not become fuller, so these are read in the same pass.
    let again = keyframe.map(|(_, Maps { pages, .. })| {
        rule.to_store_again(pages, &rule.blob_use(pages, &NewLens::default()))
    });
    let scan = Scan {
        file: pinned.file(),
        path: &capture.request.home.database,
        page_size,
        page_count,
        old: base.map(|(_, maps)| maps.hashes.hashes.as_slice()).unwrap_or_default(),
        lost: &lost,
        again: again.as_deref().unwrap_or_default(),
        jobs: capture.request.jobs(),
        observer,
    };
    let Scanned { hashes, changed, again } = scan.run(|blob| sink.add(PackKind::Pages, blob))?;
    let hashes = PageHashes { page_size, hashes };
    let mut layers = Layers { scan: &scan, rule: &rule, hashes: &hashes, sink, again: Again::default() };
    layers.again.add(&again, sink)?;
    let delta = page_map(&hashes, changed.iter().chain(&again), sink)?;
    let laid = match base {
        Some((_, base)) => layers.lay(base, delta, keyframe.is_some())?,
        None => Laid::first(delta),
    };
    let db = store_maps(base.filter(|_| laid.kind == MapKind::Delta), &laid, &hashes, sink)?;
    let Again { pages: stored_again, blobs: again_blobs } = layers.again;
    let changed = pages_of(&changed);
    explain_maps(capture, base.map(|(parent, _)| parent), &db, changed);
    Ok(CapturedDatabase { db, changed, stored_again, again_blobs, held: laid.held, hashes })
}

fn explain_maps(capture: &Capture<'_>, parent: Option<&Parent>, db: &Database, changed: u64) {
    let maps = match (db.map_chain_depth, parent.map(|parent| &parent.keyframe)) {
        (0, Some(Err(reason))) => format!("the maps are a keyframe, since {reason}"),
        (0, Some(Ok(_))) => "the maps are a keyframe, to keep them dense".to_owned(),
        (0, None) => "the maps are a keyframe, since no earlier snapshot has pages of this size".to_owned(),
        (depth, _) => format!("the maps are delta {depth} on their keyframe"),
    };
    capture.context.observer.explain(&format!("{changed} pages are captured; {maps}"));
}

/// Stores both maps, as deltas on `base` if there is one.
fn store_maps(
    base: Option<(&Parent, &Maps)>,
    laid: &Laid,
    hashes: &PageHashes,
    sink: &PackSink<'_, '_>,
) -> Result<Database, Stopped> {
    let hash_bytes = base.map_or_else(|| hashes.encode(), |(_, base)| hash_delta(base, hashes).encode());
    let map = sink.add(PackKind::Metadata, laid.map.encode(laid.kind))?;
    let hash_map = sink.add(PackKind::Metadata, hash_bytes)?;
    Ok(Database {
        engine: "sqlite".to_owned(),
        page_size: hashes.page_size.get(),
        page_count: hashes.page_count(),
        page_map: Some(sink.id_of(map)?),
        page_hash_map: Some(sink.id_of(hash_map)?),
        map_chain_depth: base.map_or(0, |(parent, _)| parent.manifest.db.map_chain_depth.saturating_add(1)),
    })
}

/// The pages that are stored again, in all, and the blobs that they are in.
#[derive(Default)]
struct Again {
    pages: u64,
    blobs: BTreeSet<BlobId>,
}

impl Again {
    fn add(&mut self, runs: &[PlannedRun<Unnamed>], sink: &PackSink<'_, '_>) -> Result<(), Stopped> {
        self.pages += pages_of(runs);
        for run in runs {
            self.blobs.insert(sink.id_of(run.blob)?);
        }
        Ok(())
    }
}

fn pages_of(runs: &[PlannedRun<Unnamed>]) -> u64 {
    runs.iter().map(|run| run.page_count).sum()
}

/// The map of a snapshot as it is stored.
struct Laid {
    kind: MapKind,
    map: PageMap,
    /// Pages in all blobs that the snapshot needs.
    held: u64,
}

impl Laid {
    /// Every page is in a blob of this run.
    fn first(map: PageMap) -> Self {
        let mut new = NewLens::default();
        new.add(&map);
        Self { kind: MapKind::Keyframe, held: new.pages(map.page_size), map }
    }
}

/// Lays what a run captured over the last snapshot, and more of it when that makes a keyframe due.
struct Layers<'l, 's, 'env> {
    scan: &'l Scan<'l>,
    rule: &'l DenseRule<'l>,
    hashes: &'l PageHashes,
    sink: &'l PackSink<'s, 'env>,
    again: Again,
}

impl Layers<'_, '_, '_> {
    fn lay(&mut self, base: &Maps, delta: PageMap, is_due: bool) -> Result<Laid, CreateError> {
        let mut new = NewLens::default();
        new.add(&delta);
        let mut whole = apply(&base.pages, &delta)?;
        let mut uses = self.rule.blob_use(&whole, &new);
        if !is_due && !self.rule.is_due_by(&whole, &uses) {
            return Ok(Laid { kind: MapKind::Delta, map: delta, held: pages_held(&uses) });
        }
        // What this run stored took pages away from other blobs.
        let ranges = self.rule.to_store_again(&whole, &uses);
        if !ranges.is_empty() {
            let pages: u64 = ranges.iter().map(|range| range.end - range.start).sum();
            let observer = self.scan.observer;
            observer.begin(phase::PAGES, pages.saturating_mul(self.scan.page_size.bytes()));
            let emit = |blob| self.sink.add(PackKind::Pages, blob);
            let runs = self.scan.read_again(&ranges, &self.hashes.hashes, emit)?;
            self.again.add(&runs, self.sink)?;
            let again = page_map(self.hashes, runs.iter(), self.sink)?;
            new.add(&again);
            whole = apply(&whole, &again)?;
            uses = self.rule.blob_use(&whole, &new);
        }
        Ok(Laid { kind: MapKind::Keyframe, map: whole, held: pages_held(&uses) })
    }
}

fn apply(base: &PageMap, over: &PageMap) -> Result<PageMap, CreateError> {
    base.apply(over).map_err(|error| CreateError::Internal(error.to_string()))
}

/// The map of the stored pages, blobs in order of first use.
fn page_map<'r>(
    hashes: &PageHashes,
    planned: impl Iterator<Item = &'r PlannedRun<Unnamed>>,
    sink: &PackSink<'_, '_>,
) -> Result<PageMap, Stopped> {
    let mut planned: Vec<&PlannedRun<Unnamed>> = planned.collect();
    planned.sort_unstable_by_key(|run| run.start_page);
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
