//! Sums beside snapshots: `sha256sum` proves a repository with nothing of ours, and `verify --sums` tells what is wrong.

use std::fs;
use std::path::Path;
use std::process::Command;

use msgvault_tests::programs::verify;
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::Scene;
use serde_json::Value;

use super::documents::fits_file;

/// An archive with so many snapshots.
fn scene(snapshots: u32) -> Scene {
    let scene = Scene::new(&Options { size: 1 << 20, ..Options::default() });
    for day in 0..snapshots {
        if day > 0 {
            scene.churn(&Churn { day, ..Churn::default() });
        }
        scene.create(&[]);
    }
    scene
}

/// What a person does who has nothing of ours: whether every file is as stated, and which are not.
pub(crate) fn sha256sum(repo: &Path) -> Result<usize, String> {
    let mut command = Command::new("sh");
    let output = command.args(["-c", "cat sums/*.sha256 | sha256sum -c"]).current_dir(repo).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(stdout.lines().count()) } else { Err(stdout) }
}

fn verify_sums(scene: &Scene, code: i32) -> Value {
    let outcome = scene.backup(&["verify", "--sums", "--json"]);
    assert_eq!(outcome.code, code, "{outcome:?}");
    let static_one = verify(&scene.repo(), ["--sums", "--json"]);
    assert_eq!(static_one.json(), outcome.json(), "both programs say the same");
    fits_file(&outcome.json(), "verify");
    outcome.json()
}

/// Files that are packs, indexes, manifests or sums.
fn files(repo: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["packs", "indexes", "snapshots", "sums"] {
        let listed = Command::new("find").args([folder, "-type", "f"]).current_dir(repo).output().unwrap();
        found.extend(String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned));
    }
    found.sort();
    found
}

#[test]
fn coreutils_prove_every_file_but_the_newest_sums() {
    let scene = scene(3);
    let files = files(&scene.repo());
    assert_eq!(sha256sum(&scene.repo()).unwrap(), files.len() - 1);
    let report = verify_sums(&scene, 0);
    assert_eq!((&report["verdict"], &report["depth"]), (&"sums-match".into(), &"sums".into()));
    let text = scene.backup(&["verify", "--sums"]).done().stdout;
    assert!(text.contains("The content was not looked into."), "{text}");
}

#[test]
fn a_changed_or_missing_file_is_named_by_both() {
    let scene = scene(2);
    let mut tried = 0;
    let files = files(&scene.repo());
    for file in &files {
        let path = scene.repo().join(file);
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        for (damage, code) in [(Some(changed), "sums-mismatch"), (None, "sums-file-missing")] {
            let is_missing = damage.is_none();
            match damage {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            // Nothing states that there were the newest sums; without them, what they named is not stated.
            let is_newest_sums = Some(file) == files.last();
            let report = verify_sums(&scene, if is_newest_sums && is_missing { 1 } else { 3 });
            if !is_newest_sums {
                assert!(sha256sum(&scene.repo()).unwrap_err().contains(file), "{file}");
            }
            if !file.starts_with("sums/") {
                let problems = report["problems"].as_array().unwrap();
                let told = problems.iter().any(|one| one["code"] == code && one["file"] == file.as_str());
                assert!(told, "{file}: {report:#}");
            }
            tried += 1;
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(tried > 10, "only {tried}");
    verify_sums(&scene, 0);
}

#[test]
fn sums_follow_what_is_forgotten_taken_back_pruned_and_rebuilt() {
    let scene = scene(4);
    let agree = |what: &str| {
        sha256sum(&scene.repo()).unwrap_or_else(|told| panic!("{what}: {told}"));
        verify_sums(&scene, 0);
    };
    let _ = scene.backup(&["forget", "--force", "latest"]).done();
    agree("after forgetting");
    let trashed = fs::read_dir(scene.repo().join("trash/snapshots")).unwrap().next().unwrap().unwrap();
    let id = trashed.file_name().into_string().unwrap().replace(".mvmanifest", "");
    let _ = scene.backup(&["unforget", &id]).done();
    agree("after taking back");
    let _ = scene.backup(&["forget", "--force", "latest"]).done();
    let _ = scene.backup(&["prune", "--max-unused", "0%"]).done();
    agree("after condemning");
    let _ = scene.backup(&["prune", "--grace", "0s", "--max-unused", "0%"]).done();
    agree("after pruning");
    scene.create(&[]);
    agree("after the next backup");
    let index = fs::read_dir(scene.repo().join("indexes")).unwrap().next().unwrap().unwrap().path();
    fs::write(index, "no index").unwrap();
    let _ = scene.backup(&["repair", "--rebuild-index"]).done();
    agree("after rebuilding");
}

#[test]
fn snapshots_without_sums_get_theirs_when_asked() {
    let scene = scene(3);
    fs::remove_dir_all(scene.repo().join("sums")).unwrap();
    let report = verify_sums(&scene, 1);
    assert_eq!(report["not_checked"][0]["file"], "sums", "{report:#}");
    // The next backup states its own, and does not read everything for it.
    scene.churn(&Churn { day: 9, ..Churn::default() });
    scene.create(&[]);
    let partly = verify_sums(&scene, 1);
    assert!(partly["not_checked"].as_array().unwrap().len() > 3, "{partly:#}");
    assert_eq!(partly["problems"].as_array().unwrap().len(), 0, "{partly:#}");

    let stated = scene.backup(&["sums", "--json"]).done().json();
    fits_file(&stated, "sums");
    assert_eq!(stated["snapshots"].as_array().unwrap().len(), 3, "{stated:#}");
    verify_sums(&scene, 0);
    assert_eq!(sha256sum(&scene.repo()).unwrap(), files(&scene.repo()).len() - 1);
    assert_eq!(scene.backup(&["sums"]).done().stdout, "every file has its sum already\n");
}

#[test]
fn hostile_sums_lead_nowhere() {
    let scene = scene(1);
    let outside = scene.beside("outside");
    fs::write(&outside, "x").unwrap();
    let sums = scene.repo().join("sums/prune-01m849xq3wk3s4p8ybcf4313en.sha256");
    let zeros = "0".repeat(64);
    for text in [
        format!("{zeros}  ../outside\n"),
        format!("{zeros}  {}\n", outside.display()),
        "# gone ../outside\n".to_owned(),
        "\u{1b}[2J\n".to_owned(),
    ] {
        fs::write(&sums, text).unwrap();
        let report = verify_sums(&scene, 3);
        assert_eq!(report["problems"][0]["code"], "sums-unreadable", "{report:#}");
        let said = scene.backup(&["verify", "--sums"]).stdout;
        assert!(!said.contains('\u{1b}'), "{said:?}");
        let _ = scene.backup(&["prune", "--grace", "0s"]).done();
        assert!(outside.exists());
    }
}

#[test]
fn sums_of_a_backup_that_never_appeared_are_cleared() {
    let scene = scene(1);
    let id = scene.create(&[]);
    fs::remove_file(scene.repo().join(format!("snapshots/{id}.mvmanifest"))).unwrap();
    verify_sums(&scene, 3);
    let next = scene.backup(&["create"]).done();
    assert!(next.stderr.contains(&format!("sums/{id}.sha256 is removed")), "{next:?}");
    verify_sums(&scene, 0);
}
