//! A few kilobytes that state gigabytes: what is made of them follows from the bytes that are really there, and
//! what needs more memory than there may be is not checked, and never called damaged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use msgvault_testing::{Forge, Part, Unfolding, codes, page, run, size, verify};
use msgvault_verifier::format::attachment_list::Attachment;
use msgvault_verifier::format::id::{BlobId, PageHash, SnapshotId};
use msgvault_verifier::format::manifest::Database;
use msgvault_verifier::format::page_hash::{PageHashDelta, PageHashes};
use msgvault_verifier::format::page_map::{MapKind, PageMap, Run};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::{ChainReader, load_attachments};
use msgvault_verifier::store::{MemoryStore, Store, StoreEntry, StoreError, StoreFile};
use msgvault_verifier::verify::{self, Depth, Report, Scope, Verdict};
use msgvault_verifier::{Memory, Observer, Ruzstd};

const MIB: usize = 1 << 20;

fn verify_within(store: &MemoryStore, limit: u64) -> Report {
    let memory = Memory::new(limit, "allow more");
    let repository = Repository::open_within(store.clone(), Ruzstd, memory).unwrap();
    verify::verify(&repository, &Scope::All, Depth::Full, &())
}

/// Checks that nothing is called damaged, and that this was not checked for want of memory.
fn assert_too_large(report: &Report, what: &str) {
    assert_eq!((report.verdict, &*report.problems), (Verdict::Unchecked, &[][..]), "{}", report.to_text());
    assert!(!report.not_checked.is_empty(), "{what}");
    for left in &report.not_checked {
        assert!(
            left.detail.contains("too large here") && left.detail.ends_with("allow more"),
            "{what}: {left:?}"
        );
    }
}

#[test]
fn a_map_of_more_pages_than_there_are_hashes_is_not_unpacked() {
    let mut forge = Forge::new();
    let mut db = forge.database(&[page(1)]);
    db.page_count = 1 << 32;
    // Its name is wrong, which nobody should find out by unpacking gigabytes.
    let zeros = Unfolding(&[Part::Zeros(3800 * MIB)]);
    db.page_map = Some(forge.stored(
        BlobId::of(b"map"),
        zeros.frame(None),
        zeros.raw_len(),
        msgvault_verifier::format::pack::Encoding::Zstd,
    ));
    let manifest = forge.manifest(None, db);
    forge.publish(manifest);
    let repository = Repository::open(forge.store, Ruzstd).unwrap();
    let manifest = repository.manifest(&repository.select("latest").unwrap()).unwrap();
    let error = ChainReader::default().load(&repository, &manifest, &()).unwrap_err().to_string();
    assert!(error.contains("66 bytes, and those of 4294967296 pages have"), "{error}");
}

/// A database of so many pages of zeros in one blob, of which the hashes are told truly.
fn database_of_zeros(forge: &mut Forge, pages: usize) -> Database {
    let blob = forge.unfolding(Unfolding(&[Part::Zeros(pages * 512)]), Some(20));
    let count = u32::try_from(pages).unwrap();
    let map = PageMap {
        page_size: size(),
        page_count: count.into(),
        blobs: vec![blob],
        runs: vec![run(0, count, 0)],
    };
    let hashes = PageHashes { page_size: size(), hashes: vec![PageHash::of(&page(0)); pages] };
    forge.maps(&map.encode(MapKind::Keyframe), &hashes.encode(), count.into(), 0)
}

#[test]
fn what_needs_more_memory_than_allowed_is_not_checked() {
    let mut forge = Forge::new();
    let db = database_of_zeros(&mut forge, 16 * MIB / 512);
    let manifest = forge.manifest(None, db);
    forge.publish(manifest);
    // The window of the blob, a MiB; its page hashes, half of one; the maps, and the objects that they come in.
    assert_eq!(verify_within(&forge.store, 2 << 20).verdict, Verdict::Intact);
    assert_too_large(&verify_within(&forge.store, 600 << 10), "the window");
    assert_too_large(&verify_within(&forge.store, 400 << 10), "the maps");
    assert_too_large(&verify_within(&forge.store, 1), "everything");
}

