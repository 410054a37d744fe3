//! Locks that others hold or left: whom they keep out, and what the programs say.

use std::fs;

use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::Scene;

fn scene() -> Scene {
    let scene = Scene::new(&Options { size: 200 << 10, ..Options::default() });
    scene.create(&[]);
    scene
}

/// A lock of a machine of which nothing can be known here.
fn lock_from_afar(scene: &Scene, operation: &str) {
    let record = format!(
        r#"{{"hostname":"far","pid":1,"operation":"{operation}","acquired_at":"2026-11-23T13:00:00Z"}}"#
    );
    fs::write(scene.repo().join("locks/exclusive.json"), record).unwrap();
}

#[test]
fn a_create_that_was_killed_is_in_nobodys_way() {
    let scene = scene();
    scene.churn(&Churn::default());
    assert_eq!(scene.with_fault("kill", 6, &["create"]).code, -1);
    assert!(scene.repo().join("locks/exclusive.json").exists());

    let verified = scene.backup(&["verify"]).done();
    assert_eq!(verified.stderr.matches("lock").count(), 0, "{verified:?}");
    scene.restore("latest", "restored");
    scene.create(&[]);
    assert_eq!(fs::read_dir(scene.repo().join("locks")).unwrap().count(), 0);
}

#[test]
fn readers_go_on_beside_a_create_of_another_machine() {
    let scene = scene();
    lock_from_afar(&scene, "create");
    let verified = scene.backup(&["verify"]).done();
    let beside = "the repository is read beside create (process 1 on far, since 2026-11-23T13:00:00Z)";
    assert!(verified.stderr.contains(beside), "{verified:?}");
    scene.restore("latest", "restored");

    let refused = scene.backup(&["create", "--retry-lock", "0s"]);
    assert_eq!(refused.code, 11, "{refused:?}");
    assert!(refused.stderr.contains("`msgvault backup create --force-unlock`"), "{refused:?}");
    scene.create(&["--force-unlock"]);
}

#[test]
fn readers_are_barred_by_what_may_remove_files_unless_they_insist() {
    let scene = scene();
    let target = scene.beside("restored");
    let target = target.to_str().unwrap();
    for args in [&["verify"][..], &["restore", "--target", target]] {
        lock_from_afar(&scene, "prune");
        let refused = scene.backup(args);
        assert_eq!(refused.code, 11, "{refused:?}");
        let advice = format!("`msgvault backup {} --force-unlock`", args[0]);
        assert!(refused.stderr.contains(&advice), "{refused:?}");
        let _ = scene.backup(&[args, &["--force-unlock"]].concat()).done();
        assert_eq!(fs::read_dir(scene.repo().join("locks")).unwrap().count(), 0);
    }
}

#[test]
fn a_time_to_wait_for_locks_has_a_unit() {
    let scene = scene();
    for command in ["create", "verify"] {
        let refused = scene.backup(&[command, "--retry-lock", "90"]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains("such as 90s, 5m or 1h30m"), "{refused:?}");
    }
}
