//! The blobs that a run has stored, and where.

use std::collections::BTreeMap;

use msgvault_verifier::format::id::{BlobId, PackId};
use msgvault_verifier::format::index::IndexEntry;
use msgvault_verifier::format::pack::{Encoding, PackEntry};
use msgvault_verifier::length::to_u32;

/// The blobs of new packs, by ID; about 90 bytes each, and the only thing that a run keeps about every one.
#[derive(Debug, Default)]
pub struct NewBlobs {
    places: BTreeMap<BlobId, BlobPlace>,
    /// The packs, in the order in which they were begun.
    packs: Vec<PackId>,
    stored_bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct BlobPlace {
    /// A position in `packs`.
    pack: u32,
    encoding: Encoding,
    offset: u64,
    stored_len: u64,
}

impl NewBlobs {
    /// Adds a blob of the pack that is being filled.
    pub(super) fn add(&mut self, pack: PackId, entry: &PackEntry) {
        if self.packs.last() != Some(&pack) {
            self.packs.push(pack);
        }
        let PackEntry { id, offset, stored_len, encoding, .. } = *entry;
        let pack = to_u32(self.packs.len() - 1);
        self.places.insert(id, BlobPlace { pack, encoding, offset, stored_len });
        self.stored_bytes = self.stored_bytes.saturating_add(stored_len);
    }

    /// Whether a blob is one of them.
    pub(super) fn contains(&self, id: &BlobId) -> bool {
        self.places.contains_key(id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes that they occupy in the packs.
    pub fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    /// What the index says about them, by ascending ID.
    pub fn entries(&self) -> impl Iterator<Item = IndexEntry> {
        self.places.iter().filter_map(|(id, place)| {
            let BlobPlace { pack, encoding, offset, stored_len } = *place;
            let pack = *self.packs.get(usize::try_from(pack).ok()?)?;
            Some(IndexEntry { id: *id, pack, offset, stored_len, encoding })
        })
    }
}