#[test]
fn page_hashes_that_would_fill_the_memory_are_not_kept() {
    let mut forge = Forge::new();
    let mut last = None;
    for n in 0..4u8 {
        let pages: Vec<_> = (0..16).map(|fill| page(fill + 16 * n)).collect();
        let blob = forge.blob(&pages.concat());
        let map = PageMap { page_size: size(), page_count: 16, blobs: vec![blob], runs: vec![run(0, 16, 0)] };
        let hashes = pages.iter().map(|page| PageHash::of(page)).collect();
        let hashes = PageHashes { page_size: size(), hashes };
        let db = forge.maps(&map.encode(MapKind::Keyframe), &hashes.encode(), 16, 0);
        let manifest = forge.manifest(last.as_ref(), db);
        last = Some(forge.publish(manifest));
    }
    assert_eq!(verify_within(&forge.store, 4 * 16 * 16).verdict, Verdict::Intact);
    // The maps of each snapshot fit, and the hashes of the pages of all of them do not.
    let report = verify_within(&forge.store, 3 * 16 * 16);
    assert_too_large(&report, "page hashes");
    let intact = report.snapshots.iter().filter(|snapshot| snapshot.verdict == Verdict::Intact);
    assert_eq!(intact.count(), 3);
}

#[test]
fn only_the_hashes_of_wanted_pages_are_kept() {
    let mut forge = Forge::new();
    let pages = 64 * MIB / 512;
    let blob = forge.unfolding(Unfolding(&[Part::Zeros(pages * 512)]), Some(20));
    let last = Run { blob_offset: (pages as u64 - 1) * 512, ..run(0, 1, 0) };
    let map = PageMap { page_size: size(), page_count: 1, blobs: vec![blob], runs: vec![last] };
    let hashes = PageHashes { page_size: size(), hashes: vec![PageHash::of(&page(0))] };
    let db = forge.maps(&map.encode(MapKind::Keyframe), &hashes.encode(), 1, 0);
    let manifest = forge.manifest(None, db);
    forge.publish(manifest);
    let repository = Repository::open(forge.store.clone(), Ruzstd).unwrap();
    let plan = verify::plan(&repository, &Scope::All, Depth::Full, &());
    let [task] = &plan.tasks[..] else { panic!("{plan:?}") };
    let result = verify::check_pack(&repository, task, Depth::Full, &());
    assert!(result.to_json().unwrap().len() < 1000);
    assert_eq!(verify(&forge.store).verdict, Verdict::Intact);
}

#[test]
fn a_wrong_page_behind_many_that_nobody_wants_is_found() {
    let raw = [page(7), page(8), page(9), page(10)].concat();
    let runs = [(0, 3), (1, 1)].map(|(start, from)| Run { blob_offset: from * 512, ..run(start, 1, 0) });
    for (second, expected) in [(8, &[][..]), (7, &["page-mismatch"][..])] {
        let mut forge = Forge::new();
        let blob = forge.blob(&raw);
        let map = PageMap { page_size: size(), page_count: 2, blobs: vec![blob], runs: runs.to_vec() };
        let hashes = [10, second].map(|fill| PageHash::of(&page(fill))).to_vec();
        let hashes = PageHashes { page_size: size(), hashes };
        let db = forge.maps(&map.encode(MapKind::Keyframe), &hashes.encode(), 2, 0);
        let manifest = forge.manifest(None, db);
        forge.publish(manifest);
        assert_eq!(codes(&verify(&forge.store)), expected);
    }
}

