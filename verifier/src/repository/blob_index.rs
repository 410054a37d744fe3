//! Which pack holds a blob: the union of all index files (`docs/format.md` §4).

use crate::length::{to_u32, to_usize};
use std::collections::HashMap;

use crate::format::id::{BlobId, PackId};
use crate::format::index::{self, IndexEntry};
use crate::format::pack::{Encoding, PackEntry};

use super::BlobFault;

/// The blobs of a repository by ID; 56 bytes each.
#[derive(Debug, Default)]
pub struct BlobIndex {
    slots: Vec<Slot>,
    packs: Vec<PackId>,
    numbers: HashMap<PackId, u32>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    id: BlobId,
    pack: u32,
    encoding: Encoding,
    offset: u64,
    stored_len: u64,
}

/// Some of the blobs of an index, by position; a bit a blob.
#[derive(Debug)]
pub struct BlobSet(Bits);

impl BlobSet {
    /// None of the blobs of `index`.
    pub fn new(index: &BlobIndex) -> Self {
        Self(Bits::new(index.len()))
    }

    /// Adds a blob; says whether it was not in there.
    pub fn insert(&mut self, position: usize) -> bool {
        self.0.insert(position)
    }

    /// Whether a blob is in there.
    pub fn contains(&self, position: usize) -> bool {
        self.0.contains(position)
    }
}

/// Some of the packs of an index; a bit a pack.
#[derive(Debug, Clone)]
pub struct PackSet(Bits);

impl PackSet {
    /// None of the packs of `index`.
    pub fn new(index: &BlobIndex) -> Self {
        Self(Bits::new(index.packs.len()))
    }

    /// Adds the pack that holds the blob at a position.
    pub fn insert_of(&mut self, index: &BlobIndex, position: usize) {
        if let Some(slot) = index.slots.get(position) {
            self.0.insert(to_usize(slot.pack));
        }
    }

    /// Adds the packs of another set of the same index.
    pub fn join(&mut self, other: &Self) {
        for (word, other) in self.0.0.iter_mut().zip(&other.0.0) {
            *word |= other;
        }
    }

    /// The packs that are in there.
    pub fn packs<'i>(&self, index: &'i BlobIndex) -> impl Iterator<Item = PackId> + use<'i, '_> {
        index.packs.iter().enumerate().filter(|(number, _)| self.0.contains(*number)).map(|(_, pack)| *pack)
    }
}

#[derive(Debug, Clone)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    fn insert(&mut self, position: usize) -> bool {
        let Some(word) = self.0.get_mut(position / 64) else { return false };
        let bit = 1 << (position % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn contains(&self, position: usize) -> bool {
        self.0.get(position / 64).is_some_and(|word| word >> (position % 64) & 1 == 1)
    }
}

/// The end of what was added so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    slots: usize,
    packs: usize,
}

/// Where a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The blob.
    pub id: BlobId,
    /// The pack that holds it.
    pub pack: PackId,
    /// Bytes from the start of the pack.
    pub offset: u64,
    /// Bytes in the pack.
    pub stored_len: u64,
    /// How it is stored.
    pub encoding: Encoding,
}

impl From<Location> for IndexEntry {
    fn from(Location { id, pack, offset, stored_len, encoding }: Location) -> Self {
        Self { id, pack, offset, stored_len, encoding }
    }
}

impl Location {
    /// Takes the one of the footer's entries of the blob that says the same as the index.
    pub fn check<'e>(&self, entries: &'e [PackEntry]) -> Result<&'e PackEntry, BlobFault> {
        if entries.is_empty() {
            return Err(BlobFault::NotInPack);
        }
        let agrees = |entry: &&PackEntry| {
            entry.offset == self.offset
                && entry.stored_len == self.stored_len
                && entry.encoding == self.encoding
        };
        entries.iter().find(agrees).ok_or(BlobFault::Disagrees)
    }
}

impl BlobIndex {
    /// Adds an entry; those of later index files win.
    pub(super) fn add(&mut self, entry: &IndexEntry) {
        let pack = *self.numbers.entry(entry.pack).or_insert_with(|| {
            self.packs.push(entry.pack);
            to_u32(self.packs.len() - 1)
        });
        let IndexEntry { id, offset, stored_len, encoding, .. } = *entry;
        self.slots.push(Slot { id, pack, encoding, offset, stored_len });
    }

    /// Makes room for the entries of index files of so many bytes together.
    pub(super) fn reserve(&mut self, bytes: u64) {
        let entries = to_usize(bytes) / index::ENTRY_LEN;
        // Without it the room grows as the entries come.
        let _ = self.slots.try_reserve_exact(entries);
    }

