//! A repository mended from its copy: what is lost or damaged is fetched, and proven before it replaces anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use msgvault_tests::programs::{Outcome, msgvault, run};
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::Scene;
use serde_json::Value;

use super::documents::fits_file;
use super::sums::sha256sum;

/// An archive with three snapshots, and a copy of its repository.
fn scene() -> (Scene, PathBuf) {
    let scene = Scene::new(&Options { size: 1 << 20, ..Options::default() });
    for day in 0..3 {
        if day > 0 {
            scene.churn(&Churn { day, ..Churn::default() });
        }
        scene.create(&[]);
    }
    let copy = scene.beside("copy");
    let _ = scene.backup(&["copy", "--to", &copy.to_string_lossy()]).done();
    (scene, copy)
}

fn repair(scene: &Scene, from: &Path, args: &[&str]) -> Outcome {
    scene.backup(&[&["repair", "--json", "--from", &from.to_string_lossy()], args].concat())
}

fn repaired(scene: &Scene, from: &Path, args: &[&str]) -> Value {
    let report = repair(scene, from, args).done().json();
    fits_file(&report, "repair");
    report
}

/// Packs, indexes and manifests.
fn files(repo: &Path) -> Vec<String> {
    let listed = Command::new("find")
        .args(["packs", "indexes", "snapshots", "-type", "f"])
        .current_dir(repo)
        .output()
        .unwrap();
    let mut files: Vec<String> =
        String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
    files.sort();
    files
}

fn flipped(whole: &[u8]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    bytes[whole.len() / 2] ^= 1;
    bytes
}

