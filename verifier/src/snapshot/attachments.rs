//! The attachments of a snapshot: the union of its lists (`docs/format.md` §7).

use std::collections::HashSet;

use crate::decompress::Decompressor;
use crate::format::attachment_list::{self, Attachment};
use crate::format::id::BlobId;
use crate::format::manifest::Manifest;
use crate::repository::Repository;
use crate::store::Store;

use super::{SnapshotError, object};

/// Loads the attachments of one snapshot after another. Snapshots inherit the lists of their parents and add
/// one, so that lists with which the last snapshot began are not read again.
#[derive(Debug, Default)]
pub struct AttachmentReader {
    lists: Vec<BlobId>,
    attachments: Vec<Attachment>,
    /// Positions in `attachments`, sorted by ID.
    order: Vec<u32>,
}

impl AttachmentReader {
    /// The attachments of a snapshot in first-seen order, checked against each other and the manifest, and how many
    /// of them, from the first on, are those of the last snapshot.
    pub fn load_shared<S: Store, D: Decompressor>(
        &mut self,
        repository: &Repository<S, D>,
        manifest: &Manifest,
    ) -> Result<(&[Attachment], usize), SnapshotError> {
        // Put back when all went well: half of a snapshot's lists is nothing to build on.
        let mut known = std::mem::take(self);
        if !manifest.lists().starts_with(&known.lists) {
            known = Self::default();
        }
        let inherited = known.attachments.len();
        let added = manifest.lists().get(known.lists.len()..).unwrap_or_default();
        let mut names: HashSet<BlobId> = known.lists.iter().copied().collect();
        for blob in added {
            let left = manifest.attachments.blobs.saturating_sub(known.attachments.len() as u64);
            let limit = attachment_list::encoded_len(left);
            let list = object(repository, "the attachment list", *blob, limit, attachment_list::decode)?;
            if let Some(first) = list.first().filter(|_| names.contains(blob)) {
                return Err(twice(&first.id));
            }
            names.insert(*blob);
            known.attachments.extend(list);
        }
        known.lists.extend(added);
        if !added.is_empty() {
            known.sort()?;
        }
        known.check_totals(manifest)?;
        *self = known;
        Ok((&self.attachments, inherited))
    }

    /// Sorts what was added, and fails when an ID occurs twice.
    fn sort(&mut self) -> Result<(), SnapshotError> {
        let from = u32::try_from(self.order.len()).unwrap_or(u32::MAX);
        let to = u32::try_from(self.attachments.len()).unwrap_or(u32::MAX);
        self.order.extend(from..to);
        let attachments = &self.attachments;
        let id = |n: &u32| attachments.get(usize::try_from(*n).ok()?).map(|attachment| attachment.id);
        // The stable sort takes a sorted beginning as it is.
        self.order.sort_by_key(id);
        let mut neighbours = self.order.iter().zip(self.order.iter().skip(1));
        match neighbours.find(|(one, other)| id(one) == id(other)).and_then(|(one, _)| id(one)) {
            Some(id) => Err(twice(&id)),
            None => Ok(()),
        }
    }

    fn check_totals(&self, manifest: &Manifest) -> Result<(), SnapshotError> {
        let bytes = self.attachments.iter().fold(0u64, |sum, attachment| sum.saturating_add(attachment.size));
        check_totals(manifest, self.attachments.len() as u64, bytes)
    }
}

/// Loads the attachment lists and checks them against each other and the manifest.
pub fn load_attachments<S: Store, D: Decompressor>(
    repository: &Repository<S, D>,
    manifest: &Manifest,
) -> Result<Vec<Attachment>, SnapshotError> {
    let mut reader = AttachmentReader::default();
    reader.load_shared(repository, manifest)?;
    Ok(reader.attachments)
}

/// Reads the attachment lists of one snapshot, which need not be in memory whole, and checks them against the
/// manifest. `visit` says whether an attachment is met for the first time; what it was told is worth nothing unless
/// this returns `Ok`.
pub fn visit_attachments<S: Store, D: Decompressor>(
    repository: &Repository<S, D>,
    manifest: &Manifest,
    visit: &mut dyn FnMut(Attachment) -> bool,
) -> Result<(), SnapshotError> {
    let (mut count, mut bytes) = (0u64, 0u64);
    for blob in manifest.lists() {
        let what = "the attachment list";
        let limit = attachment_list::encoded_len(manifest.attachments.blobs.saturating_sub(count));
        let mut repeated = None;
        let mut decoder = attachment_list::Decoder::default();
        let mut each = |attachment: Attachment| {
            count = count.saturating_add(1);
            bytes = bytes.saturating_add(attachment.size);
            if !visit(attachment) {
                repeated.get_or_insert(attachment.id);
            }
        };
        repository
            .stream(blob, limit, &mut |piece| decoder.push(piece, &mut each))
            .map_err(|error| SnapshotError::Blob { what, error })?;
        decoder.finish().map_err(|error| SnapshotError::Object { what, blob: *blob, error })?;
        if let Some(id) = repeated {
            return Err(twice(&id));
        }
    }
    check_totals(manifest, count, bytes)
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

fn twice(id: &BlobId) -> SnapshotError {
    mismatch(format!("{id} occurs twice"))
}

fn mismatch(reason: String) -> SnapshotError {
    SnapshotError::Mismatch { what: "the attachment lists", reason }
}
