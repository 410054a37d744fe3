//! What can lie in a real folder and in no archive: links, pipes, folders that nobody may read.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use msgvault_testing::{Forge, codes, page};
use msgvault_verifier::Ruzstd;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::inspect::overview;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::{DirectoryStore, MemoryStore, Store, StoreEntry, StoreError, StoreFile};
use msgvault_verifier::verify::{self, Depth, Report, Scope, Verdict};

/// A repository of one snapshot in a folder of this name.
fn folder(name: &str) -> (PathBuf, SnapshotId) {
    let mut forge = Forge::new();
    let db = forge.database(&[page(1)]);
    let manifest = forge.manifest(None, db);
    let snapshot = forge.publish(manifest);
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&root);
    forge.write_to(&root).unwrap();
    (root, snapshot)
}

fn verify(root: &Path) -> Report {
    let repository = Repository::open(DirectoryStore::new(root), Ruzstd).unwrap();
    verify::verify(&repository, &Scope::All, Depth::Full, &())
}

#[test]
fn a_snapshot_behind_a_dangling_link_is_missing() {
    let (root, snapshot) = folder("dangling");
    let file = root.join(snapshot.path());
    fs::remove_file(&file).unwrap();
    symlink("/nowhere", &file).unwrap();
    assert_eq!(codes(&verify(&root)), ["manifest-missing"]);
    fs::remove_file(&file).unwrap();
    symlink(&file, &file).unwrap();
    assert_eq!(codes(&verify(&root)), ["manifest-unreadable"]);
}

#[test]
fn a_link_to_the_packs_on_another_disk_is_followed() {
    let (root, _) = folder("linked");
    let elsewhere = root.with_extension("packs");
    let _ = fs::remove_dir_all(&elsewhere);
    fs::rename(root.join("packs"), &elsewhere).unwrap();
    symlink(&elsewhere, root.join("packs")).unwrap();
    assert_eq!(verify(&root).verdict, Verdict::Intact);
}

#[test]
fn pipes_in_place_of_files_are_refused() {
    let (root, snapshot) = folder("pipes");
    let pipe = |path: &Path| {
        let _ = fs::remove_file(path);
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let pack = fs::read_dir(root.join("packs/00")).unwrap().next().unwrap().unwrap().path();
    pipe(&pack);
    pipe(&root.join("indexes/zzz.mvidx"));
    assert_eq!(codes(&verify(&root)), ["index-damaged", "pack-unreadable"]);
    pipe(&root.join(snapshot.path()));
    assert_eq!(codes(&verify(&root)), ["index-damaged", "manifest-unreadable"]);
}

#[test]
fn strays_in_any_folder_change_nothing() {
    let (root, snapshot) = folder("strays");
    for stray in [
        ".gitkeep",
        "README",
        "packs/.gitkeep",
        "packs/00/.syncthing.x.mvpack.tmp",
        "packs/00/x.mvpack",
        "packs/zz/y",
        "indexes/.gitkeep",
        "indexes/.01abc.mvidx.Xb12",
        "snapshots/.20261123T000001Z.mvmanifest.Xb12",
        "snapshots/folder/x",
        "staging/left",
        "keys/k",
        "locks/.gitkeep",
        "other/x",
    ] {
        let file = root.join(stray);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "stray").unwrap();
    }
    fs::create_dir_all(root.join("indexes/x.mvidx")).unwrap();
    let report = verify(&root);
    assert_eq!(report.verdict, Verdict::Intact, "{}", report.to_text());
    let repository = Repository::open(DirectoryStore::new(&root), Ruzstd).unwrap();
    assert_eq!(repository.select("latest").unwrap(), snapshot);
    assert!(overview(&repository).unwrap().unreadable.is_empty());
}

/// A disk whose root belongs to somebody else in part, as one with `lost+found` does.
struct Guarded(MemoryStore);

impl Store for Guarded {
    fn list(&self, folder: &str) -> Result<Vec<StoreEntry>, StoreError> {
        if folder == "lost+found" {
            let reason = "Permission denied".to_owned();
            return Err(StoreError::Unreadable { path: folder.to_owned(), reason });
        }
        self.0.list(folder)
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreFile + '_>, StoreError> {
        self.0.open(path)
    }
}

#[test]
fn a_repository_beside_lost_and_found_can_be_listed() {
    let mut forge = Forge::new();
    let db = forge.database(&[page(1)]);
    let manifest = forge.manifest(None, db);
    forge.publish(manifest);
    let own: usize = forge.store.paths().map(|path| forge.store.file(path).unwrap().len()).sum();
    forge.store.insert("lost+found/x", "not ours");
    let repository = Repository::open(Guarded(forge.store), Ruzstd).unwrap();
    let overview = overview(&repository).unwrap();
    assert_eq!((overview.snapshots.len(), overview.bytes), (1, own as u64));
}
