#![no_main]

use libfuzzer_sys::fuzz_target;
use msgvault_fuzz::sealed;
use msgvault_testing::{Forge, page, run, size};
use msgvault_verifier::Ruzstd;
use msgvault_verifier::format::attachment_list::{self, Attachment};
use msgvault_verifier::format::id::{BlobId, PageHash, SnapshotId};
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::format::page_hash::{PageHashDelta, PageHashes};
use msgvault_verifier::format::page_map::{MapKind, PageMap};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::Snapshot;
use msgvault_verifier::verify::{Depth, Scope, Verdict, verify};

/// A change to what a repository says of itself, of eight bytes; whatever it does, every checksum is right.
type Change = [u8; 8];

/// What changes are counted by: which object they are for.
const OBJECTS: u8 = 8;

// An input is a list of changes to the objects and manifests of a repository of two snapshots.
fuzz_target!(|changes: &[u8]| {
    let changes = changes.as_chunks().0;
    let forge = forged(changes);
    let Ok(repository) = Repository::open(forge.store, Ruzstd) else { return };
    let report = verify(&repository, &Scope::All, Depth::Full, &());
    assert!(!changes.is_empty() || report.verdict == Verdict::Intact, "{}", report.to_text());
    // What is called intact can be had.
    for snapshot in report.snapshots.iter().filter(|_| report.verdict == Verdict::Intact) {
        Snapshot::load(&repository, &snapshot.id, &()).expect("an intact snapshot");
    }
});

fn forged(changes: &[Change]) -> Forge {
    let mut forge = Forge::new();
    let first = snapshot(&mut forge, changes, 0, None);
    snapshot(&mut forge, changes, OBJECTS / 2, Some(&first));
    forge
}

/// A snapshot, a keyframe or changes to the one before. Its objects have four numbers, from `number` on: map, hashes,
/// list and tree in one, manifest.
fn snapshot(forge: &mut Forge, changes: &[Change], number: u8, parent: Option<&SnapshotId>) -> SnapshotId {
    let text = |number: u8, body: Vec<u8>| changed(changes, number, body);
    let object = |number: u8, encoded: Vec<u8>| {
        let body = encoded.split_last_chunk::<32>().map_or(&[][..], |(body, _)| body);
        sealed(&changed(changes, number, body.to_vec()))
    };
    let (map, hashes) = maps(forge, parent.is_some());
    let (map, hashes) = (object(number, map), object(number + 1, hashes));
    let db = forge.maps(&map, &hashes, 3, u64::from(parent.is_some()));
    let content = [number; 5];
    let attachment = Attachment { id: forge.blob(&content), size: 5 };
    let list = forge.blob(&object(number + 2, attachment_list::encode(&[attachment])));
    let tree = format!(
        r#"{{"entries":[{{"path":"deletions/done/1.json","mode":384,"size":5,"blob":"{}"}}]}}"#,
        attachment.id
    );
    let tree = forge.blob(&text(number + 2, tree.into_bytes()));
    let mut manifest = forge.manifest(parent, db);
    manifest.attachments.lists = Some(vec![list]);
    (manifest.attachments.rows, manifest.attachments.blobs, manifest.attachments.blob_bytes) = (1, 1, 5);
    manifest.extras.tree = Some(tree);
    for change in changes.iter().filter(|change| change[0] % OBJECTS == number + 3) {
        restate(&mut manifest, change, [list, tree]);
    }
    forge.publish(manifest)
}

/// Both maps of three pages; with a parent, the second page is another.
fn maps(forge: &mut Forge, has_parent: bool) -> (Vec<u8>, Vec<u8>) {
    let (page_size, page_count) = (size(), 3);
    if has_parent {
        let blobs = vec![forge.blob(&page(4))];
        let map = PageMap { page_size, page_count, blobs, runs: vec![run(1, 1, 0)] };
        let delta = PageHashDelta { page_size, page_count, pages: vec![1], hashes: vec![PageHash::of(&page(4))] };
        return (map.encode(MapKind::Delta), delta.encode());
    }
    let pages = [page(1), page(2), page(3)];
    let blobs = vec![forge.blob(&pages.concat())];
    let map = PageMap { page_size, page_count, blobs, runs: vec![run(0, 3, 0)] };
    let hashes = pages.iter().map(|page| PageHash::of(page)).collect();
    (map.encode(MapKind::Keyframe), PageHashes { page_size, hashes }.encode())
}

/// The bytes of an object after the changes that are for it.
fn changed(changes: &[Change], number: u8, mut body: Vec<u8>) -> Vec<u8> {
    for [object, kind, at, length, value @ ..] in changes {
        if object % OBJECTS != number {
            continue;
        }
        let at = usize::from(*at).min(body.len());
        let end = (at + usize::from(length % 16)).min(body.len());
        match kind % 4 {
            0 => body[at..end].iter_mut().zip(value).for_each(|(byte, value)| *byte = *value),
            1 => drop(body.drain(at..end)),
            2 => drop(body.splice(at..at, value.iter().copied())),
            _ => body.extend_from_within(at..end),
        }
    }
    body
}

/// Changes what a manifest states.
fn restate(manifest: &mut Manifest, [_, kind, which, value, rest @ ..]: &Change, blobs: [BlobId; 2]) {
    let number = match which % 3 {
        0 => u64::from(*value),
        1 => u64::from(u32::from_le_bytes(*rest)),
        _ => u64::MAX - u64::from(*value),
    };
    let blob = blobs[usize::from(value % 2)];
    match kind % 12 {
        0 => manifest.db.page_count = number,
        1 => manifest.db.page_size = u32::from_le_bytes(*rest),
        2 => manifest.db.map_chain_depth = number,
        3 => manifest.db.page_map = Some(blob),
        4 => manifest.db.page_hash_map = Some(blob),
        5 => manifest.attachments.blobs = number,
        6 => manifest.attachments.blob_bytes = number,
        7 => manifest.attachments.lists.get_or_insert_default().push(blob),
        8 => manifest.extras.tree = Some(blob),
        9 => manifest.parent_id = None,
        10 => manifest.format_version = number,
        _ => manifest.min_reader_version = number,
    }
}
