//! The attachments of a snapshot: the union of its lists (`docs/format.md` §7).

use crate::length::{to_u64, to_usize};
use std::collections::{HashMap, HashSet};

use crate::format::attachment_list::{self, Attachment};
use crate::format::id::BlobId;
use crate::format::manifest::Manifest;
use crate::observer::Observer;
use crate::repository::{BlobIndex, BlobSet, Repository};

use super::{SnapshotError, SnapshotObject};

/// What a list is, for a sentence.
const LIST: &str = "the attachment list";

/// Attachments in first-seen order; 12 bytes each, for those that the index has.
#[derive(Debug, Clone, Default)]
pub struct AttachmentSet {
    /// Where they are in the index, and how many bytes they have.
    positions: Vec<u32>,
    sizes: Vec<u64>,
    /// Those that the index does not have, by number.
    not_indexed: HashMap<usize, BlobId>,
}

/// Takes the place of a position that there is none of.
const NOT_INDEXED: u32 = u32::MAX;

impl AttachmentSet {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// The position in the index of the attachment of this number, if it has one.
    pub fn position(&self, number: usize) -> Option<u32> {
        self.positions.get(number).copied().filter(|position| *position != NOT_INDEXED)
    }

    /// The attachment of this number. `index` is the one with which they were read.
    pub fn get(&self, index: &BlobIndex, number: usize) -> Option<Attachment> {
        let size = *self.sizes.get(number)?;
        let id = match self.position(number) {
            Some(position) => index.at(usize::try_from(position).ok()?)?.id,
            None => *self.not_indexed.get(&number)?,
        };
        Some(Attachment { id, size })
    }

    /// All of them.
    pub fn iter<'a>(&'a self, index: &'a BlobIndex) -> impl Iterator<Item = Attachment> + 'a {
        (0..self.len()).filter_map(|number| self.get(index, number))
    }

    fn reserve(&mut self, stated: u64, index: &BlobIndex) {
        // What a manifest states is no reason to take more than the repository has blobs.
        let count = to_usize(stated).min(index.len());
        let more = count.saturating_sub(self.len());
        self.positions.reserve_exact(more);
        self.sizes.reserve_exact(more);
    }

    fn push(&mut self, position: Option<u32>, attachment: Attachment) {
        if position.is_none() {
            self.not_indexed.insert(self.len(), attachment.id);
        }
        self.positions.push(position.unwrap_or(NOT_INDEXED));
        self.sizes.push(attachment.size);
    }
}

/// Which blobs were met.
#[derive(Debug, Default)]
struct Met {
    indexed: Option<BlobSet>,
    others: HashSet<BlobId>,
}

impl Met {
    /// Gives the position of a blob, and whether it is met for the first time.
    fn meet(&mut self, index: &BlobIndex, id: &BlobId) -> (Option<u32>, bool) {
        let Some(position) = index.position(id) else { return (None, self.others.insert(*id)) };
        let is_new = self.indexed.get_or_insert_with(|| BlobSet::new(index)).insert(position);
        (u32::try_from(position).ok(), is_new)
    }
}

/// Loads the attachments of one snapshot after another. Snapshots inherit the lists of their parents and add
/// one, so that lists with which the last snapshot began are not read again.
#[derive(Debug, Default)]
pub struct AttachmentReader {
    lists: Vec<BlobId>,
    attachments: AttachmentSet,
    met: Met,
    bytes: u64,
}

impl AttachmentReader {
    /// The attachments of a snapshot in first-seen order, checked against each other and the manifest, and
    /// how many of them, from the first on, are those of the last snapshot.
    pub fn load_shared(
        &mut self,
        repository: &Repository,
        manifest: &Manifest,
        observer: &dyn Observer,
    ) -> Result<(&AttachmentSet, usize), SnapshotError> {
        // Put back when all went well: half of a snapshot's lists is nothing to build on.
        let mut known = std::mem::take(self);
        if !manifest.lists().starts_with(&known.lists) {
            known = Self::default();
        }
        let inherited = known.attachments.len();
        known.attachments.reserve(manifest.attachments.blobs, repository.index());
        let added = manifest.lists().get(known.lists.len()..).unwrap_or_default();
        let Self { lists, attachments, met, bytes } = &mut known;
        for list in added {
            let left = manifest.attachments.blobs.saturating_sub(to_u64(attachments.len()));
            let object = SnapshotObject { repository, observer, what: LIST, blob: *list };
            visit_list(&object, left, &mut |attachment| {
                let (position, is_new) = met.meet(repository.index(), &attachment.id);
                if is_new {
                    attachments.push(position, attachment);
                    *bytes = bytes.saturating_add(attachment.size);
                }
                is_new
            })?;
            lists.push(*list);
        }
        check_totals(manifest, to_u64(known.attachments.len()), known.bytes)?;
        *self = known;
        Ok((&self.attachments, inherited))
    }
}

/// Loads the attachment lists and checks them against each other and the manifest.
pub fn load_attachments(
    repository: &Repository,
    manifest: &Manifest,
    observer: &dyn Observer,
) -> Result<AttachmentSet, SnapshotError> {
    let mut reader = AttachmentReader::default();
    reader.load_shared(repository, manifest, observer)?;
    Ok(reader.attachments)
}

/// Reads the attachment lists of one snapshot, which need not be in memory whole, and checks them against the
/// manifest. `visit` says whether an attachment is met for the first time; what it was told is worth nothing
/// unless this returns `Ok`.
pub fn visit_attachments(
    repository: &Repository,
    manifest: &Manifest,
    observer: &dyn Observer,
    visit: &mut dyn FnMut(Attachment) -> bool,
) -> Result<(), SnapshotError> {
    let (mut count, mut bytes) = (0u64, 0u64);
    for list in manifest.lists() {
        let left = manifest.attachments.blobs.saturating_sub(count);
        let object = SnapshotObject { repository, observer, what: LIST, blob: *list };
        visit_list(&object, left, &mut |attachment| {
            count = count.saturating_add(1);
            bytes = bytes.saturating_add(attachment.size);
            visit(attachment)
        })?;
    }
    check_totals(manifest, count, bytes)
}

/// Reads a list of at most `left` attachments. Fails when `visit` says of one that it was met before: of that and
/// what follows it is not told.
fn visit_list(
    object: &SnapshotObject<'_>,
    left: u64,
    visit: &mut dyn FnMut(Attachment) -> bool,
) -> Result<(), SnapshotError> {
    let mut repeated = None;
    let mut decoder = attachment_list::ListDecoder::default();
    let mut each = |attachment: Attachment| {
        if repeated.is_none() && !visit(attachment) {
            repeated = Some(attachment.id);
        }
    };
    let stored = object.find(attachment_list::encoded_len(left))?;
    object.stream(&stored, &mut |piece| decoder.push(piece, &mut each))?;
    decoder.finish().map_err(|error| object.invalid(error))?;
    match repeated {
        Some(id) => Err(mismatch(format!("{id} occurs twice"))),
        None => Ok(()),
    }
}

fn check_totals(manifest: &Manifest, count: u64, bytes: u64) -> Result<(), SnapshotError> {
    let stated = &manifest.attachments;
    if (count, bytes) == (stated.blobs, stated.blob_bytes) {
        return Ok(());
    }
    Err(mismatch(format!(
        "they hold {count} attachments of {bytes} bytes, the manifest states {} of {}",
        stated.blobs, stated.blob_bytes
    )))
}

fn mismatch(reason: String) -> SnapshotError {
    SnapshotError::Lists { reason }
}
