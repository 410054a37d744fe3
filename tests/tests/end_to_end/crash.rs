//! Killed or failing at any durable step, a backup leaves a repository that verifies, and a restore leaves
//! the old database or the new one.

use std::fs;

use msgvault_tests::overwriting::{Overwriting, Which};
use msgvault_tests::programs::{HangUp, run};
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::{Scene, assert_same_bytes};

const MOMENTS: u64 = 50;

fn options() -> Options {
    Options { size: 400 << 10, ..Options::default() }
}

/// Up to `MOMENTS` steps, spread over the run by a fixed rule and including the first and the last.
fn moments(steps: &[String]) -> Vec<u64> {
    let steps = steps.len() as u64;
    let mut moments: Vec<u64> = (0..MOMENTS).map(|n| 1 + n * (steps - 1) / (MOMENTS - 1)).collect();
    moments.dedup();
    moments
}

fn verifies(scene: &Scene) {
    let report = scene.backup(&["verify", "--all", "--json"]).done().json();
    assert_eq!(report["verdict"], "intact");
}

#[test]
fn a_killed_create_leaves_a_repository_that_verifies() {
    let scene = Scene::new(&options());
    scene.create(&[]);
    scene.churn(&Churn::default());
    let all = scene.steps(&["create"]);
    let mut killed = 0;
    for (number, moment) in moments(&all).into_iter().enumerate() {
        scene.churn(&Churn { day: u32::try_from(number).unwrap() + 2, ..Churn::default() });
        killed += u32::from(scene.with_fault("kill", moment, &["create"]).code == -1);
        scene.half_an_hour_later();
        verifies(&scene);
    }
    assert!(killed > 20, "only {killed} runs were killed");
    scene.create(&[]);
    let kept = scene.keep("kept.db");
    assert_same_bytes(&scene.restore("latest", "restored").join("msgvault.db"), &kept, "after all that");
    verifies(&scene);
    let left: Vec<_> = fs::read_dir(scene.repo().join("staging")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn after_each_kill_the_next_create_succeeds() {
    let scene = Scene::new(&options());
    scene.create(&[]);
    let all = scene.steps(&["create", "--force-unlock"]);
    for moment in moments(&all).into_iter().step_by(5) {
        scene.churn(&Churn { day: u32::try_from(moment).unwrap() + 2, ..Churn::default() });
        scene.with_fault("kill", moment, &["create", "--force-unlock"]);
        scene.create(&["--force-unlock"]);
        let kept = scene.keep("kept.db");
        assert_same_bytes(&scene.restore("latest", "restored").join("msgvault.db"), &kept, "next");
        fs::remove_dir_all(scene.beside("restored")).unwrap();
    }
    verifies(&scene);
}

#[test]
fn a_full_or_broken_disk_fails_only_the_create() {
    let scene = Scene::new(&options());
    scene.create(&[]);
    scene.churn(&Churn::default());
    let all = scene.steps(&["create"]);
    for (number, moment) in moments(&all).into_iter().enumerate() {
        scene.churn(&Churn { day: u32::try_from(number).unwrap() + 2, ..Churn::default() });
        let kind = if number % 2 == 0 { "full" } else { "broken" };
        let before = scene.backup(&["list", "--json"]).done().json()["snapshots"].as_array().unwrap().len();
        let outcome = scene.with_fault(kind, moment, &["create"]);
        let after = scene.backup(&["list", "--json"]).done().json()["snapshots"].as_array().unwrap().len();
        assert_eq!(after, before + usize::from(outcome.code == 0), "step {moment}: {outcome:?}");
        if outcome.code != 0 {
            assert_eq!((outcome.code, outcome.stderr.lines().count()), (1, 1), "step {moment}: {outcome:?}");
        }
        verifies(&scene);
        assert!(fs::read_dir(scene.repo().join("locks")).unwrap().next().is_none(), "step {moment}");
    }
}

#[test]
fn a_signal_stops_a_create_cleanly() {
    let scene = Scene::new(&options());
    scene.create(&[]);
    scene.churn(&Churn::default());
    for (kind, code) in [("interrupt", 130), ("terminate", 143), ("hang-up", 129)] {
        // Each verification below is told of in the list.
        let before = scene.backup(&["list", "--json"]).done().json();
        let outcome = scene.with_fault(kind, 2, &["create"]);
        assert_eq!((outcome.code, outcome.stderr.lines().count()), (code, 1), "{outcome:?}");
        for folder in ["staging", "locks"] {
            assert!(fs::read_dir(scene.repo().join(folder)).unwrap().next().is_none(), "{folder}");
        }
        assert_eq!(scene.backup(&["list", "--json"]).done().json()["snapshots"], before["snapshots"]);
        verifies(&scene);
    }
}

#[test]
fn a_create_started_with_nohup_outlives_its_terminal() {
    let scene = Scene::new(&options());
    let _ = run(&mut scene.faulty(HangUp::Ignored, "hang-up", 2, &["create"])).done();
    verifies(&scene);
}

#[test]
fn a_killed_restore_leaves_the_old_or_the_new_database() {
    let overwriting = Overwriting::new(&options());
    let restore = overwriting.arguments();
    let restore = restore.each_ref().map(String::as_str);
    overwriting.reset();
    let mut killed = 0;
    for moment in moments(&overwriting.scene().steps(&restore)) {
        overwriting.reset();
        killed += u32::from(overwriting.scene().with_fault("kill", moment, &restore).code == -1);
        overwriting.which();
        overwriting.finish();
    }
    assert!(killed > 20, "only {killed} runs were killed");
    verifies(overwriting.scene());
}

#[test]
fn a_failing_restore_leaves_the_old_database() {
    let overwriting = Overwriting::new(&options());
    let restore = overwriting.arguments();
    let restore = restore.each_ref().map(String::as_str);
    overwriting.reset();
    let mut failed = 0;
    for moment in moments(&overwriting.scene().steps(&restore)) {
        overwriting.reset();
        let outcome = overwriting.scene().with_fault("full", moment, &restore);
        failed += u32::from(outcome.code != 0);
        let which = overwriting.which();
        assert!(outcome.code != 0 || which == Which::New, "step {moment}: {outcome:?}");
    }
    assert!(failed > 20, "only {failed} runs failed");
}
