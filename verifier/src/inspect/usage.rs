//! What takes the space of a repository: by snapshot, by kind, by pack, and by month.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::format::id::{BlobId, PackId, SnapshotId};
use crate::format::manifest::Manifest;
use crate::observer::Observer;
use crate::repository::{BlobIndex, Repository};
use crate::snapshot::references::{ReferenceReader, Role};
use crate::store::StoreError;

use super::space::dead_by_pack;

/// So many of the largest attachments are told of.
const LARGEST: usize = 20;
/// No snapshot.
const NOBODY: u32 = u32::MAX;

/// What takes the space. Bytes are those of blobs as they are stored, where nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Bytes of all packs.
    pub pack_bytes: u64,
    /// Whether everything was found that snapshots need. Else what looks as if one snapshot alone needed it may be needed
    /// by others too.
    pub is_complete: bool,
    /// Snapshots, oldest first.
    pub snapshots: Vec<SnapshotUsage>,
    /// What blobs are to snapshots; the last is what no snapshot needs, with what packs need around their blobs.
    pub kinds: Vec<KindUsage>,
    /// Packs, those with the most bytes of no use first.
    pub packs: Vec<PackUsage>,
    /// The largest attachments, the largest first.
    pub largest: Vec<LargeAttachment>,
    /// Months in which snapshots were made, oldest first.
    pub months: Vec<MonthUsage>,
}

/// What a snapshot takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotUsage {
    /// Its name.
    pub snapshot_id: SnapshotId,
    /// When it was made, as its manifest says.
    pub created_at: String,
    /// Bytes of what no other snapshot needs.
    pub own_bytes: u64,
    /// Bytes of what others need too.
    pub shared_bytes: u64,
    /// The snapshot whose maps are built upon it, so that it cannot be forgotten alone.
    pub needed_by: Option<SnapshotId>,
}

/// What blobs of a kind take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KindUsage {
    /// `pages`, `attachments`, `files`, `maps`, or `unused`.
    pub kind: &'static str,
    /// How many there are.
    pub blobs: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// What of a pack is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PackUsage {
    /// The pack.
    pub pack: PackId,
    /// Bytes of it.
    pub bytes: u64,
    /// Bytes that it would lose if it held only what snapshots need.
    pub dead_bytes: u64,
}

/// An attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LargeAttachment {
    /// Bytes of its content.
    pub bytes: u64,
    /// Bytes that it takes.
    pub stored_bytes: u64,
    /// Its content's SHA-256.
    pub hash: BlobId,
}

/// What was added in a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonthUsage {
    /// The month, such as `2026-11`, in UTC.
    pub month: String,
    /// Snapshots that were made and are still there.
    pub snapshots: u64,
    /// Bytes that they added then.
    pub bytes_added: u64,
}

/// Follows every reference of every snapshot. None when the observer said to stop.
///
/// Memory: 9 bytes per blob.
pub fn usage(repository: &Repository, observer: &dyn Observer) -> Result<Option<Usage>, StoreError> {
    let ids = repository.listing()?.snapshots;
    let packs = repository.pack_files()?;
    let mut count = Count::new(repository.index(), repository.damaged_indexes().is_empty());
    let mut manifests = Vec::new();
    let mut reader = ReferenceReader::default();
    for (number, id) in (0u32..).zip(&ids) {
        if observer.cancelled() {
            return Ok(None);
        }
        let Ok(manifest) = repository.manifest(id) else {
            count.is_complete = false;
            continue;
        };
        let mut failed = false;
        // Every attachment is visited for every snapshot: each may be the last that needs it.
        let mut visit = |blob: &BlobId, role: Role<'_>| {
            count.add(number, blob, &role);
            false
        };
        reader.each(repository, &manifest, observer, &mut visit, &mut |_| failed = true);
        count.is_complete &= !failed;
        manifests.push((number, manifest));
    }
    Ok(Some(count.told(repository, &packs, &manifests)))
}

/// Who needs each blob, by position in the index.
struct Count<'i> {
    index: &'i BlobIndex,
    /// The first snapshot that needs it, and the last.
    needed: Vec<(u32, u32)>,
    kinds: Vec<u8>,
    largest: BTreeSet<LargeAttachment>,
    /// Bytes that each snapshot needs.
    reached: BTreeMap<u32, u64>,
    is_complete: bool,
}

/// Kinds in the order in which they are told.
const KINDS: [&str; 5] = ["pages", "attachments", "files", "maps", "unused"];
const UNUSED: u8 = 4;

fn kind(role: &Role<'_>) -> u8 {
    match role {
        Role::Pages(..) => 0,
        Role::Attachment(_) => 1,
        Role::Extra(..) | Role::Artifact(..) => 2,
        Role::Object(_) => 3,
    }
}

