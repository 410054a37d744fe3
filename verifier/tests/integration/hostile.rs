//! What nobody's backup holds and somebody's attack might: every one is refused with a reason, in bounded
//! time and memory.

use msgvault_testing::{Forge, Part, Unfolding, codes, page, run, size, verify};
use msgvault_verifier::format::attachment_list::Attachment;
use msgvault_verifier::format::id::{BlobId, IndexId, PackId, PageHash};
use msgvault_verifier::format::pack::{self, Encoding, PackEntry};
use msgvault_verifier::format::page_hash::{PageHashDelta, PageHashes};
use msgvault_verifier::format::page_map::{MapKind, PageMap};
use msgvault_verifier::verify::Verdict;

fn attachment(raw: &[u8]) -> Attachment {
    Attachment { id: BlobId::of(raw), size: raw.len() as u64 }
}

#[test]
fn a_repository_made_by_hand_is_intact() {
    let mut forge = Forge::new();
    let db = forge.database(&[page(1), page(2)]);
    let list = forge.list(&[attachment(b"")]);
    forge.blob(b"");
    let mut manifest = forge.manifest(None, db);
    manifest.attachments.lists = Some(vec![list]);
    manifest.attachments.blobs = 1;
    forge.publish(manifest);
    let report = verify(&forge.store);
    assert_eq!(report.verdict, Verdict::Intact, "{}", report.to_text());
}

#[test]
fn objects_longer_than_the_manifest_allows_are_not_decompressed() {
    let mut forge = Forge::new();
    let mut db = forge.database(&[page(1)]);
    // Their names are wrong, which nobody should find out by unpacking gigabytes.
    let huge = |forge: &mut Forge, name: &[u8]| {
        let zeros = Unfolding(&[Part::Zeros(4_294_967_295)]);
        forge.stored(BlobId::of(name), zeros.frame(None), zeros.raw_len(), Encoding::Zstd)
    };
    db.page_map = Some(huge(&mut forge, b"map"));
    let mut manifest = forge.manifest(None, db);
    manifest.attachments.lists = Some(vec![huge(&mut forge, b"list")]);
    manifest.attachments.blobs = 5;
    manifest.extras.tree = Some(huge(&mut forge, b"tree"));
    forge.publish(manifest);
    let repository =
        msgvault_verifier::repository::Repository::open(forge.store, msgvault_verifier::Ruzstd).unwrap();
    let id = repository.select("latest").unwrap();
    let manifest = repository.manifest(&id).unwrap();
    let map =
        msgvault_verifier::snapshot::ChainReader::default().load(&repository, &manifest, &()).unwrap_err();
    let list = msgvault_verifier::snapshot::load_attachments(&repository, &manifest, &()).unwrap_err();
    let tree = msgvault_verifier::snapshot::load_extras(&repository, &manifest, &()).unwrap_err();
    for error in [map.to_string(), list.to_string(), tree.to_string()] {
        assert!(error.contains("4294967295 bytes, more than the"), "{error}");
    }
    assert!(list.to_string().contains("more than the 242 that"), "{list}");
}

#[test]
fn a_list_named_twice_is_refused_at_once() {
    let mut forge = Forge::new();
    let db = forge.database(&[page(1)]);
    let list = forge.list(&[attachment(b"a")]);
    forge.blob(b"a");
    let mut manifest = forge.manifest(None, db);
    manifest.attachments.lists = Some(vec![list; 1000]);
    manifest.attachments.blobs = u64::MAX;
    forge.publish(manifest);
    let report = verify(&forge.store);
    assert_eq!(codes(&report), ["attachment-list-mismatch"]);
    assert!(report.problems[0].detail.contains("occurs twice"), "{}", report.to_text());
}

#[test]
fn entries_that_share_their_bytes_are_not_a_pack() {
    let mut forge = Forge::new();
    let db = forge.database(&[page(1)]);
    let manifest = forge.manifest(None, db);
    forge.publish(manifest);
    let path = PackId::from_parts(1, 0).path();
    let entry = |fill: u8| PackEntry {
        id: BlobId::from_bytes([fill; 32]),
        offset: 6,
        stored_len: 4,
        raw_len: 4,
        encoding: Encoding::Raw,
        crc32c: 0,
    };
    let bytes = [&pack::HEADER[..], b"same", &pack::encode_footer(&[entry(1), entry(2)])].concat();
    forge.store.insert(path, bytes);
    let report = verify(&forge.store);
    assert_eq!(codes(&report), ["pack-damaged"]);
    assert!(report.problems[0].detail.contains("overlap"), "{}", report.to_text());
}

