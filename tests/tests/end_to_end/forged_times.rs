//! Whoever can only add to a repository, by forging or by emptying the archive, pushes no good snapshot out.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::Scene;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::format::manifest::Manifest;
use serde_json::Value;

use super::documents::fits_file;

fn scene() -> Scene {
    let scene = Scene::new(&Options { size: 400 << 10, ..Options::default() });
    scene.create(&[]);
    scene
}

/// Adds a snapshot with the content of this one that says it was made so long afterwards.
fn forge(scene: &Scene, id: &str, later: SignedDuration) -> String {
    let id: SnapshotId = id.parse().unwrap();
    let mut manifest = Manifest::decode(&id, &fs::read(scene.repo().join(id.path())).unwrap()).unwrap();
    assert!(manifest.base().is_none());
    let made: Timestamp = manifest.created_at.parse().unwrap();
    manifest.created_at = (made + later).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let forged = manifest.computed_id();
    manifest.snapshot_id = forged.parse().unwrap();
    fs::write(scene.repo().join(manifest.snapshot_id.path()), manifest.encode()).unwrap();
    forged
}

fn forget(scene: &Scene, args: &[&str]) -> Value {
    let report = scene.backup(&[&["forget", "--json"], args].concat()).done().json();
    fits_file(&report, "forget");
    report
}

/// Good snapshots stay beside these, and each of them is told of with a reason.
fn good_ones_stay(later: impl Fn(i64) -> SignedDuration, why: &str) {
    let scene = scene();
    let good = scene.listed()[0].clone();
    let forged: Vec<String> = (1..=12).map(|number| forge(&scene, &good, later(number))).collect();
    let _ = scene.backup(&["verify", "--all"]).done();
    for rules in [["--keep-last", "2"], ["--keep-daily", "3"], ["--keep-weekly", "2"], ["--keep-yearly", "1"]]
    {
        let report = forget(&scene, &rules);
        let listed = scene.listed();
        assert!(listed.contains(&good), "{rules:?}: {report:#}");
        for snapshot in report["snapshots"].as_array().unwrap() {
            let is_forged = forged.iter().any(|forged| snapshot["snapshot_id"] == forged.as_str());
            let reasons = snapshot["reasons"].to_string();
            assert_eq!(is_forged, reasons.contains(why), "{rules:?}: {snapshot:#}");
        }
    }
    // The way out.
    let args: Vec<&str> = ["--force"].into_iter().chain(forged.iter().map(String::as_str)).collect();
    forget(&scene, &args);
    assert_eq!(scene.listed(), [good]);
    scene.create(&[]);
}

#[test]
fn snapshots_dated_in_the_future_push_no_good_one_out() {
    good_ones_stay(|number| SignedDuration::from_hours(24 * number), "it lies in the future");
}

#[test]
fn snapshots_whose_packs_were_named_on_another_day_push_no_good_one_out() {
    good_ones_stay(|number| SignedDuration::from_hours(-24 * 30 * (number + 1)), "named on another day");
}

#[test]
fn snapshots_of_an_emptied_archive_push_no_good_one_out() {
    let scene = scene();
    let good = scene.listed()[0].clone();
    scene.churn(&Churn { shrink: 90, grow: 0, ..Churn::default() });
    for _ in 0..6 {
        scene.create(&["--expect-shrink", "--dense", "off"]);
    }
    for rules in [["--keep-last", "2"], ["--keep-daily", "3"], ["--keep-monthly", "1"]] {
        let report = forget(&scene, &rules);
        assert!(scene.listed().contains(&good), "{rules:?}: {report:#}");
        assert_eq!(report["snapshots"][0]["reasons"][0], "newest", "{report:#}");
    }
    let _ = scene.backup(&["prune", "--grace", "0s", "--max-unused", "0%"]).done();
    scene.restore(&good, "restored");
}