    /// How much there is, to take back what is added from here on.
    pub(super) fn mark(&self) -> Mark {
        Mark { slots: self.slots.len(), packs: self.packs.len() }
    }

    /// Takes back what was added since, from an index file that turned out to be damaged.
    pub(super) fn take_back(&mut self, since: Mark) {
        self.slots.truncate(since.slots);
        for pack in self.packs.drain(since.packs..) {
            self.numbers.remove(&pack);
        }
    }

    /// Sorts what was added and keeps the last of each blob.
    pub(super) fn finish(&mut self) {
        // Stable, so that of equal blobs the later file's entry stays behind.
        self.slots.sort_by_key(|slot| slot.id);
        self.slots.reverse();
        self.slots.dedup_by(|later, kept| later.id == kept.id);
        self.slots.reverse();
        self.slots.shrink_to_fit();
    }

    /// How many blobs there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The packs that any index file names, in order of first use.
    pub fn packs(&self) -> &[PackId] {
        &self.packs
    }

    /// Where a blob is.
    pub fn find(&self, id: &BlobId) -> Option<Location> {
        self.at(self.position(id)?)
    }

    /// The position of a blob, which stays the same as long as the repository is open.
    pub fn position(&self, id: &BlobId) -> Option<usize> {
        self.slots.binary_search_by(|slot| slot.id.cmp(id)).ok()
    }

    /// The blob at a position.
    pub fn at(&self, position: usize) -> Option<Location> {
        let slot = self.slots.get(position)?;
        let pack = *self.packs.get(usize::try_from(slot.pack).ok()?)?;
        let Slot { id, encoding, offset, stored_len, .. } = *slot;
        Some(Location { id, pack, offset, stored_len, encoding })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fill: u8, pack: u64) -> IndexEntry {
        IndexEntry {
            id: BlobId::from_bytes([fill; 32]),
            pack: PackId::from_parts(pack, 0),
            offset: 6,
            stored_len: 1,
            encoding: Encoding::Raw,
        }
    }

    #[test]
    fn the_later_file_wins() {
        let mut index = BlobIndex::default();
        for entry in [entry(1, 1), entry(2, 1), entry(0, 2), entry(2, 2)] {
            index.add(&entry);
        }
        index.finish();
        let pack_of = |fill| index.find(&BlobId::from_bytes([fill; 32])).map(|location| location.pack);
        assert_eq!(index.len(), 3);
        assert_eq!(pack_of(0), Some(PackId::from_parts(2, 0)));
        assert_eq!(pack_of(1), Some(PackId::from_parts(1, 0)));
        assert_eq!(pack_of(2), Some(PackId::from_parts(2, 0)));
        assert_eq!(pack_of(3), None);
    }

    #[test]
    fn a_set_holds_what_was_added() {
        let mut index = BlobIndex::default();
        (0..70).for_each(|fill| index.add(&entry(fill, 1)));
        index.finish();
        let mut set = BlobSet::new(&index);
        assert_eq!(
            [0, 69, 69, 0, 128].map(|position| set.insert(position)),
            [true, true, false, false, false]
        );
        assert_eq!((0..200).filter(|position| set.contains(*position)).collect::<Vec<_>>(), [0, 69]);
    }

    #[test]
    fn a_set_of_packs_holds_those_of_its_blobs() {
        let mut index = BlobIndex::default();
        for entry in [entry(1, 7), entry(2, 8), entry(3, 9)] {
            index.add(&entry);
        }
        index.finish();
        let (mut set, mut other) = (PackSet::new(&index), PackSet::new(&index));
        set.insert_of(&index, 0);
        set.insert_of(&index, 64);
        other.insert_of(&index, 2);
        set.join(&other);
        let expected = [7, 9].map(|pack| PackId::from_parts(pack, 0));
        assert_eq!(set.packs(&index).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn nothing_of_a_damaged_file_stays() {
        let mut index = BlobIndex::default();
        index.add(&entry(1, 1));
        let mark = index.mark();
        index.add(&entry(1, 2));
        index.add(&entry(2, 2));
        index.add(&entry(3, 1));
        index.take_back(mark);
        index.add(&entry(4, 3));
        index.finish();
        assert_eq!(index.packs(), [PackId::from_parts(1, 0), PackId::from_parts(3, 0)]);
        let packs: Vec<_> =
            (1..5).map(|fill| index.find(&BlobId::from_bytes([fill; 32])).map(|found| found.pack)).collect();
        assert_eq!(packs, [Some(PackId::from_parts(1, 0)), None, None, Some(PackId::from_parts(3, 0))]);
    }
}