#[test]
fn a_repeated_blob_is_read_where_the_index_says() {
    let mut forge = Forge::new();
    let db = forge.database(&[page(1)]);
    let manifest = forge.manifest(None, db);
    forge.publish(manifest);
    let path = PackId::from_parts(1, 0).path();
    let bytes = forge.store.file(&path).unwrap().to_vec();
    let footer_len = u32::from_le_bytes(bytes[bytes.len() - 40..][..4].try_into().unwrap());
    let frames = bytes.len() - 40 - usize::try_from(footer_len).unwrap();
    let repository =
        msgvault_verifier::repository::Repository::open(forge.store.clone(), msgvault_verifier::Ruzstd)
            .unwrap();
    let file = repository.pack(PackId::from_parts(1, 0)).unwrap();
    // Every entry once more, with the same bytes behind the first ones.
    let copies =
        file.entries().iter().map(|entry| PackEntry { offset: entry.offset + frames as u64 - 6, ..*entry });
    let copies: Vec<PackEntry> = copies.collect();
    for order in [[file.entries(), &copies[..]].concat(), [&copies[..], file.entries()].concat()] {
        let frames = [&bytes[..frames], &bytes[6..frames]].concat();
        let mut store = forge.store.clone();
        store.insert(path.clone(), [frames, pack::encode_footer(&order)].concat());
        let report = verify(&store);
        assert_eq!(report.verdict, Verdict::Intact, "{}", report.to_text());
    }
}

#[test]
fn lengths_that_overflow_64_bits_do_not_panic() {
    use msgvault_verifier::format::index::{self, IndexEntry};
    let mut forge = Forge::new();
    let db = forge.database(&[page(1)]);
    let named: Vec<BlobId> = [db.page_map, db.page_hash_map].into_iter().flatten().collect();
    let manifest = forge.manifest(None, db);
    forge.publish(manifest);
    let mut entries: Vec<IndexEntry> = (7..)
        .zip(named)
        .map(|(pack, id)| IndexEntry {
            id,
            pack: PackId::from_parts(pack, 0),
            offset: u64::MAX,
            stored_len: u64::MAX,
            encoding: Encoding::Raw,
        })
        .collect();
    entries.sort_by_key(|entry| entry.id);
    forge.store.insert(IndexId::from_parts(9, 0).path(), index::encode(&entries));
    assert_eq!(codes(&verify(&forge.store)), ["pack-missing"]);
}

#[test]
fn a_lost_index_does_not_fill_the_report_with_blobs() {
    let mut forge = Forge::new();
    let db = forge.database(&[page(1)]);
    let contents: Vec<[u8; 4]> = (0..3000u32).map(u32::to_le_bytes).collect();
    let attachments: Vec<Attachment> = contents.iter().map(|raw| attachment(raw)).collect();
    let list = forge.list(&attachments);
    let mut manifest = forge.manifest(None, db);
    manifest.attachments.lists = Some(vec![list]);
    manifest.attachments.blobs = 3000;
    manifest.attachments.blob_bytes = 12_000;
    forge.publish(manifest);
    let report = verify(&forge.store);
    assert_eq!(codes(&report), ["blob-not-indexed"]);
    assert_eq!(report.problems.len(), 1001);
    let more = report.problems.iter().filter(|problem| problem.blob.is_none());
    let more: Vec<&str> = more.map(|problem| problem.detail.as_str()).collect();
    assert_eq!(more, ["and 2000 more of this kind, which are not listed"]);
}

#[test]
fn a_lost_index_is_named_and_told_once_in_text() {
    let mut forge = Forge::new();
    let db = forge.database(&[page(1)]);
    let attachments: Vec<Attachment> = (0..5u32).map(|raw| attachment(&raw.to_le_bytes())).collect();
    let list = forge.list(&attachments);
    let mut manifest = forge.manifest(None, db);
    manifest.attachments.lists = Some(vec![list]);
    manifest.attachments.blobs = 5;
    manifest.attachments.blob_bytes = 20;
    let gone = IndexId::from_parts(77, 0);
    manifest.new_index = Some(gone);
    forge.publish(manifest);
    let report = verify(&forge.store);
    assert_eq!(codes(&report), ["blob-not-indexed"]);
    assert!(report.problems.len() > 3);
    assert!(report.problems.iter().all(|problem| problem.file.as_deref() == Some(&*gone.path())));
    let text = report.to_text();
    assert_eq!(text.matches("blob-not-indexed").count(), 1, "{text}");
    assert_eq!(text.matches(&gone.path()).count(), 1, "{text}");
}

/// A snapshot that changes nothing, on its parent's maps.
fn unchanged(
    forge: &mut Forge,
    parent: &msgvault_verifier::format::id::SnapshotId,
    depth: u64,
) -> msgvault_verifier::format::id::SnapshotId {
    let map = PageMap { page_size: size(), page_count: 1, blobs: Vec::new(), runs: Vec::new() };
    let hashes = PageHashDelta { page_size: size(), page_count: 1, pages: Vec::new(), hashes: Vec::new() };
    let db = forge.maps(&map.encode(MapKind::Delta), &hashes.encode(), 1, depth);
    let manifest = forge.manifest(Some(parent), db);
    forge.publish(manifest)
}

