//! Which blobs must be read, grouped by pack.

use crate::length::to_u32;
use std::collections::{BTreeMap, HashSet};

use crate::format::id::{PackId, SnapshotId};
use crate::format::page_size::PageSize;
use crate::memory::TooLargeHere;
use crate::observer::{Observer, Phase};
use crate::pack::ReadError;
use crate::repository::{
    BlobError, BlobFault, BlobIndex, BlobSet, Location, PackSet, Repository, is_pack_folder,
};
use crate::snapshot::SnapshotError;
use crate::snapshot::references::{ReferenceReader, Role};
use crate::store::{StoreEntry, StoreError};

use super::not_checked::NotChecked;
use super::pages::{PageRanges, WantedPages};
use super::problem::{Problem, ProblemCode, load_code};
use super::{Depth, Scope};

/// Bytes of a page hash.
const HASH_LEN: u64 = 16;

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
    /// The packs that each snapshot needs, as far as its references could be followed.
    pub needs: Vec<(SnapshotId, PackSet)>,
    /// What is wrong with the repository itself.
    pub(super) problems: Vec<Problem>,
    /// What kept references of a snapshot from being known. The report tells the same in better words, unless
    /// it can be read by then: a medium that fails now and then must not pass.
    pub(super) doubts: Vec<Problem>,
    /// Files that the plan should have read and could not look at.
    pub(super) not_checked: Vec<NotChecked>,
    /// Page blobs of which no page is hashed, since there is not the memory to keep what that gives, and why.
    pub(super) unhashed: Option<(HashSet<u32>, TooLargeHere)>,
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
    /// The pages of which hashes are to be computed on the way, by blob and page size.
    pub pages: Vec<WantedPages>,
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
    /// The pages of which hashes are to be computed on the way, by blob and page size.
    pub pages: Vec<WantedPages>,
    /// Stored bytes of all of them.
    pub bytes: u64,
}

impl PackTask {
    /// Looks up where the blobs lie, in the index of the repository that the plan was made for.
    pub fn job(&self, index: &BlobIndex) -> PackJob {
        let locate = |wanted: &Wanted| Some((*wanted, index.at(usize::try_from(wanted.position).ok()?)?));
        let blobs = self.blobs.iter().filter_map(locate).collect();
        PackJob { pack: self.pack, blobs, pages: self.pages.clone(), bytes: self.bytes }
    }

    /// The wanted pages of a blob.
    pub(super) fn pages_of(&self, position: u32) -> &[WantedPages] {
        pages_of(&self.pages, position)
    }
}

impl PackJob {
    /// The wanted pages of a blob.
    pub(super) fn pages_of(&self, position: u32) -> &[WantedPages] {
        pages_of(&self.pages, position)
    }
}

fn pages_of(pages: &[WantedPages], position: u32) -> &[WantedPages] {
    let start = pages.partition_point(|wanted| wanted.position < position);
    let end = pages.partition_point(|wanted| wanted.position <= position);
    pages.get(start..end).unwrap_or_default()
}

/// A blob to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Its position in the repository's index.
    pub position: u32,
}

