//! Which blobs must be read, grouped by pack.

use crate::length::to_u32;
use std::collections::BTreeMap;

use crate::format::id::{PackId, SnapshotId};
use crate::format::page_size::PageSize;
use crate::observer::{Observer, Phase};
use crate::pack::ReadError;
use crate::repository::{BlobError, BlobFault, BlobIndex, Location, Repository, is_pack_folder};
use crate::snapshot::SnapshotError;
use crate::snapshot::references::ReferenceReader;
use crate::store::{StoreEntry, StoreError};

use super::not_checked::NotChecked;
use super::problem::{Problem, ProblemCode, load_code};
use super::{Depth, Scope};

/// What must be checked.
#[derive(Debug)]
pub struct Plan {
    /// How deep to look.
    pub depth: Depth,
    /// Whether every snapshot is in it.
    pub all: bool,
    /// The snapshots, oldest first.
    pub snapshots: Vec<SnapshotId>,
    /// What to read, a task a pack; each can be done on its own.
    pub tasks: Vec<PackTask>,
    /// What is wrong with the repository itself.
    pub(super) problems: Vec<Problem>,
    /// What kept references of a snapshot from being known. The report tells the same in better words, unless
    /// it can be read by then: a medium that fails now and then must not pass.
    pub(super) doubts: Vec<Problem>,
    /// Files that the plan should have read and could not look at.
    pub(super) not_checked: Vec<NotChecked>,
    /// Whether the walk was cut short.
    pub(super) cancelled: bool,
}

impl Plan {
    /// Stored bytes of all tasks.
    pub fn bytes(&self) -> u64 {
        self.tasks.iter().fold(0, |sum, task| sum.saturating_add(task.bytes))
    }
}

/// The blobs to check in one pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackTask {
    /// The pack.
    pub pack: PackId,
    /// Its blobs, in the order in which they lie in it.
    pub blobs: Vec<Wanted>,
    /// Stored bytes of all of them.
    pub bytes: u64,
}

/// A task with everything that is needed to do it away from the repository's index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackJob {
    /// The pack.
    pub pack: PackId,
    /// Its blobs and where they lie.
    pub blobs: Vec<(Wanted, Location)>,
    /// Stored bytes of all of them.
    pub bytes: u64,
}

impl PackTask {
    /// Looks up where the blobs lie, in the index of the repository that the plan was made for.
    pub fn job(&self, index: &BlobIndex) -> PackJob {
        let locate = |wanted: &Wanted| Some((*wanted, index.at(usize::try_from(wanted.position).ok()?)?));
        PackJob { pack: self.pack, blobs: self.blobs.iter().filter_map(locate).collect(), bytes: self.bytes }
    }
}

/// A blob to check, and which page hashes to compute on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Its position in the repository's index.
    pub position: u32,
    /// A bit a page size: bit `n` is `512 << n` bytes.
    pub page_sizes: u8,
}

impl Wanted {
    /// The page sizes for which hashes are wanted.
    pub fn page_sizes(self) -> impl Iterator<Item = PageSize> {
        (0..8u32)
            .filter(move |bit| self.page_sizes >> bit & 1 == 1)
            .filter_map(|bit| PageSize::new(512 << bit))
    }
}

/// Finds out what must be read to verify `scope`.
pub fn plan(repository: &Repository, scope: &Scope, depth: Depth, observer: &dyn Observer) -> Plan {
    observer.begin(Phase::PLAN, 0);
    let (mut problems, mut doubts, mut not_checked) = (Vec::new(), Vec::new(), Vec::new());
    let snapshots = match scope {
        Scope::One(id) => vec![id.clone()],
        Scope::All => list_all(repository, &mut problems),
    };
    for (file, error) in repository.damaged_indexes() {
        match unseen(error) {
            Some(left) => not_checked.push(left),
            None => problems.push(Problem::of_file(ProblemCode::IndexDamaged, file, error.to_string())),
        }
    }
    let has_unseen_index = !not_checked.is_empty();
    let mut wanted = WantedBlobs::new(repository.index().len());
    let mut references = ReferenceReader::default();
    let mut cancelled = false;
    for id in &snapshots {
        if observer.cancelled() {
            cancelled = true;
            break;
        }
        match repository.manifest(id) {
            Ok(manifest) => references.each(
                repository,
                &manifest,
                &mut |blob, role| {
                    wanted.add(repository.index().position(blob), role.page_size());
                    true
                },
                &mut |error| match NotChecked::of_error(id, error) {
                    Some(left) => not_checked.push(left),
                    None if has_unseen_index && is_not_indexed(error) => {}
                    None => doubts.push(Problem::of_error(id, error)),
                },
            ),
            Err(error) => match NotChecked::of_manifest(id, &error) {
                Some(left) => not_checked.push(left),
                None => problems.push(Problem::of_snapshot(id, load_code(&error), error.to_string())),
            },
        }
    }
    drop(references);
    let tasks = wanted.into_tasks(repository.index());
    Plan { depth, all: *scope == Scope::All, snapshots, tasks, problems, doubts, not_checked, cancelled }
}

