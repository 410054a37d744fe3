//! A repository without a copy, mended from the living archive: what is lost and still there is stored again.

use std::fs;
use std::path::{Path, PathBuf};

use msgvault_tests::go_reader::can_read;
use msgvault_tests::programs::Outcome;
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::{Scene, assert_same_bytes, put_back};
use msgvault_tests::tree;
use serde_json::Value;

use super::documents::fits_file;
use super::sums::sha256sum;

/// An archive with so many snapshots, and the database of each. From 10 MiB on pages have a pack of their own.
fn scene(size: u64, days: u32) -> (Scene, Vec<PathBuf>) {
    let scene = Scene::new(&Options { size, ..Options::default() });
    let mut databases = Vec::new();
    for day in 0..days {
        if day > 0 {
            scene.churn(&Churn { day, ..Churn::default() });
        }
        scene.create(&[]);
        databases.push(scene.keep(&format!("database-{day}")));
    }
    (scene, databases)
}

fn repair(scene: &Scene, args: &[&str]) -> Outcome {
    scene.backup(&[&["repair", "--from-live", "--json"], args].concat())
}

fn packs(repo: &Path) -> Vec<PathBuf> {
    let packs = tree::files(&repo.join("packs")).unwrap().into_keys();
    packs.map(|pack| repo.join("packs").join(pack)).collect()
}

/// Changes a byte in every blob or two.
fn riddle(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    // The header of 8 bytes and the footer behind the blobs stay as they are.
    let blobs = bytes.len() - bytes.len() / 4;
    bytes[8..blobs].iter_mut().step_by(200).for_each(|byte| *byte ^= 1);
    fs::write(path, &bytes).unwrap();
    bytes
}

fn all_come_back(scene: &Scene, databases: &[PathBuf]) {
    let _ = scene.backup(&["verify", "--all"]).done();
    can_read(&scene.repo());
    sha256sum(&scene.repo()).unwrap();
    for (id, database) in scene.listed().iter().zip(databases) {
        let restored = scene.restore(id, "restored");
        assert_same_bytes(&restored.join("msgvault.db"), database, id);
        fs::remove_dir_all(restored).unwrap();
    }
}

/// The pack of each kind.
fn pack_with(scene: &Scene, what: &str) -> (PathBuf, Value) {
    for path in packs(&scene.repo()) {
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let report = repair(scene, &["--dry-run"]).json();
        fits_file(&report, "repair");
        fs::write(&path, whole).unwrap();
        let blobs = report["stored_again"].as_array().unwrap().iter();
        if blobs
            .chain(report["not_stored"].as_array().unwrap())
            .any(|blob| blob["what"].as_str().unwrap().contains(what))
        {
            return (path, report);
        }
    }
    panic!("no pack has {what}");
}

#[test]
fn what_the_archive_still_has_is_stored_again() {
    let (scene, databases) = scene(12 << 20, 1);
    let before = scene.beside("before");
    put_back(&scene.repo(), &before);
    for what in ["an attachment", "pages of the database"] {
        for is_missing in [true, false] {
            put_back(&before, &scene.repo());
            let (path, rehearsed) = pack_with(&scene, what);
            let bad = if is_missing {
                fs::remove_file(&path).unwrap();
                None
            } else {
                Some(riddle(&path))
            };
            assert_eq!(scene.backup(&["verify", "--all"]).code, 3);
            let outcome = repair(&scene, &[]);
            let report = outcome.clone().done().json();
            fits_file(&report, "repair");
            let stored = report["stored_again"].as_array().unwrap();
            assert!(
                !stored.is_empty()
                    && stored[0]["what"].as_str().unwrap().contains(what.trim_start_matches("pages")),
                "{report:#}"
            );
            assert!(!is_missing || report["stored_again"] == rehearsed["stored_again"], "{report:#}");
            assert_eq!(
                (&report["not_stored"], &report["problems_left"]),
                (&serde_json::json!([]), &0.into())
            );
            let kept = report["kept"].as_array().unwrap();
            assert_eq!(kept.len(), usize::from(!is_missing), "{report:#}");
            if let Some(bad) = bad {
                assert_eq!(fs::read(scene.repo().join(kept[0].as_str().unwrap())).unwrap(), bad);
            }
            assert!(!path.exists());
            all_come_back(&scene, &databases);
            let again = repair(&scene, &[]).done().json();
            assert_eq!(again["stored_again"], serde_json::json!([]));
        }
    }
}

#[test]
fn what_the_archive_does_not_have_any_more_is_told_of_and_its_pack_stays() {
    let (scene, _) = scene(12 << 20, 2);
    // The first pack has pages that changed since.
    let (path, _) = pack_with(&scene, "pages of the database");
    let bad = riddle(&path);
    let outcome = repair(&scene, &[]);
    assert_eq!(outcome.code, 3, "{outcome:?}");
    let report = outcome.json();
    fits_file(&report, "repair");
    let left = report["not_stored"].as_array().unwrap();
    assert!(!left.is_empty() && report["problems_left"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(fs::read(&path).unwrap(), bad);
    can_read(&scene.repo());
    // A copy that turns up heals the rest.
    let text = scene.backup(&["repair", "--from-live"]);
    assert!(text.code == 3 && text.stdout.contains("not stored: "), "{text:?}");
}

#[test]
fn maps_are_the_repositorys_own_and_an_archive_that_is_gone_has_nothing() {
    let (scene, _) = scene(5 << 20, 1);
    let (path, report) = pack_with(&scene, "the page map");
    assert!(
        report["not_stored"][0]["detail"].as_str().unwrap().contains("a copy of the repository"),
        "{report:#}"
    );
    fs::remove_file(&path).unwrap();
    fs::remove_dir_all(scene.home().join("attachments")).unwrap();
    fs::remove_file(scene.database()).unwrap();
    let outcome = repair(&scene, &[]);
    assert_eq!((outcome.code, &outcome.json()["stored_again"]), (3, &serde_json::json!([])), "{outcome:?}");
}

#[test]
fn a_fault_at_any_step_loses_nothing_and_the_next_run_ends() {
    let (scene, databases) = scene(5 << 20, 1);
    let (path, _) = pack_with(&scene, "an attachment");
    riddle(&path);
    let before = scene.beside("before");
    put_back(&scene.repo(), &before);
    let args = ["repair", "--from-live", "--force-unlock"];
    let steps = scene.steps(&args).len() as u64;
    for step in 1..=steps {
        for kind in ["kill", "full"] {
            put_back(&before, &scene.repo());
            let outcome = scene.with_fault(kind, step, &args);
            scene.half_an_hour_later();
            can_read(&scene.repo());
            let again = scene.backup(&args);
            assert_eq!(again.code, 0, "{kind} at {step} of {steps}: {outcome:?}: {again:?}");
            let _ = scene.backup(&["verify", "--all"]).done();
            // Killed before the sums were changed, they state the bad pack until it is cleared away.
            let _ = scene.backup(&["prune", "--grace", "0s"]).done();
            sha256sum(&scene.repo()).unwrap_or_else(|told| panic!("{kind} at {step}: {outcome:?}: {told}"));
        }
    }
    all_come_back(&scene, &databases);
}