#[test]
fn a_list_that_repeats_one_attachment_is_not_kept() {
    let mut forge = Forge::new();
    let db = forge.database(&[page(1)]);
    let count: u32 = 4 << 20;
    let header = [&b"MVAL"[..], &1u16.to_le_bytes(), &count.to_le_bytes()].concat();
    let zeros = Part::Zeros(count as usize * 40);
    let digest = Unfolding(&[Part::Bytes(&header), zeros]);
    let digest = digest.digest(digest.raw_len());
    let list = forge.unfolding(Unfolding(&[Part::Bytes(&header), zeros, Part::Bytes(&digest)]), Some(20));
    let mut manifest = forge.manifest(None, db);
    manifest.attachments.lists = Some(vec![list]);
    manifest.attachments.blobs = count.into();
    forge.publish(manifest);
    let repository = Repository::open(forge.store, Ruzstd).unwrap();
    let manifest = repository.manifest(&repository.select("latest").unwrap()).unwrap();
    let error = load_attachments(&repository, &manifest, &()).unwrap_err().to_string();
    assert!(error.contains("occurs twice"), "{error}");
    let stated = Attachment { id: BlobId::from_bytes([0; 32]), size: 0 };
    assert!(error.contains(&stated.id.to_string()), "{error}");
}

/// Counts how often packs are opened.
struct Counting {
    files: MemoryStore,
    opened: AtomicU64,
}

impl Store for Counting {
    fn list(&self, folder: &str) -> Result<Vec<StoreEntry>, StoreError> {
        self.files.list(folder)
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreFile + '_>, StoreError> {
        self.opened.fetch_add(u64::from(path.starts_with("packs/")), Ordering::Relaxed);
        self.files.open(path)
    }
}

/// A snapshot in which one page is another one than in its parent.
fn changed(forge: &mut Forge, parent: &SnapshotId, depth: u64, fill: u8) -> SnapshotId {
    let blob = forge.blob(&page(fill));
    let map = PageMap { page_size: size(), page_count: 2, blobs: vec![blob], runs: vec![run(1, 1, 0)] };
    let hashes = vec![PageHash::of(&page(fill))];
    let hashes = PageHashDelta { page_size: size(), page_count: 2, pages: vec![1], hashes };
    let db = forge.maps(&map.encode(MapKind::Delta), &hashes.encode(), 2, depth);
    let manifest = forge.manifest(Some(parent), db);
    forge.publish(manifest)
}

#[test]
fn chains_that_alternate_are_not_replayed_for_every_snapshot() {
    let mut forge = Forge::new();
    let mut tips = Vec::new();
    for fill in [1, 2] {
        let db = forge.database(&[page(fill), page(fill)]);
        let manifest = forge.manifest(None, db);
        let mut last = forge.publish(manifest);
        for depth in 1..=29u8 {
            last = changed(&mut forge, &last, depth.into(), 2 * depth + fill);
        }
        tips.push(last);
    }
    let chains: u64 = 2 * 30;
    let leaves = 40u8;
    for n in 0..leaves {
        changed(&mut forge, &tips[usize::from(n % 2)], 30, 100 + n);
    }
    let store = Arc::new(Counting { files: forge.store.clone(), opened: AtomicU64::new(0) });
    let repository = Repository::open(Arc::clone(&store), Ruzstd).unwrap();
    let plan = verify::plan(&repository, &Scope::All, Depth::Quick, &());
    assert_eq!(plan.snapshots.len(), 100);
    // Two objects for every step: once along the chains, once more to learn where they fork, then one a leaf.
    let opened = store.opened.load(Ordering::Relaxed);
    assert!(opened <= 2 * (2 * chains + 2 * u64::from(leaves)), "{opened}");
    assert_eq!(verify(&forge.store).verdict, Verdict::Intact);
}

/// Wants to stop when it was asked so often.
struct Impatient(AtomicU64);

impl Observer for Impatient {
    fn cancelled(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
    }
}

#[test]
fn whoever_wants_to_stop_is_heard_while_maps_and_lists_are_read() {
    let mut forge = Forge::new();
    let db = database_of_zeros(&mut forge, 64 * MIB / 512);
    let manifest = forge.manifest(None, db);
    forge.publish(manifest);
    let repository = Repository::open(forge.store, Ruzstd).unwrap();
    // The page hashes alone come in eight pieces.
    for patience in 0..10 {
        let observer = Impatient(AtomicU64::new(patience));
        let report = verify::verify(&repository, &Scope::All, Depth::Full, &observer);
        assert_eq!((report.verdict, report.complete), (Verdict::Unchecked, false), "{patience}");
        assert_eq!(report.problems, [], "{patience}");
    }
}