/// Finds out what must be read to verify `scope`.
pub fn plan(repository: &Repository, scope: &Scope, depth: Depth, observer: &dyn Observer) -> Plan {
    observer.begin(Phase::PLAN, 0);
    let (mut problems, mut doubts, mut not_checked) = (Vec::new(), Vec::new(), Vec::new());
    let snapshots = match scope {
        Scope::One(id) => vec![id.clone()],
        Scope::All => list_all(repository, &mut problems, &mut not_checked),
    };
    let before = not_checked.len();
    for (file, error) in repository.damaged_indexes() {
        match unseen(error) {
            Some(left) => not_checked.push(left),
            None => problems.push(Problem::of_file(ProblemCode::IndexDamaged, file, error.to_string())),
        }
    }
    let has_unseen_index = not_checked.len() > before;
    let mut wanted = WantedBlobs::new(repository.index());
    let mut references = ReferenceReader::default();
    let mut cancelled = false;
    let (mut needs, mut of_attachments) = (Vec::new(), PackSet::new(repository.index()));
    for id in &snapshots {
        cancelled |= observer.cancelled();
        if cancelled {
            break;
        }
        let mut of_others = PackSet::new(repository.index());
        match repository.manifest(id) {
            Ok(manifest) => references.each(
                repository,
                &manifest,
                observer,
                &mut |blob, role| {
                    let position = repository.index().position(blob);
                    if let Some(position) = position {
                        // An attachment that the last snapshot had too is not visited again.
                        let is_attachment = matches!(role, Role::Attachment(_));
                        let packs = if is_attachment { &mut of_attachments } else { &mut of_others };
                        packs.insert_of(repository.index(), position);
                    }
                    wanted.add(position, &role, depth);
                    true
                },
                &mut |error| match NotChecked::of_error(id, error) {
                    _ if error.is_stopped() => cancelled = true,
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
        of_others.join(&of_attachments);
        needs.push((id.clone(), of_others));
    }
    drop(references);
    let unhashed = wanted.bound_pages(repository);
    let tasks = wanted.into_tasks(repository.index());
    let all = *scope == Scope::All;
    Plan { depth, all, snapshots, tasks, needs, problems, doubts, not_checked, unhashed, cancelled }
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

fn list_all(
    repository: &Repository,
    problems: &mut Vec<Problem>,
    not_checked: &mut Vec<NotChecked>,
) -> Vec<SnapshotId> {
    match repository.listing() {
        Ok(listing) => {
            if listing.snapshots.is_empty() && has_packs(repository) {
                let detail = "there are packs and no manifest says what they are for";
                problems.push(Problem::of_file(ProblemCode::SnapshotsMissing, "snapshots", detail));
            }
            listing.snapshots
        }
        Err(error) => {
            if let Some(left) = NotChecked::of_store(None, &error) {
                not_checked.push(left);
            } else {
                let detail = error.to_string();
                problems.push(Problem::of_file(ProblemCode::SnapshotsUnreadable, "snapshots", detail));
            }
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

/// Blobs of the index, and pages in them.
struct WantedBlobs {
    blobs: BlobSet,
    pages: BTreeMap<(u32, PageSize), PageRanges>,
}

impl WantedBlobs {
    fn new(index: &BlobIndex) -> Self {
        Self { blobs: BlobSet::new(index), pages: BTreeMap::new() }
    }

    fn add(&mut self, position: Option<usize>, role: &Role<'_>, depth: Depth) {
        // A blob that no index names is found by the walk that makes the report.
        let Some(position) = position else { return };
        self.blobs.insert(position);
        if let Role::Pages(maps, runs) = role
            && depth != Depth::Quick
        {
            let size = maps.pages.page_size;
            self.pages.entry((to_u32(position), size)).or_default().add(runs, size);
        }
    }

    /// Gives up pages whose hashes there is no memory for, and says of which blobs they are. Which ones that are
    /// does not depend on the order of the checks.
    fn bound_pages(&mut self, repository: &Repository) -> Option<(HashSet<u32>, TooLargeHere)> {
        let mut needed = 0u64;
        let mut unhashed = HashSet::new();
        self.pages.retain(|(position, _), ranges| {
            needed = needed.saturating_add(ranges.count_within(u64::MAX).saturating_mul(HASH_LEN));
            let fits = needed <= repository.memory().limit();
            if !fits {
                unhashed.insert(*position);
            }
            fits
        });
        let error = repository.memory().allow(needed).err()?;
        if unhashed.is_empty() {
            // So much is allowed, and the system does not have it.
            unhashed.extend(std::mem::take(&mut self.pages).into_keys().map(|(position, _)| position));
        }
        Some((unhashed, error))
    }

    fn into_tasks(self, index: &BlobIndex) -> Vec<PackTask> {
        let mut packs: BTreeMap<PackId, PackTask> = BTreeMap::new();
        for position in (0..index.len()).filter(|position| self.blobs.contains(*position)) {
            let Some(location) = index.at(position) else { continue };
            let empty = || PackTask { pack: location.pack, blobs: Vec::new(), pages: Vec::new(), bytes: 0 };
            let task = packs.entry(location.pack).or_insert_with(empty);
            task.blobs.push(Wanted { position: to_u32(position) });
            task.bytes = task.bytes.saturating_add(location.stored_len);
        }
        for ((position, page_size), ranges) in self.pages {
            let location = usize::try_from(position).ok().and_then(|position| index.at(position));
            let task = location.and_then(|location| packs.get_mut(&location.pack));
            let Some(task) = task else { continue };
            task.pages.push(WantedPages { position, page_size, ranges });
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
