//! What can lie in a real folder and in no archive: links, pipes, folders that nobody may read.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use msgvault_testing::{Forge, codes, page};
use msgvault_verifier::Ruzstd;
use msgvault_verifier::format::id::{IndexId, SnapshotId};
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
    pipe(&root.join(IndexId::from_parts(1 << 40, 0).path()));
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

#[test]
fn what_systems_and_tools_leave_is_told_and_no_problem() {
    let (root, snapshot) = folder("foreign");
    let before = verify(&root);
    let pack = fs::read_dir(root.join("packs/00")).unwrap().next().unwrap().unwrap().path();
    let index = fs::read_dir(root.join("indexes")).unwrap().next().unwrap().unwrap().path();
    let manifest = root.join(snapshot.path());
    let beside = |path: &Path, name: &dyn Fn(&str) -> String| {
        path.with_file_name(name(path.file_name().unwrap().to_str().unwrap()))
    };
    let conflict = |name: &str| name.replace(".mv", " (conflicted copy).mv");
    for path in [&pack, &index, &manifest] {
        fs::copy(path, beside(path, &conflict)).unwrap();
        fs::write(beside(path, &|name| format!("._{name}")), "\0\x05\x16\x07").unwrap();
        fs::write(beside(path, &|name| format!("{name}.tmp")), "").unwrap();
        fs::write(beside(path, &|_| "Thumbs.db".to_owned()), "").unwrap();
        fs::create_dir(beside(path, &|_| "@eaDir".to_owned())).unwrap();
    }
    fs::write(beside(&index, &|_| "x.mvidx".to_owned()), "").unwrap();
    fs::write(beside(&manifest, &|_| "nightly.mvmanifest".to_owned()), "{}").unwrap();
    fs::create_dir_all(root.join("locks/lost+found")).unwrap();
    fs::create_dir_all(root.join("packs/zz")).unwrap();
    fs::write(root.join("locks/shared-x.json"), "{}").unwrap();
    let name = std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xe9.mvidx");
    fs::write(root.join("indexes").join(<std::ffi::OsStr>::to_owned(name)), "").unwrap();

    let report = verify(&root);
    assert_eq!(report.verdict, Verdict::Intact, "{}", report.to_text());
    assert_eq!((report.problems.len(), report.totals), (0, before.totals));
    // Forge leaves one of its own.
    assert_eq!((before.foreign.len(), report.foreign.len()), (1, 22));
    let detail_of = |part: &str| {
        let found = report.foreign.iter().find(|foreign| foreign.file.contains(part));
        found.map(|found| found.detail.clone()).unwrap_or_default()
    };
    let of = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let copy_of = |kind, path| format!("a copy of {kind} {} under another name", of(path));
    assert_eq!(detail_of(&conflict(&format!("{}.mvpack", of(&pack)))), copy_of("pack", &pack));
    assert_eq!(detail_of(&conflict(&format!("{}.mvidx", of(&index)))), copy_of("index", &index));
    assert_eq!(detail_of(&conflict(&format!("{snapshot}.mvmanifest"))), copy_of("snapshot", &manifest));
    for (part, detail) in [
        ("snapshots/._", "operating system"),
        ("indexes/@eaDir", "operating system"),
        ("locks/lost+found", "operating system"),
        ("packs/zz", "nothing reads it"),
        ("nightly", "nothing reads it"),
        ("locks/shared-x.json", "nothing reads it"),
        ("caf\u{fffd}", "nothing reads it"),
    ] {
        assert!(detail_of(part).contains(detail), "{part}: {}", detail_of(part));
    }
    let text = report.to_text();
    assert!(text.contains("not part of the repository, and left alone: 22 files"), "{text}");
    assert!(text.contains("and 2 files more"), "{text}");
    assert!(
        overview(&Repository::open(DirectoryStore::new(&root), Ruzstd).unwrap())
            .unwrap()
            .unreadable
            .is_empty()
    );
}

#[test]
fn a_conflict_copy_that_is_all_there_is_gets_named() {
    let (root, snapshot) = folder("renamed");
    let (manifest, copy) = (root.join(snapshot.path()), root.join("snapshots/x (1).mvmanifest"));
    let index = fs::read_dir(root.join("indexes")).unwrap().next().unwrap().unwrap().path();
    let renamed = index.with_extension("conflict.mvidx");
    fs::rename(&manifest, &copy).unwrap();
    fs::rename(&index, &renamed).unwrap();
    let report = verify(&root);
    let all: Vec<&str> = report.foreign.iter().map(|foreign| foreign.detail.as_str()).collect();
    assert!(
        all.iter().any(|detail| detail.ends_with(&format!("rename it to {}", snapshot.path()))),
        "{all:?}"
    );
    let stem = index.file_stem().unwrap().to_str().unwrap();
    let of_index = format!("rename this file to indexes/{stem}.mvidx and verify again");
    assert!(all.iter().any(|detail| detail.ends_with(&of_index)), "{all:?}");
    fs::rename(&copy, &manifest).unwrap();
    fs::rename(&renamed, &index).unwrap();
    assert_eq!(verify(&root).verdict, Verdict::Intact);
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
