//! What a person wants to see of a repository and of one snapshot.

mod space;
mod usage;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::format::id::{BlobId, IndexId, SnapshotId};
use crate::format::lock::{EXCLUSIVE, LockName, LockRecord};
use crate::format::manifest::{Attachments, Auxiliary, DOCUMENT_DERIVATIVES, Manifest, Metadata, Options};
use crate::format::stats::ArchiveStats;
use crate::format::verified::{Verified, time_text};
use crate::repository::Repository;
use crate::shrink::{Shrinkage, Tolerance, losses};
use crate::snapshot::{ChainReader, ContentDigest, SnapshotError, load_attachments, load_extras};
use crate::store::{Store, StoreEntry, StoreError, read_file};

pub use space::{PageUse, Space};
pub use usage::{KindUsage, LargeAttachment, MonthUsage, PackUsage, SnapshotUsage, Usage, usage};

/// A repository as a whole.
#[derive(Debug, Clone, Serialize)]
pub struct RepositoryOverview {
    /// Its own name.
    pub repo_id: String,
    /// When it was made.
    pub created_at: String,
    /// Version of the format.
    pub format_version: u64,
    /// How packs are sealed.
    pub encryption: String,
    /// Blobs that the index names.
    pub blobs: usize,
    /// Packs that the index names.
    pub packs: usize,
    /// Bytes of its files, as far as they can be listed.
    pub bytes: u64,
    /// What of it the snapshots need, where that was asked for.
    pub space: Option<Space>,
    /// Who works on it, as far as lock files tell; how fresh they are is not known here.
    pub locks: Vec<LockSummary>,
    /// Snapshots, oldest first.
    pub snapshots: Vec<SnapshotSummary>,
    /// Snapshots that hold much less than the one before, and of what.
    pub shrunk: BTreeMap<String, Vec<Shrinkage>>,
    /// Snapshots that cannot be told about, and why.
    pub unreadable: BTreeMap<String, String>,
}

/// A lock file.
#[derive(Debug, Clone, Serialize)]
pub struct LockSummary {
    /// Its path.
    pub file: String,
    /// Whether it keeps everybody else out.
    pub exclusive: bool,
    /// `create`, `verify` or `restore`; none when the file is not a lock record.
    pub operation: Option<String>,
    /// The holder's host.
    pub hostname: Option<String>,
    /// The holder's process.
    pub pid: Option<u64>,
    /// When it was taken.
    pub acquired_at: Option<String>,
}

/// A snapshot's numbers.
#[derive(Debug, Clone, Serialize)]
pub struct SnapshotSummary {
    /// Its name.
    pub snapshot_id: SnapshotId,
    /// The snapshot before; empty for the first.
    pub parent_id: String,
    /// When it was made.
    pub created_at: String,
    /// The user's label.
    pub tag: String,
    /// Version of its manifest.
    pub format_version: u64,
    /// The oldest reader that understands it.
    pub min_reader_version: u64,
    /// Bytes a page of the database.
    pub page_size: u32,
    /// Pages of the database.
    pub page_count: u64,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Deltas down to the keyframe of its maps.
    pub map_chain_depth: u64,
    /// What its blobs hold beside the pages of the database, where that was asked for and can be read.
    pub page_use: Option<PageUse>,
    /// When it was last verified wholly: the oldest reading that this rests upon, as far as the repository's hints
    /// know and that was asked for.
    pub verified_at: Option<String>,
    /// Attachments, as the manifest tells.
    pub attachments: AttachmentNumbers,
    /// The extras tree; empty when there is none.
    pub extras_tree: String,
    /// How many auxiliary artifacts.
    pub auxiliary: usize,
    /// Whether it discloses that its database holds texts derived from documents.
    pub document_texts: bool,
    /// What was counted in the archive, as recorded.
    pub stats: Box<RawValue>,
    /// Packs that it added.
    pub packs_added: usize,
    /// Stored bytes that it added.
    pub bytes_added: u64,
    /// How long it took.
    pub duration_seconds: f64,
}

/// Attachments, as the manifest tells.
#[derive(Debug, Clone, Serialize)]
pub struct AttachmentNumbers {
    /// How they are laid out.
    pub layout: Option<Vec<String>>,
    /// Rows of the table.
    pub rows: u64,
    /// Distinct contents.
    pub blobs: u64,
    /// Bytes of the distinct contents.
    pub blob_bytes: u64,
    /// Reserved.
    pub recipes: Option<Vec<String>>,
    /// The lists.
    pub lists: Option<Vec<BlobId>>,
}

