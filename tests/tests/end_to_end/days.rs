//! Forty days in the life of an archive, and unusual archives.

use std::{fs, io};

use msgvault_tests::days::every_day_comes_back;
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::{Scene, assert_same_bytes};
use msgvault_verifier::format::id::BlobId;

fn live(page_size: u32, size: u64, days: u32) {
    let options = Options { page_size, size, seed: page_size.into(), ..Options::default() };
    every_day_comes_back(&options, days, &mut io::sink()).unwrap();
}

#[test]
fn forty_days_come_back_with_pages_of_512_bytes() {
    live(512, 1 << 20, 40);
}

#[test]
fn forty_days_come_back_with_pages_of_4096_bytes() {
    live(4096, 1 << 20, 40);
}

#[test]
fn forty_days_come_back_with_pages_of_8192_bytes() {
    live(8192, 1 << 20, 40);
}

#[test]
fn forty_days_come_back_with_pages_of_65536_bytes() {
    live(65_536, 2 << 20, 40);
}

#[test]
fn three_days_of_a_hundred_megabytes_come_back() {
    live(4096, 100 << 20, 3);
}

#[test]
fn a_new_page_size_starts_a_new_chain() {
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
fn archives_with_little_in_them_come_back() {
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