impl<'i> Count<'i> {
    fn new(index: &'i BlobIndex, is_complete: bool) -> Self {
        Self {
            index,
            needed: vec![(NOBODY, NOBODY); index.len()],
            kinds: vec![UNUSED; index.len()],
            largest: BTreeSet::new(),
            reached: BTreeMap::new(),
            is_complete,
        }
    }

    fn add(&mut self, snapshot: u32, blob: &BlobId, role: &Role<'_>) {
        let found = self.index.position(blob).and_then(|position| {
            let location = self.index.at(position)?;
            Some((location, self.needed.get_mut(position)?, self.kinds.get_mut(position)?))
        });
        let Some((location, (first, last), known)) = found else {
            self.is_complete = false;
            return;
        };
        if *last == snapshot {
            return;
        }
        if *first == NOBODY {
            *first = snapshot;
            *known = kind(role);
            if let Role::Attachment(bytes) = role {
                let stored_bytes = location.stored_len;
                self.largest.insert(LargeAttachment { bytes: *bytes, stored_bytes, hash: *blob });
                if self.largest.len() > LARGEST {
                    self.largest.pop_first();
                }
            }
        }
        *last = snapshot;
        let reached = self.reached.entry(snapshot).or_default();
        *reached = reached.saturating_add(location.stored_len);
    }

    fn told(self, repository: &Repository, packs: &[(PackId, u64)], manifests: &[(u32, Manifest)]) -> Usage {
        let mut own: BTreeMap<u32, u64> = BTreeMap::new();
        let mut kinds = KINDS.map(|kind| KindUsage { kind, blobs: 0, bytes: 0 });
        for (position, ((first, last), kind)) in self.needed.iter().zip(&self.kinds).enumerate() {
            let len = self.index.at(position).map_or(0, |location| location.stored_len);
            if let Some(usage) = kinds.get_mut(usize::from(*kind)) {
                usage.blobs = usage.blobs.saturating_add(1);
                usage.bytes = usage.bytes.saturating_add(len);
            }
            if first == last && *first != NOBODY {
                let own = own.entry(*first).or_default();
                *own = own.saturating_add(len);
            }
        }
        let pack_bytes = packs.iter().fold(0u64, |sum, (_, len)| sum.saturating_add(*len));
        let [needed @ .., unused] = &mut kinds;
        // With what is in no index, and headers and footers.
        unused.bytes = needed.iter().fold(pack_bytes, |left, kind| left.saturating_sub(kind.bytes));
        let is_reached = |position: usize| self.kinds.get(position).is_some_and(|kind| *kind != UNUSED);
        let dead = dead_by_pack(repository, packs, &is_reached);
        let mut packs: Vec<PackUsage> = packs
            .iter()
            .zip(dead)
            .map(|((pack, bytes), dead_bytes)| PackUsage { pack: *pack, bytes: *bytes, dead_bytes })
            .collect();
        packs.sort_by_key(|pack| (std::cmp::Reverse(pack.dead_bytes), pack.pack));
        let snapshots = manifests.iter().map(|(number, manifest)| {
            let own_bytes = own.get(number).copied().unwrap_or_default();
            let reached = self.reached.get(number).copied().unwrap_or_default();
            let is_base = |other: &&(u32, Manifest)| other.1.base() == Some(&manifest.snapshot_id);
            SnapshotUsage {
                snapshot_id: manifest.snapshot_id.clone(),
                created_at: manifest.created_at.clone(),
                own_bytes,
                shared_bytes: reached.saturating_sub(own_bytes),
                needed_by: manifests.iter().find(is_base).map(|(_, other)| other.snapshot_id.clone()),
            }
        });
        Usage {
            pack_bytes,
            is_complete: self.is_complete,
            snapshots: snapshots.collect(),
            kinds: kinds.to_vec(),
            packs,
            largest: self.largest.into_iter().rev().collect(),
            months: months(manifests),
        }
    }
}

fn months(manifests: &[(u32, Manifest)]) -> Vec<MonthUsage> {
    let mut months: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (_, manifest) in manifests {
        let month = manifest.created_at.get(..7).unwrap_or_default();
        let (snapshots, bytes) = months.entry(month).or_default();
        *snapshots = snapshots.saturating_add(1);
        *bytes = bytes.saturating_add(manifest.bytes_added);
    }
    let told = months.into_iter().map(|(month, (snapshots, bytes_added))| {
        let month = month.to_owned();
        MonthUsage { month, snapshots, bytes_added }
    });
    told.collect()
}
