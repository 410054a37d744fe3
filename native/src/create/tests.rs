//! Stories of snapshots: everything that was created is decoded by the verifier and compared with the
//! archive.

mod archive;
mod dense;
mod documents;
mod failures;

use std::fs;

use archive::Archive;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::sums::SumsName;

use super::*;
use crate::home::Dense;

#[test]
fn a_first_snapshot_holds_the_archive_to_the_byte() {
    let archive = Archive::new();
    archive.write_messages(0..400);
    let small = archive.attach(b"a small attachment");
    archive.attach(b"");
    archive.attach(&archive::noise(1, 400_000));
    archive.write("deletions/done/1.json", b"{}");
    archive.write("logs/never.log", b"x");

    let report = archive.create();
    let snapshot = archive.check(&report);
    assert_eq!(snapshot.manifest.format_version, 1);
    assert_eq!(snapshot.manifest.parent_id, None);
    assert_eq!(snapshot.manifest.created_at, "2026-11-23T13:35:58Z");
    assert_eq!(snapshot.manifest.options.zstd_level, 3);
    assert_eq!(snapshot.manifest.db.map_chain_depth, 0);
    let repository = archive.repository();
    assert!(snapshot.attachments.iter(repository.index()).any(|attachment| attachment.id == small));
    assert_eq!((report.attachments.blobs, report.attachments.new), (3, 3));
    assert_eq!(report.pages.changed, report.pages.total);
    assert_eq!((report.extras.files, report.extras.bytes), (1, 2));
    assert_eq!(snapshot.extras[0].path.relative().as_str(), "deletions/done/1.json");
    assert_eq!(report.stats.messages, 400);
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    assert!(archive.read("repo/config.toml").contains("page_size = 4096"));
}

#[test]
fn a_small_change_adds_a_small_delta() {
    let archive = Archive::new();
    archive.write_messages(0..400);
    archive.attach(b"one");
    let first = archive.create();
    archive.write_messages(400..403);
    let second = archive.create();
    let snapshot = archive.check(&second);
    assert_eq!(snapshot.manifest.db.map_chain_depth, 1);
    assert_eq!(second.parent_id, first.snapshot_id);
    assert!(second.pages.changed < 10, "{:?}", second.pages);
    assert!(second.bytes_added < first.bytes_added);
    assert_eq!(second.attachments.new, 0);
}

#[test]
fn an_unchanged_archive_adds_nothing_but_a_manifest() {
    let archive = Archive::new();
    archive.write_messages(0..400);
    archive.attach(b"one");
    archive.create();
    // Brings the empty deltas, which the next one finds.
    archive.create();
    let unchanged = archive.create();
    let snapshot = archive.check(&unchanged);
    assert_eq!(snapshot.manifest.new_packs, None);
    assert_eq!(snapshot.manifest.new_index, None);
    assert_eq!(snapshot.manifest.bytes_added, 0);
    assert!(snapshot.manifest.encode().contains("\"new_packs\": null,\n  \"new_index\": \"\""));
    assert_eq!(unchanged.pages.changed, 0);
}

#[test]
fn a_database_that_shrinks_or_changes_its_page_size_is_followed() {
    let archive = Archive::new();
    archive.write_messages(0..800);
    let large = archive.create();
    archive.sql("DELETE FROM messages WHERE id > 50; VACUUM");
    // A dense keyframe would be due.
    let small = archive.try_create(|request| request.dense = Dense::Off).unwrap();
    assert!(small.pages.total < large.pages.total);
    assert_eq!(archive.check(&small).manifest.db.map_chain_depth, 1);

    archive.sql("PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024; VACUUM; PRAGMA journal_mode = WAL");
    let repaged = archive.create();
    assert_eq!(repaged.pages.page_size, 1024);
    assert_eq!(archive.check(&repaged).manifest.db.map_chain_depth, 0);
    assert!(archive.read("repo/config.toml").contains("page_size = 1024"));
    archive.write_messages(800..900);
    assert_eq!(archive.check(&archive.create()).manifest.db.map_chain_depth, 1);
    archive.check(&large);
}

