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
    /// Adds a blob of a pack that is being filled.
    pub(super) fn add(&mut self, pack: PackId, entry: &PackEntry) {
        self.move_to(pack, entry);
        self.stored_bytes = self.stored_bytes.saturating_add(entry.stored_len);
    }

    /// From now on a blob is in this pack.
    pub(super) fn move_to(&mut self, pack: PackId, entry: &PackEntry) {
        // The packs that are being filled are among the last.
        let known = self.packs.iter().rposition(|known| *known == pack);
        let number = known.unwrap_or_else(|| {
            self.packs.push(pack);
            self.packs.len() - 1
        });
        let PackEntry { id, offset, stored_len, encoding, .. } = *entry;
        self.places.insert(id, BlobPlace { pack: to_u32(number), encoding, offset, stored_len });
    }

    /// Whether a blob is one of them.
    pub(super) fn contains(&self, id: &BlobId) -> bool {
        self.places.contains_key(id)
    }

    /// Bytes that a blob occupies; `None` when it is none of them.
    pub fn stored_len(&self, id: &BlobId) -> Option<u64> {
        self.places.get(id).map(|place| place.stored_len)
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