/// An index file that may be intact, and that nobody could look at.
fn unseen(error: &ReadError) -> Option<NotChecked> {
    match error {
        ReadError::Store(error) => NotChecked::of_store(None, error),
        ReadError::Decode(_) => None,
    }
}

fn is_not_indexed(error: &SnapshotError) -> bool {
    matches!(error, SnapshotError::Blob { error: BlobError { fault: BlobFault::NotIndexed, .. }, .. })
}

fn list_all(repository: &Repository, problems: &mut Vec<Problem>) -> Vec<SnapshotId> {
    match repository.listing() {
        Ok(listing) => {
            if listing.snapshots.is_empty() && has_packs(repository) {
                let detail = "there are packs and no manifest says what they are for";
                problems.push(Problem::of_file(ProblemCode::SnapshotsMissing, "snapshots", detail));
            }
            listing.snapshots
        }
        Err(error) => {
            problems.push(Problem::of_file(ProblemCode::SnapshotsUnreadable, "snapshots", error.to_string()));
            Vec::new()
        }
    }
}

/// Whether anything was ever stored. What cannot be listed counts: something is there.
fn has_packs(repository: &Repository) -> bool {
    let store = repository.store();
    let folders = match store.list("packs") {
        Ok(entries) => entries.into_iter().map(|entry| entry.name).filter(|name| is_pack_folder(name)),
        Err(StoreError::Missing { .. }) => return false,
        Err(_) => return true,
    };
    folders.map(|folder| format!("packs/{folder}")).any(|folder| {
        let is_pack = |entry: &StoreEntry| PackId::of_path(&format!("{folder}/{}", entry.name)).is_some();
        store.list(&folder).map_or(true, |entries| entries.iter().any(is_pack))
    })
}

/// Two bytes a blob of the index: the wanted page sizes, and whether it is wanted at all.
struct WantedBlobs(Vec<u16>);

impl WantedBlobs {
    const WANTED: u16 = 0x100;

    fn new(blobs: usize) -> Self {
        Self(vec![0; blobs])
    }

    fn add(&mut self, position: Option<usize>, page_size: Option<PageSize>) {
        // A blob that no index names is found by the walk that makes the report.
        let Some(mark) = position.and_then(|position| self.0.get_mut(position)) else { return };
        *mark |= Self::WANTED;
        if let Some(size) = page_size {
            *mark |= 1 << (size.get() / 512).trailing_zeros();
        }
    }

    fn into_tasks(self, index: &BlobIndex) -> Vec<PackTask> {
        let mut packs: BTreeMap<PackId, PackTask> = BTreeMap::new();
        for (position, mark) in self.0.iter().enumerate().filter(|(_, mark)| **mark & Self::WANTED != 0) {
            let Some(location) = index.at(position) else { continue };
            let empty = || PackTask { pack: location.pack, blobs: Vec::new(), bytes: 0 };
            let task = packs.entry(location.pack).or_insert_with(empty);
            let page_sizes = mark.to_le_bytes()[0];
            task.blobs.push(Wanted { position: to_u32(position), page_sizes });
            task.bytes = task.bytes.saturating_add(location.stored_len);
        }
        let offset = |wanted: &Wanted| index.at(usize::try_from(wanted.position).ok()?).map(|at| at.offset);
        let finished = |mut task: PackTask| {
            task.blobs.sort_unstable_by_key(offset);
            task.blobs.shrink_to_fit();
            task
        };
        packs.into_values().map(finished).collect()
    }
}