#[test]
fn a_chain_ends_in_a_keyframe_before_it_grows_too_long() {
    let archive = Archive::new();
    // Many blobs in the keyframe's map, so that it is larger than many deltas: 60 of 1024 pages.
    archive.sql("PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM; PRAGMA journal_mode = WAL");
    archive.sql("INSERT INTO messages (id, body) VALUES (5000, zeroblob(31000000))");
    let depths: Vec<u64> = (0..32).map(|_| archive.create().pages.map_chain_depth).collect();
    let last = archive.create();
    archive.check(&last);
    let expected: Vec<u64> = (0..=29).chain(0..=1).collect();
    assert_eq!(depths, expected);
}

#[test]
fn deltas_that_outgrow_their_keyframe_end_the_chain() {
    let archive = Archive::new();
    archive.write_messages(0..20);
    let depths: Vec<u64> = (0..8)
        .map(|round| {
            archive.sql(&format!("UPDATE messages SET body = 'round {round}' WHERE id = 7"));
            archive.create().pages.map_chain_depth
        })
        .collect();
    // The keyframe has one blob and one run; so has every delta, and two are larger than one.
    assert_eq!(depths, [0, 1, 2, 0, 1, 2, 0, 1]);
}

#[test]
fn attachment_lists_are_inherited_until_something_is_removed() {
    let archive = Archive::new();
    archive.write_messages(0..5);
    let none = archive.check(&archive.create());
    assert!(none.manifest.attachments.lists.is_none());
    archive.attach(b"one");
    archive.attach(b"two");
    let two = archive.check(&archive.create());
    archive.attach(b"three");
    let three = archive.check(&archive.create());
    assert_eq!(three.manifest.lists().len(), 2);
    assert_eq!(three.manifest.lists()[0], two.manifest.lists()[0]);
    let same = archive.check(&archive.create());
    assert_eq!(same.manifest.lists(), three.manifest.lists());
    archive.sql(&format!("DELETE FROM attachments WHERE content_hash = '{}'", BlobId::of(b"two")));
    let fewer = archive.check(&archive.create());
    assert_eq!(fewer.manifest.lists().len(), 1);
    assert_eq!(fewer.attachments.len(), 2);
    archive.sql("DELETE FROM attachments");
    let empty = archive.check(&archive.create());
    assert!(empty.manifest.attachments.lists.is_none());
}

#[test]
fn a_path_of_its_own_makes_version_2() {
    let archive = Archive::new();
    archive.write_messages(0..5);
    archive.attach(b"canonical");
    archive.attach_at(b"elsewhere", "synctech-sms/1/part.bin");
    let snapshot = archive.check(&archive.create());
    assert_eq!((snapshot.manifest.format_version, snapshot.manifest.min_reader_version), (2, 2));
}

#[test]
fn packs_are_the_same_whatever_the_number_of_jobs() {
    let packs = |jobs| {
        let archive = Archive::new();
        archive.write_messages(0..3000);
        for seed in 0..200 {
            archive.attach(&archive::noise(seed, 2000));
        }
        archive.attach(&archive::noise(1000, 17_000_000));
        let report = archive.try_create(|request| request.jobs = jobs).unwrap();
        archive.check(&report);
        let path = |pack: &msgvault_verifier::format::id::PackId| archive.root().join(pack.path());
        report.new_packs.iter().map(|pack| fs::read(path(pack)).unwrap()).collect::<Vec<_>>()
    };
    assert!(packs(1) == packs(4));
}

#[test]
fn secrets_are_captured_only_when_they_are_asked_for_and_allowed() {
    let archive = Archive::new();
    archive.write_messages(0..5);
    archive.write("config.toml", b"[backup]\n");
    archive.write("tokens/a@example.org.json", b"secret");
    archive.write("client_secret_1.json", b"secret");
    archive.write("sub/client_secret_2.json", b"secret");
    archive.write("client_secret.txt", b"no");
    for (config, flag) in [(true, "--include-config"), (false, "--include-tokens")] {
        let refused = archive.try_create(|request| {
            request.include_config = config;
            request.include_tokens = !config;
        });
        assert!(refused.unwrap_err().to_string().starts_with(flag));
    }
    assert_eq!(archive.create().extras.files, 0);
    let report = archive.try_create(|request| {
        request.include_config = true;
        request.include_tokens = true;
        request.allow_plaintext_secrets = true;
    });
    let snapshot = archive.check(&report.unwrap());
    let names: Vec<&str> = snapshot.extras.iter().map(|file| file.path.relative().as_str()).collect();
    assert_eq!(names, ["client_secret_1.json", "config.toml", "tokens/a@example.org.json"]);
    assert!(snapshot.manifest.options.include_config && snapshot.manifest.options.include_tokens);
}