#[test]
fn thirty_deltas_are_a_chain_and_thirty_one_are_not() {
    let mut forge = Forge::new();
    let db = forge.database(&[page(1)]);
    let manifest = forge.manifest(None, db);
    let mut last = forge.publish(manifest);
    for depth in 1..=30 {
        last = unchanged(&mut forge, &last, depth);
    }
    assert_eq!(verify(&forge.store).verdict, Verdict::Intact);
    // Stated depths are hints; what counts is how many manifests lie before the keyframe.
    last = unchanged(&mut forge, &last, 1);
    let report = verify(&forge.store);
    assert_eq!(codes(&report), ["chain-broken"]);
    assert!(report.problems.iter().all(|problem| problem.snapshot.as_ref() == Some(&last)));
}

#[test]
fn a_keyframe_needs_no_parent_that_is_there() {
    let mut forge = Forge::new();
    let db = forge.database(&[page(1)]);
    let manifest = forge.manifest(None, db.clone());
    let parent = forge.publish(manifest);
    let manifest = forge.manifest(Some(&parent), db);
    forge.publish(manifest);
    forge.store.remove(&parent.path());
    let report = verify(&forge.store);
    assert_eq!(report.verdict, Verdict::Intact, "{}", report.to_text());
}

#[test]
fn a_database_of_no_pages_is_as_good_as_any() {
    let mut forge = Forge::new();
    let db = forge.database(&[]);
    let manifest = forge.manifest(None, db);
    forge.publish(manifest);
    assert_eq!(verify(&forge.store).verdict, Verdict::Intact);
}

#[test]
fn a_map_may_name_blobs_it_does_not_use() {
    let mut forge = Forge::new();
    let blobs = vec![BlobId::of(b"gone"), forge.blob(&page(1))];
    let map = PageMap { page_size: size(), page_count: 1, blobs, runs: vec![run(0, 1, 1)] };
    let hashes = PageHashes { page_size: size(), hashes: vec![PageHash::of(&page(1))] };
    let db = forge.maps(&map.encode(MapKind::Keyframe), &hashes.encode(), 1, 0);
    let manifest = forge.manifest(None, db);
    forge.publish(manifest);
    let report = verify(&forge.store);
    assert_eq!(report.verdict, Verdict::Intact, "{}", report.to_text());
}

#[test]
fn a_path_of_a_million_folders_is_refused_quickly() {
    let path = "a/".repeat(1 << 20) + "b";
    let entry =
        |path: &str| format!(r#"{{"path":"{path}","mode":384,"size":0,"blob":"{}"}}"#, BlobId::of(b""));
    let tree = format!(r#"{{"entries":[{},{}]}}"#, entry("c"), entry(&path));
    let error = msgvault_verifier::format::extras::decode(tree.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("more than 64 components") && error.len() < 1000, "{error}");
}

#[test]
fn stats_nested_a_million_deep_are_kept_as_they_are() {
    let mut forge = Forge::new();
    let db = forge.database(&[page(1)]);
    let mut manifest = forge.manifest(None, db);
    let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
    manifest.stats = serde_json::value::RawValue::from_string(deep.clone()).unwrap();
    manifest.snapshot_id = manifest.computed_id().parse().unwrap();
    // Put in afterwards: to indent it would take a terabyte.
    manifest.stats = serde_json::value::RawValue::from_string("0.5".to_owned()).unwrap();
    let text = manifest.encode().replace("0.5", &deep);
    forge.seal();
    forge.store.insert(manifest.snapshot_id.path(), text);
    let report = verify(&forge.store);
    assert_eq!(report.verdict, Verdict::Intact, "{}", report.to_text());
}

#[test]
fn configurations_nested_without_end_are_refused() {
    use msgvault_verifier::format::config::RepoConfig;
    let depth = 1 << 17;
    for text in [
        format!("x = {}", "[".repeat(depth)),
        format!("x = {}{}", "[".repeat(depth), "]".repeat(depth)),
        format!("{}x = 1", "a.".repeat(depth)),
        format!("[{}x]", "a.".repeat(depth)),
        format!("x = {}", "{a=".repeat(depth)),
    ] {
        assert!(RepoConfig::decode(text.as_bytes()).is_err());
    }
}

#[test]
fn a_damaged_attachment_is_damaged_in_every_snapshot_that_inherits_it() {
    let mut forge = Forge::new();
    let db = forge.database(&[page(1)]);
    let mut lists = Vec::new();
    let mut last = None;
    for n in 0..4u8 {
        let content = [n; 9];
        // The third one has another length than its list states.
        forge.blob(&content);
        let size = if n == 2 { 10 } else { 9 };
        lists.push(forge.list(&[Attachment { id: BlobId::of(&content), size }]));
        let mut manifest = forge.manifest(last.as_ref(), db.clone());
        manifest.attachments.blobs = u64::from(n) + 1;
        manifest.attachments.blob_bytes = u64::from(n) * 9 + 9 + u64::from(n >= 2);
        manifest.attachments.lists = Some(lists.clone());
        last = Some(forge.publish(manifest));
    }
    let report = verify(&forge.store);
    assert_eq!(codes(&report), ["attachment-size-mismatch"], "{}", report.to_text());
    let bad: Vec<bool> = report.snapshots.iter().map(|it| it.verdict == Verdict::Damaged).collect();
    assert_eq!(bad, [false, false, true, true]);
}
