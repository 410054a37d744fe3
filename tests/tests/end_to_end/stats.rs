//! What takes the space is told in numbers that letting go of it then bears out.

use std::fs;

use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::Scene;
use serde_json::Value;

use super::documents::fits_file;

/// What a pack needs around a blob: an entry of its footer.
const AROUND: u64 = 64;

/// Two chains, since pages of another size begin one; nothing that is of no use.
fn scene() -> Scene {
    let scene = Scene::new(&Options { size: 1 << 20, ..Options::default() });
    for day in 1..4 {
        scene.create(&["--expect-shrink"]);
        scene.churn(&Churn {
            day,
            page_size: (day == 2).then_some(8192),
            grow: 20,
            remove_attachments: 20,
            ..Churn::default()
        });
    }
    let _ = scene.backup(&["prune", "--grace", "0s", "--max-unused", "0%"]).done();
    scene
}

fn stats(scene: &Scene, args: &[&str]) -> Value {
    let told = scene.backup(&[&["stats", "--json"], args].concat()).done().json();
    fits_file(&told, "stats");
    told
}

fn sum(list: &Value, key: &str) -> u64 {
    list.as_array().unwrap().iter().map(|one| one[key].as_u64().unwrap()).sum()
}

#[test]
fn what_is_told_to_be_freed_is_freed() {
    let scene = scene();
    let told = stats(&scene, &[]);
    let ids = scene.listed();
    let kept_by = |n: usize| told["snapshots"][n]["kept_by"].as_str().unwrap().to_owned();
    assert!(kept_by(0).contains("needed by") || kept_by(0).contains(&ids[1]), "{told:#}");
    assert_eq!((kept_by(1).as_str(), kept_by(2).as_str()), ("", "newest"), "{told:#}");
    assert_eq!(told["snapshots"][0]["needed_by"], ids[1].as_str());
    assert_eq!(
        (&told["snapshots"][0]["freed_bytes"], &told["snapshots"][2]["freed_bytes"]),
        (&Value::Null, &Value::Null)
    );
    let freed = told["snapshots"][1]["freed_bytes"].as_u64().unwrap();
    assert!(freed > 0 && freed == told["snapshots"][1]["own_bytes"].as_u64().unwrap());

    let _ = scene.backup(&["forget", &ids[1]]).done();
    let forgotten = stats(&scene, &[]);
    assert_eq!(forgotten["pack_bytes"], told["pack_bytes"]);
    let dead = sum(&forgotten["packs"], "dead_bytes");
    assert!((freed..=freed + freed / 8).contains(&dead), "{dead} bytes of no use, and {freed} were promised");
    let _ = scene.backup(&["prune", "--grace", "0s", "--max-unused", "0%"]).done();
    let pruned = stats(&scene, &[]);
    let given_back = told["pack_bytes"].as_u64().unwrap() - pruned["pack_bytes"].as_u64().unwrap();
    let blobs = sum(&told["kinds"], "blobs") - sum(&pruned["kinds"], "blobs");
    // Packs that are joined save a header each.
    let around = AROUND * blobs + 256;
    assert!(
        given_back >= freed.saturating_sub(256) && given_back <= freed + around,
        "{given_back} for {freed}"
    );
    // One snapshot less needs what the newest shared with it.
    let shared = |told: &Value, n: usize| told["snapshots"][n]["shared_bytes"].as_u64().unwrap();
    assert!(shared(&pruned, 1) < shared(&told, 2));
}

#[test]
fn kinds_add_up_to_all_packs_and_snapshots_to_what_is_needed() {
    let scene = scene();
    let told = stats(&scene, &[]);
    let pack_bytes = told["pack_bytes"].as_u64().unwrap();
    assert_eq!(sum(&told["kinds"], "bytes"), pack_bytes);
    assert_eq!(sum(&told["packs"], "bytes"), pack_bytes);
    assert_eq!(sum(&told["packs"], "dead_bytes"), 0, "{told:#}");
    let kinds: Vec<&str> =
        told["kinds"].as_array().unwrap().iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["pages", "attachments", "files", "maps", "unused"]);
    assert_eq!(sum(&told["months"], "snapshots"), 3);
    let needed = pack_bytes - told["kinds"][4]["bytes"].as_u64().unwrap();
    for snapshot in told["snapshots"].as_array().unwrap() {
        let of_it = snapshot["own_bytes"].as_u64().unwrap() + snapshot["shared_bytes"].as_u64().unwrap();
        assert!(0 < of_it && of_it <= needed, "{snapshot:#}");
    }
    assert!(sum(&told["snapshots"], "own_bytes") <= needed);
}

#[test]
fn the_largest_attachments_have_the_names_that_the_archive_gives_them() {
    let scene = scene();
    let told = stats(&scene, &[]);
    let largest = told["largest"].as_array().unwrap();
    let bytes: Vec<u64> = largest.iter().map(|one| one["bytes"].as_u64().unwrap()).collect();
    assert!(bytes.len() > 5 && bytes.is_sorted_by(|a, b| a >= b), "{bytes:?}");
    assert!(largest.iter().any(|one| !one["names"].as_array().unwrap().is_empty()), "{told:#}");
    let text = scene.backup(&["stats"]).done().stdout;
    assert!(text.contains("largest attachments") && text.contains("--keep-daily 7"), "{text}");
    fs::remove_file(scene.database()).unwrap();
    let told = stats(&scene, &[]);
    assert!(told["largest"].as_array().unwrap().iter().all(|one| one["names"] == serde_json::json!([])));
}

#[test]
fn rules_are_told_what_they_would_leave_in_a_year() {
    let scene = scene();
    assert_eq!(stats(&scene, &[])["forecast"], Value::Null);
    let forecast = |args: &[&str]| stats(&scene, args)["forecast"].clone();
    let (few, many) = (forecast(&["--keep-last", "2"]), forecast(&["--keep-last", "500"]));
    assert_eq!((&few["days"], &few["rules"]["last"]), (&365.into(), &2.into()));
    let number = |of: &Value, key: &str| of[key].as_u64().unwrap();
    assert!(number(&few, "snapshots") < 40 && number(&many, "snapshots") >= 500, "{few:#} {many:#}");
    assert!(number(&few, "bytes") < number(&many, "bytes"));
    fs::write(scene.home().join("config.toml"), "[backup.keep]\ndaily = 3\n").unwrap();
    assert_eq!(forecast(&[])["rules"]["daily"], 3);
    let text = scene.backup(&["stats"]).done().stdout;
    assert!(text.contains("With a snapshot as often as lately, in a year"), "{text}");
}
