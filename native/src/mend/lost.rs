//! What of a repository's packs is lost, and what it was.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use msgvault_verifier::format::id::{BlobId, PackId, PageHash};
use msgvault_verifier::format::page_map::Run;
use msgvault_verifier::format::page_size::PageSize;
use msgvault_verifier::length::to_usize;
use msgvault_verifier::repository::{BlobSet, Location, Repository};
use msgvault_verifier::snapshot::references::{ReferenceReader, Role};
use msgvault_verifier::snapshot::{Maps, load_manifest};
use msgvault_verifier::{FrameError, Observer, Pack};

use crate::repo::pack_writer::PackKind;

/// What a lost blob was, as far as its content can be found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Pages of the database, by their number in the blob. The others are of snapshots that nobody has any more.
    Pages(PageSize, BTreeMap<u64, PageHash>),
    Attachment,
    /// A file beside database and attachments, by its path.
    File(String),
    /// What only the repository knew.
    Object(String),
    /// Nobody knows, since a map or a list is lost.
    Unknown,
}

/// What is lost, and what is left of the packs that it was in.
#[derive(Default)]
pub(super) struct Lost {
    /// What snapshots need or may need.
    pub(super) wanted: BTreeMap<BlobId, (Wanted, PackId)>,
    /// Blobs of these packs that are whole, by position in the index; the kind of those that a snapshot needs is known.
    pub(super) whole: BTreeMap<usize, Option<PackKind>>,
}

impl Lost {
    /// Reads every blob of these packs; none when the observer said to stop.
    pub(super) fn of(
        repository: &Repository,
        suspects: &BTreeSet<PackId>,
        observer: &dyn Observer,
    ) -> Option<Self> {
        let index = repository.index();
        let mut lost = Self::default();
        let mut bad = BlobSet::new(index);
        let mut of_packs: BTreeMap<PackId, Vec<(usize, Location)>> = BTreeMap::new();
        for position in 0..index.len() {
            if let Some(location) = index.at(position).filter(|location| suspects.contains(&location.pack)) {
                of_packs.entry(location.pack).or_default().push((position, location));
            }
        }
        for (id, blobs) in of_packs {
            let pack = repository.pack(id).ok();
            for (position, location) in blobs {
                if observer.cancelled() {
                    return None;
                }
                if pack.as_ref().is_some_and(|pack| is_whole(pack, &location)) {
                    lost.whole.insert(position, None);
                } else {
                    bad.insert(position);
                }
            }
        }
        if !lost.learn_roles(repository, &bad, observer) {
            for location in (0..index.len()).filter(|n| bad.contains(*n)).filter_map(|n| index.at(n)) {
                lost.wanted.entry(location.id).or_insert((Wanted::Unknown, location.pack));
            }
        }
        Some(lost)
    }

    /// Says whether everything that snapshots need is known.
    fn learn_roles(&mut self, repository: &Repository, bad: &BlobSet, observer: &dyn Observer) -> bool {
        let index = repository.index();
        let mut references = ReferenceReader::default();
        let ids = repository.listing().map(|listing| listing.snapshots).unwrap_or_default();
        let mut is_certain = !ids.is_empty();
        for id in ids {
            let Ok(manifest) = load_manifest(repository, &id) else {
                is_certain = false;
                continue;
            };
            let mut visit = |blob: &BlobId, role: Role<'_>| {
                let Some(position) = index.position(blob) else { return true };
                if let Some(kind) = self.whole.get_mut(&position) {
                    *kind = Some(PackKind::of(&role));
                } else if bad.contains(position)
                    && let Some(location) = index.at(position)
                {
                    let (wanted, _) =
                        self.wanted.entry(*blob).or_insert_with(|| (Wanted::of(&role), location.pack));
                    wanted.learn(&role);
                }
                true
            };
            references.each(repository, &manifest, observer, &mut visit, &mut |_| is_certain = false);
        }
        is_certain
    }
}

fn is_whole(pack: &Pack<'_>, location: &Location) -> bool {
    let Ok(entry) = location.check(pack.find(&location.id)) else { return false };
    match pack.stream(entry, &mut |_| ControlFlow::Continue(())) {
        // It may be good: there is not the memory to find out.
        Ok(()) | Err(FrameError::TooLargeHere(_)) => true,
        Err(_) => false,
    }
}

impl Wanted {
    fn of(role: &Role<'_>) -> Self {
        match role {
            Role::Pages(maps, _) => Self::Pages(maps.pages.page_size, BTreeMap::new()),
            Role::Attachment(_) => Self::Attachment,
            Role::Extra(path, _) => Self::File((*path).to_owned()),
            Role::Object(_) | Role::Artifact(..) => Self::Object(role.describe()),
        }
    }

    /// Each snapshot knows the pages of a blob that it uses.
    fn learn(&mut self, role: &Role<'_>) {
        let (Self::Pages(page_size, pages), Role::Pages(maps, runs)) = (self, role) else { return };
        for run in *runs {
            pages.extend(pages_of(*page_size, maps, run));
        }
    }

    /// For a sentence.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Pages(_, pages) => format!("{} pages of the database", pages.len()),
            Self::Attachment => "an attachment".to_owned(),
            Self::File(path) => format!("the file {path:?}"),
            Self::Object(what) => what.clone(),
            Self::Unknown => "a blob of unknown use".to_owned(),
        }
    }
}

/// The pages of a run, by their number in the blob.
fn pages_of(page_size: PageSize, maps: &Maps, run: &Run) -> impl Iterator<Item = (u64, PageHash)> {
    let first = run.blob_offset / page_size.bytes();
    let hashes = maps.hashes.hashes.iter().skip(to_usize(run.start_page));
    (first..).zip(hashes.take(to_usize(run.page_count)).copied())
}
