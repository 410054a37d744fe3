//! Repositories that the Go program wrote, restored by the library: what it reports, and what is in the
//! target.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use msgvault::repo::lock::LockRequest;
use msgvault::restore::{self, RestoreError, RestoreReport, RestoreRequest};
use msgvault_platform::context::Context;
use msgvault_tests::fixtures::{self, Fixture};
use msgvault_tests::sample::Options;
use msgvault_tests::scene::Scene;
use msgvault_tests::tree::{Files, files, hashes_and_modes};
use msgvault_verifier::Memory;
use msgvault_verifier::format::id::{BlobId, SnapshotId};
use tempfile::TempDir;

/// A copy of a repository, in which locks can be taken.
fn copy(fixture: &Fixture) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    fixture.copy_to(&copy.path().join("repo"));
    copy
}

fn snapshots(fixture: &Fixture) -> Vec<SnapshotId> {
    fixture.snapshots().iter().map(|id| id.parse().unwrap()).collect()
}

/// Restores with a clock that does not move.
fn restore<'a>(
    root: &'a Path,
    snapshot: &'a SnapshotId,
    target: &'a Path,
    change: impl FnOnce(&mut RestoreRequest<'a>),
) -> Result<RestoreReport, RestoreError> {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    let random = || u128::from(CALLS.fetch_add(1, Ordering::Relaxed));
    let context = Context { observer: &(), now: &|| Timestamp::UNIX_EPOCH, random: &random };
    let lock = LockRequest {
        root,
        operation: "restore",
        host: "here",
        pid: 1,
        force: false,
        patience: Duration::ZERO,
        pause: &|_| panic!("waited"),
    };
    let mut request = RestoreRequest {
        expect_content: None,
        lock,
        snapshot,
        target,
        overwrite: false,
        integrity_check: false,
        jobs: 2,
        memory: Memory::unlimited(),
        live_homes: &[],
    };
    change(&mut request);
    restore::run(&context, &request)
}