#[test]
fn a_dry_run_tells_the_same_and_stores_nothing() {
    let archive = Archive::new();
    archive.write_messages(0..400);
    archive.attach(b"one");
    let before = archive.files();
    let dry = archive.try_create(|request| request.dry_run = true).unwrap();
    assert_eq!(archive.files(), before);
    assert_eq!(dry.snapshot_id, None);
    let real = archive.create();
    assert_eq!((dry.bytes_added, dry.pages.total), (real.bytes_added, real.pages.total));
}

#[test]
fn a_lost_or_poisoned_cache_changes_nothing_but_time() {
    let archive = Archive::new();
    archive.write_messages(0..400);
    let first = archive.create();
    let cache = archive.cache_file();
    let good = fs::read(&cache).unwrap();
    let repo = archive.copy_repository();
    let mut poisoned = good.clone();
    poisoned[100] ^= 1;
    let other_snapshot = [&good[..4], b"2", &good[5..]].concat();
    let wrong_len = [&[0xff; 4][..], &good[4..]].concat();
    archive.write_messages(400..405);
    let mut manifests = Vec::new();
    for bytes in
        [Some(&good), None, Some(&poisoned), Some(&other_snapshot), Some(&wrong_len), Some(&Vec::new())]
    {
        archive.restore_repository(&repo);
        match bytes {
            Some(bytes) => fs::write(&cache, bytes).unwrap(),
            None => fs::remove_file(&cache).unwrap(),
        }
        let report = archive.create();
        assert_eq!(report.parent_id, first.snapshot_id);
        let db = archive.check(&report).manifest.db;
        manifests.push((db, report.bytes_added, report.pages.changed));
    }
    assert!(manifests.windows(2).all(|pair| pair[0] == pair[1]), "{manifests:?}");
}

#[test]
fn a_snapshot_is_later_than_the_last_whatever_the_clock() {
    let archive = Archive::new();
    archive.write_messages(0..5);
    let times: Vec<String> = (0..3).map(|_| archive.create_at_the_same_time().created_at).collect();
    assert_eq!(times, ["2026-11-23T13:35:58Z", "2026-11-23T13:35:59Z", "2026-11-23T13:36:00Z"]);
    archive.pass(-86_400);
    let report = archive.create_at_the_same_time();
    assert_eq!(report.created_at, "2026-11-23T13:36:01Z");
    assert!(report.warnings[0].contains("clock"), "{:?}", report.warnings);
}

#[test]
fn one_wrong_clock_does_not_date_every_later_snapshot() {
    const SEVENTY_YEARS: i64 = 70 * 365 * 86_400;
    let archive = Archive::new();
    archive.write_messages(0..5);
    let first = archive.create();
    archive.pass(SEVENTY_YEARS);
    let before = archive.copy_repository();
    for dry_run in [false, true] {
        let refused = archive.create_as(&(), |request| request.dry_run = dry_run).unwrap_err();
        assert!(matches!(refused, CreateError::ImplausibleClock { .. }), "{refused}");
        assert!(refused.to_string().contains("says 2096-"), "{refused}");
        assert!(archive.copy_repository() == before);
    }

    let ahead = archive.create_as(&(), |request| request.accept_clock = true).unwrap();
    assert!(ahead.created_at.starts_with("2096-"), "{}", ahead.created_at);
    assert!(ahead.warnings[0].contains(&first.created_at), "{:?}", ahead.warnings);
    archive.pass(-SEVENTY_YEARS);
    archive.write_messages(5..9);
    let behind = archive.create();
    assert!(behind.created_at.starts_with("2096-"));
    assert!(behind.warnings[0].contains(&ahead.created_at), "{:?}", behind.warnings);

    // The way out that the guide shows: what they stored stays and is used.
    for id in [&ahead.snapshot_id, &behind.snapshot_id].map(|id| id.clone().unwrap()) {
        for path in [id.path(), SumsName::Snapshot(id).path()] {
            fs::remove_file(archive.root().join(path)).unwrap();
        }
    }
    let right = archive.create();
    assert!(right.created_at.starts_with("2026-11-2"), "{}", right.created_at);
    assert_eq!(
        (right.parent_id.clone(), right.warnings.len()),
        (first.snapshot_id, 0),
        "{:?}",
        right.warnings
    );
    archive.check(&right);
}
