//! What snapshots need of a repository's space.

use msgvault_testing::{Forge, page, size};
use msgvault_verifier::Ruzstd;
use msgvault_verifier::format::id::PageHash;
use msgvault_verifier::format::page_hash::PageHashes;
use msgvault_verifier::format::page_map::{MapKind, PageMap, Run};
use msgvault_verifier::inspect::{PageUse, RepositoryOverview, details, overview, overview_with_space};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::MemoryStore;

fn look(store: &MemoryStore) -> RepositoryOverview {
    overview_with_space(&Repository::open(store.clone(), Ruzstd).unwrap()).unwrap()
}

fn uses(overview: &RepositoryOverview) -> Vec<Option<(u64, u64)>> {
    let pair = |found: PageUse| (found.needed, found.held);
    overview.snapshots.iter().map(|snapshot| snapshot.page_use.map(pair)).collect()
}

fn pack_files(forge: &Forge) -> Vec<String> {
    forge.store.paths().filter(|path| path.starts_with("packs/")).map(ToOwned::to_owned).collect()
}

/// Two snapshots: of three pages in a blob each, and of two of them and one in a blob of four.
fn forged() -> Forge {
    let mut forge = Forge::new();
    let pages = [page(1), page(2), page(3)];
    let db = forge.database(&pages);
    let manifest = forge.manifest(None, db);
    let first = forge.publish(manifest);
    let blob = forge.blob(&[page(4), page(5), page(6), page(7)].concat());
    let ids = [forge.blob(&page(1)), forge.blob(&page(2)), blob];
    let run =
        |start_page: u64, blob_index, blob_offset| Run { start_page, page_count: 1, blob_index, blob_offset };
    let map = PageMap {
        page_size: size(),
        page_count: 3,
        blobs: ids.to_vec(),
        runs: vec![run(0, 0, 0), run(1, 1, 0), run(2, 2, 512)],
    };
    let hashes = [page(1), page(2), page(5)].iter().map(|page| PageHash::of(page)).collect();
    let hashes = PageHashes { page_size: map.page_size, hashes };
    let db = forge.maps(&map.encode(MapKind::Keyframe), &hashes.encode(), 3, 0);
    let manifest = forge.manifest(Some(&first), db);
    forge.publish(manifest);
    forge
}

#[test]
fn pages_needed_and_held_are_told_of_every_snapshot() {
    let forge = forged();
    let found = look(&forge.store);
    assert_eq!(uses(&found), [Some((3, 3)), Some((3, 6))]);
    let repository = Repository::open(forge.store.clone(), Ruzstd).unwrap();
    let newest = &found.snapshots[1];
    assert_eq!(details(&repository, &newest.snapshot_id).unwrap().summary.page_use, newest.page_use);
    assert!(overview(&repository).unwrap().space.is_none(), "a plain overview reads manifests only");
}

#[test]
fn bytes_that_no_snapshot_reaches_are_dead() {
    let mut forge = forged();
    let len = |forge: &Forge, path: &str| forge.store.file(path).unwrap().len() as u64;
    let packs = pack_files(&forge);
    let all: u64 = packs.iter().map(|path| len(&forge, path)).sum();
    let space = look(&forge.store).space.unwrap();
    // Two pages are stored in both packs, and of two equal blobs the index knows one.
    let twice = 2 * (512 + 61);
    assert_eq!((space.pack_bytes, space.dead_bytes), (all, Some(twice)));

    // What an interrupted backup left is dead as a whole.
    forge.blob(&page(9));
    forge.seal();
    let orphan = pack_files(&forge).into_iter().find(|path| !packs.contains(path)).unwrap();
    let orphan = len(&forge, &orphan);
    let space = look(&forge.store).space.unwrap();
    assert_eq!((space.pack_bytes, space.dead_bytes), (all + orphan, Some(twice + orphan)));
}

#[test]
fn what_cannot_be_read_is_never_called_dead() {
    let forge = forged();
    let first = look(&forge.store).snapshots[0].snapshot_id.path();
    let mut unreadable = forge.store.clone();
    unreadable.insert(first, "{");
    let found = look(&unreadable);
    assert_eq!((found.space.unwrap().dead_bytes, uses(&found)), (None, vec![Some((3, 6))]));

    let mut no_index = forge.store.clone();
    let indexes: Vec<String> =
        forge.store.paths().filter(|path| path.starts_with("indexes/")).map(ToOwned::to_owned).collect();
    no_index.insert(indexes[1].clone(), "MVIX");
    let found = look(&no_index);
    assert_eq!((found.space.unwrap().dead_bytes, uses(&found)[1]), (None, None));

    let mut no_pack = forge.store.clone();
    let packs = pack_files(&forge);
    no_pack.remove(&packs[0]);
    let found = look(&no_pack);
    assert_eq!(uses(&found)[0], None);
    assert_eq!(found.space.unwrap().dead_bytes, None);
}