#[test]
fn every_snapshot_restores_to_exactly_what_was_captured() {
    for fixture in fixtures::all() {
        let (copy, name) = (copy(&fixture), &fixture.name);
        let root = copy.path().join("repo");
        for snapshot in snapshots(&fixture) {
            let target = copy.path().join("targets").join(snapshot.as_str());
            let report = restore(&root, &snapshot, &target, |request| request.integrity_check = true);
            let report = report.unwrap_or_else(|error| panic!("{name} {snapshot}: {error}"));

            let [hashes, modes] = hashes_and_modes(&target).unwrap();
            let [expected_hashes, expected_modes] = fixture.restored(snapshot.as_str());
            assert_eq!(hashes, expected_hashes, "{name} {snapshot}");
            assert_eq!(modes, expected_modes, "{name} {snapshot}");
            let hashes: BTreeMap<String, String> = hashes.into_iter().collect();
            let database =
                fs::read_to_string(fixture.expected.join(format!("{snapshot}.db.sha256"))).unwrap();
            assert_eq!(hashes["msgvault.db"], database.trim(), "{name} {snapshot}");
            let attachments = hashes.keys().filter(|path| path.starts_with("attachments/")).count();
            assert_eq!(report.attachment_files, attachments as u64);
            assert_eq!(report.extras, (hashes.len() - attachments - 1) as u64);
            assert!(!report.pack_tables_emptied);
        }
        let locks = fs::read_dir(root.join("locks")).unwrap();
        let left: Vec<_> =
            locks.map(|entry| entry.unwrap().file_name()).filter(|name| name != ".gitkeep").collect();
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}

#[test]
fn a_disclosure_of_the_go_program_is_reported() {
    for fixture in fixtures::others().iter().filter(|fixture| fixture.name.ends_with("/auxiliary")) {
        let copy = copy(fixture);
        let disclosures = snapshots(fixture).into_iter().map(|snapshot| {
            let target = copy.path().join(snapshot.as_str());
            restore(&copy.path().join("repo"), &snapshot, &target, |_| ()).unwrap().disclosures.len()
        });
        assert_eq!(disclosures.collect::<Vec<_>>(), [0, 1]);
    }
}

#[test]
fn overwriting_keeps_files_that_were_never_captured() {
    for fixture in fixtures::all() {
        let (copy, name) = (copy(&fixture), &fixture.name);
        let (root, target) = (copy.path().join("repo"), copy.path().join("home"));
        for snapshot in snapshots(&fixture) {
            fs::create_dir_all(&target).unwrap();
            fs::write(target.join("mine.txt"), "mine").unwrap();
            for sidecar in ["msgvault.db-wal", "msgvault.db-shm", "msgvault.db-journal"] {
                fs::write(target.join(sidecar), "old").unwrap();
            }
            restore(&root, &snapshot, &target, |request| request.overwrite = true).unwrap();
            let [expected, _] = fixture.restored(snapshot.as_str());
            let files = files(&target).unwrap();
            for (path, hash) in expected {
                assert_eq!(BlobId::of(&files[&path].1).to_string(), hash, "{name} {snapshot} {path}");
            }
            assert_eq!(files["mine.txt"].1, b"mine");
            let odd = files.keys().find(|path| path.contains("restore-") || path.starts_with("msgvault.db-"));
            assert_eq!(odd, None, "{name} {snapshot}");
        }
    }
}

#[test]
fn damage_stops_a_restore_before_the_old_database_is_touched() {
    let fixture = fixtures::named("plain");
    let copy = copy(&fixture);
    let root = copy.path().join("repo");
    let snapshot = snapshots(&fixture).pop().unwrap();
    let whole = copy.path().join("whole");
    restore(&root, &snapshot, &whole, |_| ()).unwrap();
    let (whole, mut failed) = (files(&whole).unwrap(), 0);
    for pack in files(&root.join("packs")).unwrap().keys() {
        let pack = root.join("packs").join(pack);
        let good = fs::read(&pack).unwrap();
        for at in (0..good.len()).step_by(101) {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            fs::write(&pack, &bad).unwrap();
            let (home, before) = old_home();
            let restored = restore(&root, &snapshot, home.path(), |request| request.overwrite = true);
            let mut after = files(home.path()).unwrap();
            if restored.is_ok() {
                assert!(whole.iter().all(|(path, file)| after.get(path) == Some(file)), "{at}");
            } else {
                after.retain(|path, _| !path.starts_with("attachments/"));
                assert_eq!(after, before, "{at}");
                failed += 1;
            }
        }
        fs::remove_file(&pack).unwrap();
        let (home, before) = old_home();
        let missing = restore(&root, &snapshot, home.path(), |request| request.overwrite = true);
        if missing.is_err() {
            assert_eq!(files(home.path()).unwrap(), before);
            failed += 1;
        }
        fs::write(&pack, &good).unwrap();
    }
    assert!(failed > 10, "{failed}");
}

/// A home with an old archive in it.
fn old_home() -> (TempDir, Files) {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("deletions/done")).unwrap();
    for name in ["msgvault.db", "msgvault.db-wal", "config.toml", "deletions/done/1.json", "mine.txt"] {
        fs::write(home.path().join(name), format!("old {name}")).unwrap();
    }
    let before = files(home.path()).unwrap();
    (home, before)
}

#[test]
fn damage_of_the_archive_is_not_called_damage_of_the_repository() {
    let scene = Scene::new(&Options { size: 400 << 10, ..Options::default() });
    scene.damage_database();
    scene.create(&[]);
    assert_eq!(scene.backup(&["verify"]).code, 0);
    let checked = scene.backup(&["verify", "--restore-check", "--json"]);
    assert_eq!(checked.code, 3, "{checked:?}");
    let report = checked.json();
    assert_eq!(
        (&report["verdict"], &report["problems"][0]["code"]),
        (&"archive-damaged".into(), &"archive-damaged".into())
    );
    let checked = scene.backup(&["verify", "--restore-check"]);
    assert!(checked.stdout.contains("The repository is intact"), "{checked:?}");
}
