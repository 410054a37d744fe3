//! What snapshots need of the space that a repository takes.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::format::id::{PackId, SnapshotId};
use crate::format::pack;
use crate::repository::{BlobSet, Repository};
use crate::snapshot::Maps;
use crate::snapshot::density::{RawLengths, blob_use, pages_held};
use crate::snapshot::references::{ReferenceReader, Role};

/// Pages of the database of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PageUse {
    /// Pages that the database has.
    pub needed: u64,
    /// Pages in the blobs that hold them.
    pub held: u64,
}

/// The space of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Space {
    /// Bytes of all packs.
    pub pack_bytes: u64,
    /// Bytes in packs that no snapshot reaches; none when it is not known what all of them reach.
    pub dead_bytes: Option<u64>,
}

/// Pages needed and held by one snapshot; none when its maps or a footer cannot be read.
pub(super) fn page_use(repository: &Repository, maps: &Maps) -> Option<PageUse> {
    page_use_of(maps, repository, &mut RawLengths::default())
}

fn page_use_of(maps: &Maps, repository: &Repository, lens: &mut RawLengths) -> Option<PageUse> {
    lens.learn(repository, &maps.pages.blobs);
    let uses = blob_use(&maps.pages, |blob| lens.of(blob))?;
    Some(PageUse { needed: maps.pages.page_count, held: pages_held(&uses) })
}

/// Follows every reference of these snapshots. There is no space when packs cannot be listed, and no use of a snapshot
/// whose blobs cannot be looked at.
pub(super) fn measure(
    repository: &Repository,
    snapshots: &[SnapshotId],
) -> (Option<Space>, BTreeMap<SnapshotId, PageUse>) {
    let index = repository.index();
    let (mut reader, mut lens) = (ReferenceReader::default(), RawLengths::default());
    let (mut reached, mut uses) = (BlobSet::new(index), BTreeMap::new());
    let mut is_complete = repository.damaged_indexes().is_empty();
    for id in snapshots {
        let Ok(manifest) = repository.manifest(id) else {
            is_complete = false;
            continue;
        };
        let (mut unnamed, mut broken, mut page_use) = (false, false, None);
        let mut visit = |blob: &_, role: Role<'_>| {
            match index.position(blob) {
                Some(position) => drop(reached.insert(position)),
                None => unnamed = true,
            }
            if let Role::Pages(maps, _) = role {
                page_use = page_use.or_else(|| Some(page_use_of(maps, repository, &mut lens)));
            }
            true
        };
        reader.each(repository, &manifest, &(), &mut visit, &mut |_| broken = true);
        is_complete &= !unnamed && !broken;
        uses.extend(page_use.flatten().map(|found| (id.clone(), found)));
    }
    let space = repository.pack_files().ok().map(|packs| Space {
        pack_bytes: packs.iter().fold(0, |sum, (_, len)| sum.saturating_add(*len)),
        dead_bytes: is_complete.then(|| dead_bytes(repository, &packs, &reached)),
    });
    (space, uses)
}

/// Bytes that packs would lose if they were written with only what is reached.
fn dead_bytes(repository: &Repository, packs: &[(PackId, u64)], reached: &BlobSet) -> u64 {
    let dead = dead_by_pack(repository, packs, &|position| reached.contains(position)).into_iter();
    dead.fold(0, u64::saturating_add)
}

/// For each of these packs, with its length, the bytes that it would lose if it were written with only the blobs that
/// are reached, by position in the index.
pub(super) fn dead_by_pack(
    repository: &Repository,
    packs: &[(PackId, u64)],
    is_reached: &dyn Fn(usize) -> bool,
) -> Vec<u64> {
    let index = repository.index();
    let mut live: HashMap<PackId, (u64, u64)> = HashMap::new();
    for position in (0..index.len()).filter(|position| is_reached(*position)) {
        let Some(location) = index.at(position) else { continue };
        let (entries, bytes) = live.entry(location.pack).or_default();
        *entries = entries.saturating_add(1);
        *bytes = bytes.saturating_add(location.stored_len);
    }
    let dead = packs.iter().map(|(pack, len)| {
        let live = live.get(pack).map_or(0, |(entries, bytes)| pack::file_len(*entries, *bytes));
        len.saturating_sub(live)
    });
    dead.collect()
}
