//! An archive that suddenly holds much less, or was rewritten: the snapshot is made, and somebody is told on the day.

use std::fs;

use msgvault_tests::programs::{Outcome, verify};
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::{Scene, assert_same_bytes};
use serde_json::Value;

use super::documents::fits_file;

/// An archive of some thousand pages with a snapshot.
fn scene() -> Scene {
    scene_of(20 << 20)
}

fn scene_of(size: u64) -> Scene {
    let scene = Scene::new(&Options { size, ..Options::default() });
    scene.create(&[]);
    scene
}

fn alarmed(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, 4, "{outcome:?}");
    let report = outcome.json();
    fits_file(&report, "create");
    assert!(!report["alarms"].as_array().unwrap().is_empty(), "{report:#}");
    report
}

/// A day on which almost all mail went.
fn loss() -> Churn {
    Churn { day: 1, grow: 0, shrink: 90, vacuum: false, ..Churn::default() }
}

#[test]
fn a_snapshot_of_an_archive_that_shrank_is_made_and_marked() {
    let scene = scene();
    scene.churn(&loss());
    let outcome = scene.backup(&["create", "--json"]);
    let report = alarmed(&outcome);
    assert!(report["alarms"][0].as_str().unwrap().starts_with("messages fell from "), "{report:#}");
    let id = report["snapshot_id"].as_str().unwrap();
    let kept = scene.keep("kept");
    assert_same_bytes(&scene.restore(id, "restored").join("msgvault.db"), &kept, "the alarming one");
    let _ = verify(&scene.repo(), ["--all"]).done();

    let listed = scene.backup(&["list", "--json"]).done().json();
    fits_file(&listed, "repository");
    assert_eq!(listed["shrunk"][id][0]["what"], "messages", "{listed:#}");
    let text = scene.backup(&["list"]).done().stdout;
    assert!(text.contains(&format!("{id}  SHRANK: messages from ")), "{text}");
    // It is what it is now: nothing else fell.
    let next = scene.backup(&["create", "--json"]).done().json();
    assert_eq!(next["alarms"], serde_json::json!([]));
    // And no rule lets the full one go for it.
    let forgotten = scene.backup(&["forget", "--keep-last", "1", "--dry-run", "--json"]).done().json();
    assert_eq!(forgotten["snapshots"][0]["kept"], true, "{forgotten:#}");
}

#[test]
fn a_loss_that_was_wanted_or_is_tolerated_is_no_alarm() {
    // Of so few pages, all can change on a usual day.
    let scene = scene_of(4 << 20);
    scene.churn(&loss());
    let wanted = scene.backup(&["create", "--json", "--expect-shrink", "--dry-run"]).done().json();
    assert!(!wanted["alarms"].as_array().unwrap().is_empty(), "{wanted:#}");
    alarmed(&scene.backup(&["create", "--json", "--dry-run"]));
    let quiet = scene.backup(&["create", "--quiet", "--dry-run"]);
    assert_eq!((quiet.code, quiet.stderr.matches("ALARM").count()), (4, 1), "{quiet:?}");
    fs::write(scene.home().join("config.toml"), "[backup.alarm]\ndrop = \"95%\"\n").unwrap();
    let tolerated = scene.backup(&["create", "--json"]).done().json();
    assert_eq!(tolerated["alarms"], serde_json::json!([]));
}

#[test]
fn a_database_that_was_rewritten_and_did_not_grow_is_alarming() {
    let scene = scene();
    scene.churn(&Churn { day: 1, shrink: 2, grow: 0, vacuum: true, ..Churn::default() });
    let report = alarmed(&scene.backup(&["create", "--json"]));
    assert!(report["alarms"][0].as_str().unwrap().contains("a VACUUM does that"), "{report:#}");
}

#[test]
fn the_usual_day_is_not_alarming() {
    let scene = scene();
    for day in 1..4 {
        scene.churn(&Churn { day, ..Churn::default() });
        let report = scene.backup(&["create", "--json"]).done().json();
        assert_eq!(report["alarms"], serde_json::json!([]), "day {day}");
    }
}
