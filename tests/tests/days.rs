//! Forty days in the life of an archive, a backup every day, and every day comes back.

use std::fs;

use msgvault_tests::sample::{Churn, Options, tree_digest};
use msgvault_tests::scene::{Scene, assert_same_bytes};
use msgvault_verifier::Ruzstd;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::DirectoryStore;

const DAYS: u32 = 40;

fn day(day: u32) -> Churn {
    Churn {
        day,
        // It grows, and shrinks in the middle of each ten days.
        shrink: if day % 10 == 5 { 40 } else { 1 },
        vacuum: day.is_multiple_of(10),
        remove_attachments: if day.is_multiple_of(7) { 10 } else { 0 },
        ..Churn::default()
    }
}

struct Day {
    snapshot: String,
    database: std::path::PathBuf,
    attachments: String,
}

fn live(page_size: u32, size: u64, days: u32) -> (Scene, Vec<Day>) {
    let scene = Scene::new(&Options { page_size, size, seed: page_size.into(), ..Options::default() });
    let mut lived = Vec::new();
    for number in 0..days {
        if number > 0 {
            scene.churn(&day(number));
        }
        let snapshot = scene.create(&["--tag", &format!("day {number}")]);
        let restored = scene.restore("latest", "latest");
        let database = scene.keep(&format!("day-{number}.db"));
        assert_same_bytes(&restored.join("msgvault.db"), &database, &format!("day {number}"));
        let attachments = tree_digest(&scene.home().join("attachments")).unwrap();
        assert_eq!(tree_digest(&restored.join("attachments")).unwrap(), attachments, "day {number}");
        fs::remove_dir_all(restored).unwrap();
        lived.push(Day { snapshot, database, attachments });
    }
    (scene, lived)
}

fn every_day_comes_back(page_size: u32, size: u64, days: u32) {
    let (scene, lived) = live(page_size, size, days);
    let report = scene.backup(&["verify", "--all", "--json"]).done().json();
    assert_eq!(report["snapshots"].as_array().unwrap().len(), lived.len());
    for (number, day) in lived.iter().enumerate() {
        let restored = scene.restore(&day.snapshot, "again");
        assert_same_bytes(&restored.join("msgvault.db"), &day.database, &format!("day {number} again"));
        assert_eq!(tree_digest(&restored.join("attachments")).unwrap(), day.attachments);
        fs::remove_dir_all(restored).unwrap();
    }
    keyframes_are_where_they_belong(&scene);
}

/// Keyframe or delta follows from the manifests and the index alone.
fn keyframes_are_where_they_belong(scene: &Scene) {
    let repository = Repository::open(DirectoryStore::new(scene.repo()), Ruzstd).unwrap();
    let ids = repository.listing().unwrap().snapshots;
    let manifests: Vec<Manifest> = ids.iter().map(|id| repository.manifest(id).unwrap()).collect();
    let stored = |blob: Option<BlobId>| repository.index().find(&blob.unwrap()).unwrap().stored_len;
    let mut keyframe_len = 0;
    let mut delta_len = 0;
    let mut depth = 0;
    let (mut keyframes, mut deltas) = (0, 0);
    for (number, manifest) in manifests.iter().enumerate() {
        let parent = number.checked_sub(1).map(|number| &manifests[number]);
        let keyframe = parent.is_none_or(|parent| {
            parent.db.page_size != manifest.db.page_size || depth + 1 > 29 || delta_len > keyframe_len
        });
        assert_eq!(manifest.db.map_chain_depth == 0, keyframe, "snapshot {number}");
        if keyframe {
            (keyframe_len, delta_len, depth) = (stored(manifest.db.page_map), 0, 0);
            keyframes += 1;
        } else {
            delta_len += stored(manifest.db.page_map);
            depth += 1;
            deltas += 1;
        }
        assert_eq!(manifest.db.map_chain_depth, depth);
    }
    assert!(keyframes > 0 && deltas > 0, "{keyframes} keyframes, {deltas} deltas");
}

#[test]
fn with_pages_of_512_bytes() {
    every_day_comes_back(512, 1 << 20, DAYS);
}

#[test]
fn with_pages_of_4096_bytes() {
    every_day_comes_back(4096, 1 << 20, DAYS);
}

#[test]
fn with_pages_of_8192_bytes() {
    every_day_comes_back(8192, 1 << 20, DAYS);
}

#[test]
fn with_pages_of_65536_bytes() {
    every_day_comes_back(65_536, 2 << 20, DAYS);
}

#[test]
fn with_a_hundred_megabytes() {
    every_day_comes_back(4096, 100 << 20, 3);
}

#[test]
fn a_new_page_size_begins_a_new_chain() {
    let scene = Scene::new(&Options::default());
    let before = scene.create(&[]);
    let kept = scene.keep("before.db");
    scene.churn(&Churn { page_size: Some(8192), ..Churn::default() });
    scene.create(&[]);
    let after = scene.keep("after.db");
    assert_same_bytes(&scene.restore("latest", "new").join("msgvault.db"), &after, "new page size");
    assert_same_bytes(&scene.restore(&before, "old").join("msgvault.db"), &kept, "old page size");
    let config = fs::read_to_string(scene.repo().join("config.toml")).unwrap();
    assert!(config.contains("page_size = 8192"), "{config}");
    let listed = scene.backup(&["list", "--json"]).done().json();
    assert_eq!(listed["snapshots"][1]["map_chain_depth"], 0);
}

#[test]
fn archives_with_little_in_them() {
    let tables = [
        Options { attachments: Some(0), attachment_rows: Some(0), ..Options::default() },
        Options { messages: Some(0), ..Options::default() },
        Options { messages: Some(0), attachments: Some(0), attachment_rows: Some(0), ..Options::default() },
        Options { namespaced: true, ..Options::default() },
    ];
    for options in tables {
        let scene = Scene::new(&options);
        let snapshot = scene.create(&[]);
        let kept = scene.keep("kept.db");
        let restored = scene.restore(&snapshot, "restored");
        assert_same_bytes(&restored.join("msgvault.db"), &kept, &format!("{options:?}"));
        let _ = scene.backup(&["verify"]).done();
    }
}

#[test]
fn packed_attachments_come_back_as_files() {
    let scene = Scene::new(&Options { packed: true, ..Options::default() });
    scene.create(&[]);
    let restored = scene.restore("latest", "restored");
    let summary = scene.backup(&["list", "--json"]).done().json();
    let blobs = summary["snapshots"][0]["attachments"]["blobs"].as_u64().unwrap();
    let mut files = 0;
    for folder in fs::read_dir(restored.join("attachments")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert_eq!(BlobId::of(&fs::read(&path).unwrap()).to_string(), name);
            files += 1;
        }
    }
    assert_eq!(files, blobs);
    assert!(!restored.join("attachments/packs").exists());
}

#[test]
fn a_day_without_change_adds_nothing() {
    let scene = Scene::new(&Options::default());
    for _ in 0..3 {
        scene.create(&[]);
    }
    let listed = scene.backup(&["list", "--json"]).done().json();
    assert_eq!(listed["snapshots"][2]["bytes_added"], 0);
    assert_eq!(listed["snapshots"][2]["packs_added"], 0);
    let id = listed["snapshots"][2]["snapshot_id"].as_str().unwrap();
    let manifest = fs::read_to_string(scene.repo().join(format!("snapshots/{id}.mvmanifest"))).unwrap();
    assert!(manifest.contains("\"new_packs\": null,\n  \"new_index\": \"\","), "{manifest}");
}