/// Everything about one snapshot.
#[derive(Debug, Clone, Serialize)]
pub struct SnapshotDetails {
    /// Its numbers.
    #[serde(flatten)]
    pub summary: SnapshotSummary,
    /// The program that wrote it.
    pub msgvault_version: String,
    /// How it was made.
    pub options: Options,
    /// What it holds in one hash; none where that cannot be read.
    pub content: Option<ContentDigest>,
    /// The page-map object.
    pub page_map: Option<BlobId>,
    /// The page-hash object.
    pub page_hash_map: Option<BlobId>,
    /// What is never captured.
    pub excluded: Vec<String>,
    /// Packs that it added.
    pub new_packs: Vec<String>,
    /// The index that it added.
    pub new_index: Option<IndexId>,
    /// A portable logical metadata blob.
    pub metadata: Option<Metadata>,
    /// Auxiliary artifacts.
    pub auxiliary_artifacts: Vec<Auxiliary>,
    /// Attachments in first-seen order.
    pub attachment_list: Vec<AttachmentSummary>,
    /// Other files.
    pub extras: Vec<ExtraSummary>,
}

/// One attachment.
#[derive(Debug, Clone, Serialize)]
pub struct AttachmentSummary {
    /// The SHA-256 of its content.
    pub sha256: BlobId,
    /// Bytes.
    pub size: u64,
}

/// One file of the extras.
#[derive(Debug, Clone, Serialize)]
pub struct ExtraSummary {
    /// Where it goes.
    pub path: String,
    /// Permission bits, as four octal digits.
    pub mode: String,
    /// Bytes.
    pub size: u64,
    /// The SHA-256 of its content.
    pub sha256: BlobId,
}

/// Tells about a repository. Snapshots that cannot be read are named with the reason.
pub fn overview(repository: &Repository) -> Result<RepositoryOverview, StoreError> {
    let listing = repository.listing()?;
    let mut unreadable = BTreeMap::new();
    let mut snapshots = Vec::with_capacity(listing.snapshots.len());
    for id in listing.snapshots {
        match repository.manifest(&id) {
            Ok(manifest) => snapshots.push(SnapshotSummary::of(&manifest)),
            Err(error) => {
                unreadable.insert(id.to_string(), error.to_string());
            }
        }
    }
    let config = repository.config();
    Ok(RepositoryOverview {
        repo_id: config.repo_id.to_string(),
        created_at: config.created_at.clone(),
        format_version: config.format_version,
        encryption: config.encryption.clone(),
        blobs: repository.index().len(),
        packs: repository.index().packs().len(),
        bytes: repository_bytes(repository.store()),
        space: None,
        locks: locks(repository.store()),
        shrunk: shrunk(&snapshots),
        snapshots,
        unreadable,
    })
}

/// What each snapshot lost since the one before it that can be read.
fn shrunk(snapshots: &[SnapshotSummary]) -> BTreeMap<String, Vec<Shrinkage>> {
    let stats = |snapshot: &SnapshotSummary| ArchiveStats::from_json(snapshot.stats.get());
    let pairs = snapshots.iter().zip(snapshots.iter().skip(1));
    let lost = pairs.filter_map(|(before, after)| {
        let lost = losses(&stats(before)?, &stats(after)?, Tolerance::USUAL);
        (!lost.is_empty()).then(|| (after.snapshot_id.to_string(), lost))
    });
    lost.collect()
}

/// Tells about a repository, and how much of its space the snapshots need. That takes as long as a quick verification.
pub fn overview_with_space(repository: &Repository) -> Result<RepositoryOverview, StoreError> {
    let mut overview = overview(repository)?;
    let (space, uses) = space::measure(repository, &repository.listing()?.snapshots);
    overview.space = space;
    for snapshot in &mut overview.snapshots {
        snapshot.page_use = uses.get(&snapshot.snapshot_id).copied();
    }
    Ok(overview)
}

/// Tells everything about one snapshot.
pub fn details(repository: &Repository, id: &SnapshotId) -> Result<SnapshotDetails, SnapshotError> {
    let manifest = crate::snapshot::load_manifest(repository, id)?;
    let attachments = load_attachments(repository, &manifest, &())?;
    let extras = load_extras(repository, &manifest, &())?;
    let extra = |file: crate::format::extras::ExtraFile| ExtraSummary {
        path: file.path.relative().as_str().to_owned(),
        mode: format!("{:04o}", file.mode & 0o7777),
        size: file.size,
        sha256: file.blob,
    };
    let maps = ChainReader::default().load(repository, &manifest, &()).ok();
    let page_use = maps.as_ref().and_then(|maps| space::page_use(repository, maps));
    let content =
        maps.map(|maps| ContentDigest::of_parts(&manifest, &maps.hashes, &attachments, repository.index()));
    Ok(SnapshotDetails {
        summary: SnapshotSummary { page_use, ..SnapshotSummary::of(&manifest) },
        auxiliary_artifacts: manifest.auxiliary().to_vec(),
        msgvault_version: manifest.msgvault_version,
        options: manifest.options,
        content,
        page_map: manifest.db.page_map,
        page_hash_map: manifest.db.page_hash_map,
        excluded: manifest.excluded.unwrap_or_default(),
        new_packs: manifest.new_packs.unwrap_or_default().iter().map(ToString::to_string).collect(),
        new_index: manifest.new_index,
        metadata: manifest.metadata,
        attachment_list: attachments
            .iter(repository.index())
            .map(|attachment| AttachmentSummary { sha256: attachment.id, size: attachment.size })
            .collect(),
        extras: extras.into_iter().map(extra).collect(),
    })
}

