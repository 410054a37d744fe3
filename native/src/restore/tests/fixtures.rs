//! Repositories that the Go program wrote.

use msgvault_verifier::format::id::BlobId;

use super::*;

/// The folders of all fixtures, copied so that locks can be taken in them.
fn fixtures() -> Vec<(String, TempDir, PathBuf)> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let mut found = Vec::new();
    for group in ["minimal", "full"] {
        let Ok(folders) = fs::read_dir(all.join(group)) else {
            eprintln!("SKIPPED: there are no fixtures at {}", all.join(group).display());
            continue;
        };
        for folder in folders {
            let folder = folder.unwrap().path();
            let copy = tempfile::tempdir().unwrap();
            copy_folder(&folder.join("repo"), &copy.path().join("repo"));
            let name = format!("{group}/{}", folder.file_name().unwrap().to_str().unwrap());
            found.push((name, copy, folder.join("expected")));
        }
    }
    found
}

fn snapshots(expected: &Path) -> Vec<SnapshotId> {
    let list = fs::read_to_string(expected.join("snapshots.txt")).unwrap();
    list.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

/// Lines of `first  second`, by the second.
fn pairs(file: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| line.split_once("  ").unwrap())
        .map(|(a, b)| (b.to_owned(), a.to_owned()))
        .collect()
}

#[test]
fn every_snapshot_restores_to_exactly_what_was_captured() {
    let mut restored = 0;
    for (name, repo, expected) in fixtures() {
        for snapshot in snapshots(&expected) {
            let target = repo.path().join("targets").join(snapshot.as_str());
            let root = repo.path().join("repo");
            let report = restore(&(), &root, &snapshot, &target, |request| request.integrity_check = true);
            let report = report.unwrap_or_else(|error| panic!("{name} {snapshot}: {error}"));

            let tree = tree(&target);
            let hashes: BTreeMap<String, String> =
                tree.iter().map(|(path, (_, bytes))| (path.clone(), BlobId::of(bytes).to_string())).collect();
            let modes: BTreeMap<String, String> =
                tree.iter().map(|(path, (mode, _))| (path.clone(), format!("{mode:04o}"))).collect();
            assert_eq!(hashes, pairs(&expected.join(format!("{snapshot}.files"))), "{name} {snapshot}");
            assert_eq!(modes, pairs(&expected.join(format!("{snapshot}.modes"))), "{name} {snapshot}");
            let database = fs::read_to_string(expected.join(format!("{snapshot}.db.sha256"))).unwrap();
            assert_eq!(hashes["msgvault.db"], database.trim(), "{name} {snapshot}");
            let attachments = hashes.keys().filter(|path| path.starts_with("attachments/")).count();
            assert_eq!(report.attachment_files, attachments as u64);
            assert_eq!(report.extras, (hashes.len() - attachments - 1) as u64);
            assert!(!report.pack_tables_emptied);
            restored += 1;
        }
        let locks = fs::read_dir(repo.path().join("repo/locks")).unwrap();
        let left: Vec<_> =
            locks.map(|entry| entry.unwrap().file_name()).filter(|name| name != ".gitkeep").collect();
        assert!(left.is_empty(), "{name}: {left:?}");
    }
    eprintln!("{restored} snapshots restored");
}

#[test]
fn a_disclosure_is_reported() {
    for (name, repo, expected) in fixtures() {
        if name != "full/auxiliary" {
            continue;
        }
        let disclosures = snapshots(&expected).into_iter().map(|snapshot| {
            let target = repo.path().join(snapshot.as_str());
            restore(&(), &repo.path().join("repo"), &snapshot, &target, |_| ()).unwrap().disclosures.len()
        });
        assert_eq!(disclosures.collect::<Vec<_>>(), [0, 1]);
    }
}

#[test]
fn one_snapshot_over_another_leaves_the_later_one_and_what_was_never_captured() {
    for (name, repo, expected) in fixtures() {
        let root = repo.path().join("repo");
        let target = repo.path().join("home");
        for snapshot in snapshots(&expected) {
            fs::create_dir_all(&target).unwrap();
            fs::write(target.join("mine.txt"), "mine").unwrap();
            for sidecar in ["msgvault.db-wal", "msgvault.db-shm", "msgvault.db-journal"] {
                fs::write(target.join(sidecar), "old").unwrap();
            }
            restore(&(), &root, &snapshot, &target, |request| request.overwrite = true).unwrap();
            let files = pairs(&expected.join(format!("{snapshot}.files")));
            let tree = tree(&target);
            for (path, hash) in files {
                assert_eq!(BlobId::of(&tree[&path].1).to_string(), hash, "{name} {snapshot} {path}");
            }
            assert_eq!(tree["mine.txt"].1, b"mine");
            let odd = tree.keys().find(|path| path.contains("restore-") || path.starts_with("msgvault.db-"));
            assert_eq!(odd, None, "{name} {snapshot}");
        }
    }
}

#[test]
fn damage_fails_before_the_old_database_is_touched_or_does_not_matter() {
    for (name, repo, expected) in fixtures().into_iter().filter(|(name, ..)| name == "minimal/plain") {
        let root = repo.path().join("repo");
        let snapshot = snapshots(&expected).pop().unwrap();
        let whole = repo.path().join("whole");
        restore(&(), &root, &snapshot, &whole, |_| ()).unwrap();
        let (whole, mut failed) = (tree(&whole), 0);
        for pack in tree(&root.join("packs")).keys() {
            let pack = root.join("packs").join(pack);
            let good = fs::read(&pack).unwrap();
            for at in (0..good.len()).step_by(101) {
                let mut bad = good.clone();
                bad[at] ^= 0x40;
                fs::write(&pack, &bad).unwrap();
                let (home, before) = old_home();
                let restored =
                    restore(&(), &root, &snapshot, home.path(), |request| request.overwrite = true);
                let mut after = tree(home.path());
                if restored.is_ok() {
                    assert!(whole.iter().all(|(path, file)| after.get(path) == Some(file)), "{name} {at}");
                } else {
                    after.retain(|path, _| !path.starts_with("attachments/"));
                    assert_eq!(after, before, "{at}");
                    failed += 1;
                }
            }
            fs::remove_file(&pack).unwrap();
            let (home, before) = old_home();
            let missing = restore(&(), &root, &snapshot, home.path(), |request| request.overwrite = true);
            if missing.is_err() {
                assert_eq!(tree(home.path()), before);
                failed += 1;
            }
            fs::write(&pack, &good).unwrap();
        }
        assert!(failed > 10, "{failed}");
    }
}

/// A home with an old archive in it.
fn old_home() -> (TempDir, BTreeMap<String, (u32, Vec<u8>)>) {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("deletions/done")).unwrap();
    for name in ["msgvault.db", "msgvault.db-wal", "config.toml", "deletions/done/1.json", "mine.txt"] {
        fs::write(home.path().join(name), format!("old {name}")).unwrap();
    }
    let before = tree(home.path());
    (home, before)
}
