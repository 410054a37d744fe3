use std::cell::Cell;

use sha2::{Digest, Sha256};

use super::*;
use crate::decompress::Ruzstd;
use crate::format::id::{BlobId, PackId};
use crate::format::pack::{Encoding, HEADER, PackEntry, encode_footer};
use crate::format::page_map::Run;
use crate::format::page_size::PageSize;
use crate::store::MemoryStore;
use crate::verify::pages::PageRanges;

/// A blob that a test puts into its pack.
struct Blob {
    id: BlobId,
    stored: Vec<u8>,
    raw_len: usize,
    encoding: Encoding,
}

fn raw(bytes: &[u8]) -> Blob {
    Blob { id: BlobId::of(bytes), stored: bytes.to_vec(), raw_len: bytes.len(), encoding: Encoding::Raw }
}

fn zstd(bytes: &[u8]) -> Blob {
    let stored = ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    Blob { stored, encoding: Encoding::Zstd, ..raw(bytes) }
}

fn text() -> Vec<u8> {
    (0..200_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect()
}

/// A pack of these blobs, and the job to check them all with the hashes of pages of 512 bytes.
fn pack(blobs: &[Blob]) -> (MemoryStore, PackJob) {
    let pack = PackId::from_parts(1, 1);
    let mut bytes = HEADER.to_vec();
    let (mut entries, mut wanted, mut pages) = (Vec::new(), Vec::new(), Vec::new());
    for (blob, position) in blobs.iter().zip(0..) {
        let (id, encoding) = (blob.id, blob.encoding);
        let (offset, stored_len) = (bytes.len() as u64, blob.stored.len() as u64);
        let (raw_len, crc32c) = (blob.raw_len as u64, crc32c::crc32c(&blob.stored));
        entries.push(PackEntry { id, offset, stored_len, raw_len, encoding, crc32c });
        wanted.push((Wanted { position }, Location { id, pack, offset, stored_len, encoding }));
        let mut ranges = PageRanges::default();
        ranges.add(
            &[Run { start_page: 0, page_count: 10_000, blob_index: 0, blob_offset: 0 }],
            PageSize::SMALLEST,
        );
        pages.push(WantedPages { position, page_size: PageSize::SMALLEST, ranges });
        bytes.extend_from_slice(&blob.stored);
    }
    bytes.extend_from_slice(&encode_footer(&entries));
    let mut store = MemoryStore::default();
    store.insert(pack.path(), bytes);
    let bytes = wanted.iter().map(|(_, location)| location.stored_len).sum();
    (store, PackJob { pack, blobs: wanted, pages, bytes })
}

fn reader(store: &MemoryStore) -> PackReader {
    PackReader::new(store.clone(), Ruzstd)
}

/// Checks with hashes that the caller computes, the last blob first.
fn check_elsewhere(store: &MemoryStore, job: &PackJob, is_mine: impl Fn(u64) -> bool) -> (PackResult, usize) {
    let packs = reader(store);
    let mut check = PackCheck::begin(&packs, job, Depth::Full, &());
    let mut bytes = Vec::new();
    let mut blobs = Vec::new();
    while check.upcoming().is_some() {
        if let Some(blob) = check.next(&is_mine, &mut bytes) {
            blobs.push((blob, <[u8; 32]>::from(Sha256::digest(&bytes))));
        }
    }
    let count = blobs.len();
    for (blob, digest) in blobs.into_iter().rev() {
        check.settle(blob, &digest);
    }
    let mut result = check.finish();
    result.blobs.sort_by_key(|blob| blob.position);
    (result, count)
}

#[test]
fn hashes_from_elsewhere_give_the_same_result() {
    let text = text();
    let blobs = [
        raw(&text),
        zstd(&text[1..]),
        raw(b""),
        Blob { id: BlobId::of(b"another"), ..raw(b"some bytes") },
        Blob { id: BlobId::of(b"a third"), ..zstd(b"some bytes") },
        Blob { raw_len: 9, ..zstd(b"ten  bytes") },
        Blob { stored: b"no frame".to_vec(), ..zstd(b"ten  bytes and more") },
        raw(b"changed on the disk"),
        raw(b"somewhere else"),
    ];
    let (mut store, mut job) = pack(&blobs);
    let path = job.pack.path();
    let mut bytes = store.file(&path).unwrap().to_vec();
    bytes[usize::try_from(job.blobs[7].1.offset).unwrap()] ^= 1;
    store.insert(path, bytes);
    job.blobs[8].1.offset += 1;
    let expected = check_job(&reader(&store), &job, Depth::Full, &());
    assert_eq!(expected.blobs.iter().filter(|blob| blob.outcome.is_ok()).count(), 3);
    assert_eq!(check_elsewhere(&store, &job, |_| true), (expected.clone(), 5));
    assert_eq!(check_elsewhere(&store, &job, |len| len <= 100), (expected.clone(), 3));
    assert_eq!(check_elsewhere(&store, &job, |_| false), (expected, 0));
}

#[test]
fn an_absent_pack_is_missing_wherever_hashes_come_from() {
    let (_, job) = pack(&[raw(b"bytes")]);
    let store = MemoryStore::default();
    let expected = check_job(&reader(&store), &job, Depth::Full, &());
    assert_eq!(expected.outcome(), PackOutcome::Missing);
    assert_eq!(check_elsewhere(&store, &job, |_| true), (expected, 0));
}

#[test]
fn a_wrong_hash_from_elsewhere_is_damage() {
    let (store, job) = pack(&[raw(b"some bytes")]);
    let packs = reader(&store);
    let mut check = PackCheck::begin(&packs, &job, Depth::Full, &());
    let blob = check.next(|_| true, &mut Vec::new()).unwrap();
    check.settle(blob, &[0; 32]);
    let (misnamed, job) = pack(&[Blob { id: BlobId::of(b"another"), ..raw(b"some bytes") }]);
    assert_eq!(check.finish(), check_job(&reader(&misnamed), &job, Depth::Full, &()));
}

#[test]
fn a_blob_that_is_not_settled_is_not_good() {
    let (store, job) = pack(&[raw(b"one"), raw(b"two")]);
    let packs = reader(&store);
    let mut check = PackCheck::begin(&packs, &job, Depth::Full, &());
    let mut bytes = Vec::new();
    let _ = check.next(|_| true, &mut bytes).unwrap();
    let second = check.next(|_| true, &mut bytes).unwrap();
    assert_eq!(check.upcoming(), None);
    assert!(check.next(|_| true, &mut bytes).is_none());
    check.settle(second, BlobId::of(b"two").as_bytes());
    let result = check.finish();
    assert_eq!(result.blobs.iter().map(|blob| blob.position).collect::<Vec<_>>(), [1]);
    assert!(result.cancelled);
    assert_eq!(result.outcome(), PackOutcome::NotChecked);
}

#[test]
fn a_check_that_ends_early_is_cut_short() {
    let (store, job) = pack(&[raw(b"one"), raw(b"two")]);
    let packs = reader(&store);
    let mut check = PackCheck::begin(&packs, &job, Depth::Full, &());
    let blob = check.next(|_| true, &mut Vec::new()).unwrap();
    check.settle(blob, BlobId::of(b"one").as_bytes());
    assert_eq!(check.finish().outcome(), PackOutcome::NotChecked);
}

/// Wants to stop when it was asked so many times.
struct Impatient(Cell<u32>);

impl Observer for Impatient {
    fn cancelled(&self) -> bool {
        self.0.set(self.0.get().saturating_sub(1));
        self.0.get() == 0
    }
}

#[test]
fn a_cancelled_check_gives_out_no_more_blobs() {
    let text = text();
    let (store, job) = pack(&[raw(b"one"), raw(&text)]);
    // Asked before the first blob and after its only piece, then before the second and after its first piece.
    for (patience, settled) in [(1, 0), (2, 0), (3, 1), (4, 1)] {
        let observer = Impatient(Cell::new(patience));
        let packs = reader(&store);
        let mut check = PackCheck::begin(&packs, &job, Depth::Full, &observer);
        let mut bytes = Vec::new();
        while let Some(blob) = check.next(|_| true, &mut bytes) {
            check.settle(blob, &Sha256::digest(&bytes).into());
        }
        let result = check.finish();
        assert_eq!((result.blobs.len(), result.cancelled), (settled, true), "{patience}");
        let observer = Impatient(Cell::new(patience));
        assert_eq!(check_job(&reader(&store), &job, Depth::Full, &observer), result);
    }
}