/// The lock files of a repository, whoever left them.
pub fn locks(store: &dyn Store) -> Vec<LockSummary> {
    let entries = store.list("locks").unwrap_or_default();
    let mut names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
    names.sort();
    let summary = |name: String| {
        let kind = LockName::of(&name).filter(|kind| *kind != LockName::Releasing)?;
        let file = format!("locks/{name}");
        let record = read_file(store, &file, 1 << 16).ok().and_then(|json| LockRecord::decode(&json));
        Some(LockSummary {
            exclusive: kind == LockName::Exclusive && file == EXCLUSIVE,
            operation: record.as_ref().map(|record| record.operation.clone()),
            hostname: record.as_ref().map(|record| record.hostname.clone()),
            pid: record.as_ref().map(|record| record.pid),
            acquired_at: record.map(|record| record.since()),
            file,
        })
    };
    names.into_iter().filter_map(summary).collect()
}

impl RepositoryOverview {
    /// Takes from hints when each snapshot was last verified.
    pub fn tell_verified(&mut self, known: &Verified) {
        self.snapshots.iter_mut().for_each(|snapshot| snapshot.tell_verified(known));
    }
}

impl SnapshotSummary {
    /// The numbers that a manifest states.
    pub fn of(manifest: &Manifest) -> Self {
        let text = |id: Option<String>| id.unwrap_or_default();
        Self {
            snapshot_id: manifest.snapshot_id.clone(),
            parent_id: text(manifest.parent_id.as_ref().map(ToString::to_string)),
            created_at: manifest.created_at.clone(),
            tag: manifest.options.tag.clone(),
            format_version: manifest.format_version,
            min_reader_version: manifest.min_reader_version,
            page_size: manifest.db.page_size,
            page_count: manifest.db.page_count,
            database_bytes: manifest.database_bytes(),
            map_chain_depth: manifest.db.map_chain_depth,
            page_use: None,
            verified_at: None,
            attachments: AttachmentNumbers::of(&manifest.attachments),
            extras_tree: text(manifest.extras.tree.as_ref().map(ToString::to_string)),
            auxiliary: manifest.auxiliary().len(),
            document_texts: manifest.auxiliary().iter().any(|item| item.name == DOCUMENT_DERIVATIVES),
            stats: RawValue::from_string(manifest.stats_json()).unwrap_or_else(|_| manifest.stats.clone()),
            packs_added: manifest.new_packs.as_ref().map_or(0, Vec::len),
            bytes_added: manifest.bytes_added,
            duration_seconds: manifest.duration_seconds,
        }
    }

    /// Takes from hints when it was last verified.
    pub fn tell_verified(&mut self, known: &Verified) {
        self.verified_at = known.snapshots.get(&self.snapshot_id).map(|at| time_text(*at));
    }

    /// How many messages, where the archive is msgvault's.
    pub fn messages(&self) -> Option<u64> {
        ArchiveStats::from_json(self.stats.get()).map(|stats| stats.messages)
    }
}

impl AttachmentNumbers {
    fn of(attachments: &Attachments) -> Self {
        let Attachments { layout, rows, blobs, blob_bytes, recipes, lists } = attachments.clone();
        Self { layout, rows, blobs, blob_bytes, recipes, lists }
    }
}

/// Adds up the repository's own folders. Whatever lies beside them is not its own, and may be unreadable,
/// endless or a link to anywhere.
fn repository_bytes(store: &dyn Store) -> u64 {
    let own = [
        "config.toml",
        "snapshots",
        "packs",
        "indexes",
        "locks",
        "staging",
        "keys",
        "sums",
        "retention",
        "trash",
        "verified",
    ];
    let entries = store.list("").unwrap_or_default();
    let entries = entries.into_iter().filter(|entry| own.contains(&entry.name.as_str()));
    entries.fold(0, |sum, entry| sum.saturating_add(entry_bytes(store, "", &entry, 2)))
}

fn entry_bytes(store: &dyn Store, folder: &str, entry: &StoreEntry, depth: u32) -> u64 {
    if !entry.is_folder {
        return entry.len;
    }
    let Some(below) = depth.checked_sub(1) else { return 0 };
    let folder = if folder.is_empty() { entry.name.clone() } else { format!("{folder}/{}", entry.name) };
    let entries = store.list(&folder).unwrap_or_default();
    entries.iter().fold(0, |sum, entry| sum.saturating_add(entry_bytes(store, &folder, entry, below)))
}