#[test]
fn every_file_comes_back_from_the_copy_and_the_bad_one_is_kept() {
    let (scene, copy) = scene();
    let mut tried = 0;
    for file in files(&scene.repo()) {
        let path = scene.repo().join(&file);
        let whole = fs::read(&path).unwrap();
        for damage in [Some(flipped(&whole)), Some(whole[..whole.len() - 1].to_vec()), None] {
            match &damage {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let rehearsal = repaired(&scene, &copy, &["--dry-run"]);
            assert_eq!(rehearsal["fetched"], serde_json::json!([file]), "{rehearsal:#}");
            let report = repaired(&scene, &copy, &[]);
            assert_eq!(report["fetched"], serde_json::json!([file]), "{report:#}");
            assert_eq!(fs::read(&path).unwrap(), whole);
            if let Some(bytes) = damage {
                let kept = scene.repo().join(report["kept"][0].as_str().unwrap());
                assert_eq!(fs::read(kept).unwrap(), bytes);
            }
            let _ = scene.backup(&["verify", "--all"]).done();
            sha256sum(&scene.repo()).unwrap();
            tried += 1;
        }
    }
    assert!(tried > 20, "only {tried}");
    let nothing = scene.backup(&["repair", "--from", &copy.to_string_lossy()]).done();
    assert_eq!(nothing.stdout, "Nothing is wrong, and nothing was changed.\n");
}

#[test]
fn a_manifest_an_index_and_its_packs_come_back_in_one_run() {
    let (scene, copy) = scene();
    let before = files(&scene.repo());
    for folder in ["packs", "indexes"] {
        fs::remove_dir_all(scene.repo().join(folder)).unwrap();
    }
    let _ = repaired(&scene, &copy, &[]);
    let _ = scene.backup(&["verify", "--all"]).done();
    assert_eq!(files(&scene.repo()), before);
}

#[test]
fn what_is_no_better_in_the_copy_is_not_taken() {
    let (scene, copy) = scene();
    let file = files(&scene.repo()).into_iter().find(|file| file.starts_with("packs")).unwrap();
    let (here, there) = (scene.repo().join(&file), copy.join(&file));
    let whole = fs::read(&here).unwrap();
    fs::write(&here, flipped(&whole)).unwrap();
    let other = files(&scene.repo()).into_iter().rfind(|file| file.starts_with("packs")).unwrap();
    let another = fs::read(scene.repo().join(other)).unwrap();
    for (damage, why) in [
        (Some(flipped(&whole)), "in the copy"),
        (Some(another), "another pack"),
        (None, "does not have it either"),
    ] {
        match damage {
            Some(bytes) => fs::write(&there, bytes).unwrap(),
            None => fs::remove_file(&there).unwrap(),
        }
        let outcome = repair(&scene, &copy, &[]);
        assert_eq!(outcome.code, 3, "{outcome:?}");
        let report = outcome.json();
        fits_file(&report, "repair");
        assert!(report["not_fetched"][0]["detail"].as_str().unwrap().contains(why), "{report:#}");
        assert_eq!(fs::read(&here).unwrap(), flipped(&whole));
        assert!(fs::read_dir(scene.repo().join("staging")).unwrap().next().is_none());
    }
    let other = scene.beside("other");
    let _ = run(msgvault().args(["backup", "init", "--repo"]).arg(&other)).done();
    let refused = repair(&scene, &other, &[]);
    assert!(refused.code == 1 && refused.stderr.contains("is another repository"), "{refused:?}");
    assert_eq!(scene.backup(&["repair"]).code, 2);
}

#[test]
fn a_backup_that_was_killed_at_the_very_end_is_no_lost_snapshot() {
    let (scene, copy) = scene();
    let listed = scene.listed();
    scene.churn(&Churn { day: 3, ..Churn::default() });
    let steps = scene.steps(&["create"]).len() as u64;
    let _ = scene.backup(&["forget", "--force", "latest"]).done();
    scene.churn(&Churn { day: 4, ..Churn::default() });
    let sums = || fs::read_dir(scene.repo().join("sums")).unwrap().count();
    let before = sums();
    // The last step before the manifest is there, and after its sums are.
    let killed = (1..=steps).rev().find(|step| {
        let _ = scene.with_fault("kill", *step, &["create"]);
        scene.half_an_hour_later();
        let is_listed = scene.listed().len() > listed.len();
        if is_listed {
            let _ = scene.backup(&["forget", "--force", "latest"]).done();
        }
        !is_listed && sums() > before
    });
    assert!(killed.is_some());
    let told = scene.backup(&["verify", "--sums"]);
    assert!(told.code == 3 && told.stdout.contains("interrupted at the very end"), "{told:?}");
    let rehearsed = repair(&scene, &copy, &["--dry-run"]);
    assert_eq!(rehearsed.code, 3, "{rehearsed:?}");
    let report = repaired(&scene, &copy, &[]);
    assert_eq!((&report["problems_left"], &report["not_fetched"]), (&0.into(), &serde_json::json!([])));
    let _ = scene.backup(&["verify", "--sums"]).done();
    sha256sum(&scene.repo()).unwrap();
    assert_eq!(scene.listed(), listed);
}

#[test]
fn a_fault_at_any_step_loses_neither_the_bad_file_nor_the_good_one() {
    let (scene, copy) = scene();
    let file = files(&scene.repo()).into_iter().find(|file| file.starts_with("packs")).unwrap();
    let path = scene.repo().join(&file);
    let whole = fs::read(&path).unwrap();
    let bad = flipped(&whole);
    let args = ["repair", "--from", &copy.to_string_lossy(), "--force-unlock"];
    let trash = scene.repo().join("trash/damaged");
    let reset = || {
        fs::write(&path, &bad).unwrap();
        let _ = fs::remove_dir_all(&trash);
    };
    reset();
    let steps = scene.steps(&args).len() as u64;
    for step in 1..=steps {
        for kind in ["kill", "full"] {
            reset();
            let outcome = scene.with_fault(kind, step, &args);
            let kept = fs::read_dir(&trash)
                .into_iter()
                .flatten()
                .any(|kept| fs::read(kept.unwrap().path()).unwrap() == bad);
            let is_there = fs::read(&path).is_ok_and(|bytes| bytes == bad);
            assert!(kept || is_there, "{kind} at {step}: {outcome:?}");
            let _ = scene.backup(&args).done();
            assert_eq!(fs::read(&path).unwrap(), whole, "{kind} at {step}: {outcome:?}");
        }
    }
    let _ = scene.backup(&["verify", "--all"]).done();
}
