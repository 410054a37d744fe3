//! Verification a part at a time: what was read before is known, and never believed for more than the order.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use msgvault_tests::programs::{Outcome, program, run, verify};
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::Scene;
use serde_json::{Value, json};

use super::documents::fits_file;
use super::read_only_home::run_read_only;

const ONE_PACK: [&str; 3] = ["verify", "--oldest", "--budget=1"];

/// An archive with four snapshots, the packs of each in files of their own.
fn scene() -> Scene {
    let scene = Scene::new(&Options { size: 400 << 10, ..Options::default() });
    scene.create(&[]);
    for day in 1..4 {
        scene.churn(&Churn { day, ..Churn::default() });
        scene.create(&[]);
    }
    scene
}

/// Packs, oldest first.
fn packs(scene: &Scene) -> Vec<PathBuf> {
    let folders = fs::read_dir(scene.repo().join("packs")).unwrap().map(|folder| folder.unwrap().path());
    let mut packs: Vec<PathBuf> =
        folders.flat_map(|folder| fs::read_dir(folder).unwrap()).map(|pack| pack.unwrap().path()).collect();
    packs.sort();
    assert!(packs.len() >= 4, "{packs:?}");
    packs
}

fn flip_a_bit(pack: &PathBuf) {
    let mut bytes = fs::read(pack).unwrap();
    bytes[20] ^= 1;
    fs::write(pack, bytes).unwrap();
}

fn hint_file(scene: &Scene) -> PathBuf {
    let mut hints = fs::read_dir(scene.repo().join("verified")).unwrap();
    let hint = hints.next().unwrap().unwrap().path();
    assert!(hints.next().is_none(), "one host has one hint");
    hint
}

fn hint(scene: &Scene) -> Value {
    serde_json::from_slice(&fs::read(hint_file(scene)).unwrap()).unwrap()
}

fn known(scene: &Scene) -> BTreeSet<String> {
    hint(scene)["packs"].as_object().unwrap().keys().cloned().collect()
}

fn rolling(outcome: &Outcome) -> Value {
    let document = outcome.json();
    fits_file(&document, "verify");
    document["rolling"].clone()
}

/// Writes what another host, or somebody who is up to no good, says that it read.
fn forge(scene: &Scene, host: &str, at: &str) {
    let name = |pack: &PathBuf| pack.file_stem().unwrap().to_str().unwrap().to_owned();
    let times: serde_json::Map<String, Value> =
        packs(scene).iter().map(|pack| (name(pack), json!(at))).collect();
    let hint = json!({ "version": 1, "packs": times, "runs": [{ "at": at, "packs": 9, "bytes": u64::MAX }] });
    fs::create_dir_all(scene.repo().join("verified")).unwrap();
    fs::write(scene.repo().join("verified").join(host), hint.to_string()).unwrap();
}

#[test]
fn a_budget_ends_a_run_early_and_the_next_goes_on_from_there() {
    let scene = scene();
    let all = packs(&scene).len();
    for number in 1..=all {
        let outcome = scene.backup(&[&ONE_PACK[..], &["--json"]].concat()).done();
        let told = rolling(&outcome);
        assert_eq!((&told["packs"], &told["packs_read"]), (&json!(all), &json!(1)), "{outcome:?}");
        assert_eq!(told["never_read"], all - number, "{outcome:?}");
        assert_eq!(outcome.json()["depth"], "rolling");
        assert_eq!(known(&scene).len(), number);
    }
    // All of them were read: the one that was read first is next.
    let before = hint(&scene);
    let text = scene.backup(&ONE_PACK).done().stdout;
    assert!(text.contains("No problem found in what was read, and every reference resolves"), "{text}");
    assert!(text.contains(&format!("1 of {all} packs read now")), "{text}");
    assert_eq!(hint(&scene)["packs"].as_object().unwrap().len(), before["packs"].as_object().unwrap().len());
    let read_all = scene.backup(&["verify", "--oldest", "--json"]).done();
    assert_eq!(rolling(&read_all)["rest_days"], 0);
    assert_eq!(read_all.json()["depth"], "full");
    let in_no_time = scene.backup(&["verify", "--oldest", "--budget", "0s", "--json"]).done();
    assert_eq!(rolling(&in_no_time)["packs_read"], 1);
    let plenty = scene.backup(&["verify", "--oldest", "--budget", "30min", "--json"]).done();
    assert_eq!(rolling(&plenty)["packs_read"], all);
}

#[test]
fn how_long_the_rest_takes_is_said_once_it_is_known() {
    let scene = scene();
    let first = scene.backup(&ONE_PACK).done().stdout;
    assert!(first.contains("is not known before there are more runs"), "{first}");
    // As if the last run had been ten days ago.
    let mut earlier = hint(&scene);
    earlier["runs"][0]["at"] =
        json!((jiff::Timestamp::now() - jiff::SignedDuration::from_hours(240)).to_string());
    fs::write(hint_file(&scene), earlier.to_string()).unwrap();
    let second = scene.backup(&ONE_PACK).done().stdout;
    let days = second.split("the rest within ").nth(1).unwrap_or_else(|| panic!("{second}"));
    assert!(days.split(' ').next().unwrap().parse::<u32>().unwrap() >= 1, "{second}");
}

#[test]
fn damage_in_an_old_pack_is_found_when_its_turn_comes_and_stays_found() {
    let scene = scene();
    let _ = scene.backup(&["verify", "--all"]).done();
    let all = packs(&scene);
    assert_eq!(known(&scene).len(), all.len(), "a full verification counts too");
    flip_a_bit(&all[1]);
    let _ = scene.backup(&["verify", "--quick", "--all"]).done();
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        outcomes.push(scene.backup(&[&ONE_PACK[..], &["--json"]].concat()));
    }
    let (before, found) = (&outcomes[0], &outcomes[1]);
    assert_eq!((before.code, found.code), (0, 3), "{outcomes:?}");
    assert_eq!(found.json()["problems"][0]["code"], "blob-damaged", "{found:?}");
    let name = all[1].file_stem().unwrap().to_str().unwrap();
    assert!(!known(&scene).contains(name));
    // What is damaged does not count as read: the next run looks there first.
    let again = scene.backup(&ONE_PACK);
    assert_eq!(again.code, 3, "{again:?}");
    assert!(again.stdout.contains("DAMAGED") && again.stdout.contains("packs read now"), "{again:?}");
    flip_a_bit(&all[1]);
    let _ = scene.backup(&ONE_PACK).done();
    assert!(known(&scene).contains(name));
}

#[test]
fn a_lost_pack_is_found_by_every_run_whatever_its_turn() {
    let scene = scene();
    let _ = scene.backup(&["verify", "--all"]).done();
    fs::remove_file(packs(&scene).pop().unwrap()).unwrap();
    let found = scene.backup(&[&ONE_PACK[..], &["--json"]].concat());
    assert_eq!((found.code, &found.json()["problems"][0]["code"]), (3, &json!("pack-missing")), "{found:?}");
}

#[test]
fn what_others_say_they_read_changes_no_verdict() {
    let scene = scene();
    let victim = packs(&scene)[0].clone();
    flip_a_bit(&victim);
    let folder = scene.repo().join("verified");
    let forgeries: [(&str, &dyn Fn()); 5] = [
        ("the future", &|| forge(&scene, "other.json", "9999-01-01T00:00:00Z")),
        ("wrong JSON", &|| fs::write(folder.join("other.json"), "{\"version\":1,\"packs\":[").unwrap()),
        ("a hundred megabytes", &|| {
            File::create(folder.join("other.json")).unwrap().set_len(100 << 20).unwrap();
        }),
        ("a folder", &|| fs::create_dir(folder.join("folder.json")).unwrap()),
        ("deep nesting", &|| fs::write(folder.join("other.json"), "[".repeat(1 << 20)).unwrap()),
    ];
    fs::create_dir_all(&folder).unwrap();
    for (what, forgery) in forgeries {
        forgery();
        let found = scene.backup(&["verify", "--oldest", "--budget=1", "--json"]);
        assert_eq!((found.code, &found.json()["verdict"]), (3, &json!("damaged")), "{what}: {found:?}");
        fits_file(&found.json(), "verify");
    }
    // Who says that it was read a moment ago puts it off, and no more: whoever reads it finds what is wrong.
    forge(&scene, "other.json", &jiff::Timestamp::now().to_string());
    let found = scene.backup(&["verify", "--oldest", "--json"]);
    assert_eq!((found.code, &found.json()["verdict"]), (3, &json!("damaged")), "{found:?}");
    // Who says that all is damaged is not believed either.
    flip_a_bit(&victim);
    let name = victim.file_stem().unwrap().to_str().unwrap();
    let lie = json!({ "version": 1, "failed": { name: "2026-01-01T00:00:00Z" } });
    fs::write(folder.join("other.json"), lie.to_string()).unwrap();
    assert_eq!(scene.backup(&["verify", "--oldest", "--json"]).done().json()["verdict"], "intact");
    assert_eq!(verify(&scene.repo(), ["--all", "--json"]).done().json()["foreign"], json!([]));
}

#[test]
fn what_another_host_read_is_not_read_first() {
    let scene = scene();
    forge(&scene, "other.json", "2026-01-01T00:00:00Z");
    let newest = packs(&scene).pop().unwrap();
    let name = newest.file_stem().unwrap().to_str().unwrap();
    let text = fs::read_to_string(scene.repo().join("verified/other.json")).unwrap();
    let mut other: Value = serde_json::from_str(&text).unwrap();
    other["packs"].as_object_mut().unwrap().remove(name);
    fs::write(scene.repo().join("verified/other.json"), other.to_string()).unwrap();
    flip_a_bit(&newest);
    let found = scene.backup(&ONE_PACK);
    assert_eq!(found.code, 3, "{found:?}");
    assert!(found.stdout.contains(name), "{found:?}");
}

#[test]
fn a_pack_that_was_not_read_for_too_long_is_exit_code_3() {
    let scene = scene();
    let all = packs(&scene).len();
    let never = scene.backup(&["verify", "--quick", "--all", "--max-age", "90d", "--json"]);
    assert_eq!((never.code, &never.json()["verdict"]), (3, &json!("intact")), "{never:?}");
    assert_eq!(rolling(&never)["max_age"], json!({ "seconds": 90 * 86400, "overdue": all }));
    let quiet = scene.backup(&["verify", "--quick", "--all", "--max-age", "90d", "-q"]);
    let sentence = format!("OVERDUE: {all} of {all} packs not read within 90 days, and {all} of them never");
    assert!(quiet.stdout.is_empty() && quiet.stderr.contains(&sentence), "{quiet:?}");

    // What is read now was read lately enough, also where other snapshots need more of the same packs.
    let _ = scene.backup(&["verify", "--max-age", "90d"]).done();
    let _ = scene.backup(&["verify", "--all", "--max-age", "90d"]).done();
    let _ = scene.backup(&["verify", "--quick", "--all", "--max-age", "90d"]).done();

    let mut long_ago = hint(&scene);
    for at in long_ago["packs"].as_object_mut().unwrap().values_mut() {
        *at = json!("2020-01-01T00:00:00Z");
    }
    fs::write(hint_file(&scene), long_ago.to_string()).unwrap();
    let overdue = scene.backup(&["verify", "--quick", "--all", "--max-age", "90d"]);
    assert_eq!(overdue.code, 3, "{overdue:?}");
    assert!(overdue.stdout.contains("packs not read within 90 days; run"), "{overdue:?}");
    let _ = scene.backup(&["verify", "--quick", "--all", "--max-age", "1000w"]).done();
}

#[test]
fn a_verification_killed_or_failing_anywhere_keeps_the_old_hint_whole() {
    let scene = scene();
    let _ = scene.backup(&ONE_PACK).done();
    let steps = scene.steps(&ONE_PACK);
    let has = |name: &str| steps.iter().any(|step| step == name);
    assert!(has("hint.publish") && has("hint.done"), "{steps:?}");
    for (number, step) in (1u64..).zip(&steps) {
        let before = fs::read(hint_file(&scene)).unwrap();
        for kind in ["full", "kill"] {
            let outcome = scene.with_fault(kind, number, &ONE_PACK);
            scene.half_an_hour_later();
            let read: Value = serde_json::from_slice(&fs::read(hint_file(&scene)).unwrap()).unwrap();
            assert!(!read["packs"].as_object().unwrap().is_empty(), "{kind} {step}");
            let early = ["hint.create", "hint.write", "hint.sync", "hint.publish"];
            if early.contains(&step.as_str()) {
                assert_eq!(fs::read(hint_file(&scene)).unwrap(), before, "{kind} {step}");
                assert_eq!(outcome.code, if kind == "kill" { -1 } else { 0 }, "{step}: {outcome:?}");
                assert!(
                    kind == "kill" || outcome.stderr.contains("does not keep what was read now"),
                    "{outcome:?}"
                );
            }
        }
    }
    scene.create(&[]);
    assert!(fs::read_dir(scene.repo().join("staging")).unwrap().next().is_none());
    let _ = scene.backup(&["verify", "--all"]).done();
}

#[test]
fn list_says_when_a_snapshot_was_last_verified_wholly() {
    let scene = scene();
    let times = |scene: &Scene| -> Vec<Value> {
        let list = scene.backup(&["list", "--json"]).done().json();
        fits_file(&list, "repository");
        list["snapshots"].as_array().unwrap().iter().map(|one| one["verified_at"].clone()).collect()
    };
    assert_eq!(times(&scene), vec![Value::Null; 4]);
    assert!(!scene.backup(&["list"]).done().stdout.contains("VERIFIED"));
    let _ = scene.backup(&["verify"]).done();
    assert!(times(&scene)[..3].iter().all(Value::is_null) && times(&scene)[3].is_string());
    // A snapshot counts once all of its packs were read, in however many runs.
    let mut runs = 0;
    while times(&scene).iter().any(Value::is_null) {
        runs += 1;
        assert!(runs <= packs(&scene).len(), "{:?}", times(&scene));
        let _ = scene.backup(&ONE_PACK).done();
    }
    assert!(runs > 0);
    let text = scene.backup(&["list"]).done().stdout;
    assert!(text.contains("VERIFIED") && text.contains(times(&scene)[0].as_str().unwrap()), "{text}");
    let inspected = |args: &[&str]| {
        let mut command = Command::new(program("msgvault-verify"));
        run(command.arg("inspect").arg(scene.repo()).args(args).arg("--json")).done().json()
    };
    assert!(inspected(&[])["snapshots"][0]["verified_at"].is_string());
    assert!(inspected(&["latest"])["verified_at"].is_string());

    flip_a_bit(&packs(&scene)[0]);
    assert_eq!(scene.backup(&["verify", "--all"]).code, 3);
    assert!(times(&scene)[0].is_null());
}

#[test]
fn where_nothing_can_be_written_it_verifies_and_says_that_nothing_is_kept() {
    let scene = scene();
    let read_only = |args: &[&str]| run_read_only(&scene.repo(), &scene.command(args));
    let Some(rolled) = read_only(&ONE_PACK) else { return };
    let rolled = rolled.done();
    assert!(rolled.stderr.contains("the repository does not keep what was read now"), "{rolled:?}");
    assert!(rolled.stdout.contains("packs read now"), "{rolled:?}");
    let full = read_only(&["verify", "--all"]).unwrap().done();
    assert!(!full.stderr.contains("does not keep"), "{full:?}");
    assert!(!scene.repo().join("verified").exists());
    flip_a_bit(&packs(&scene)[0]);
    let found = read_only(&ONE_PACK).unwrap();
    assert_eq!(found.code, 3, "{found:?}");
}

#[test]
fn options_that_make_no_sense_together_are_refused() {
    let scene = Scene::new(&Options { size: 100 << 10, ..Options::default() });
    for args in [
        &["--budget", "1G"][..],
        &["--oldest", "--budget", "30m"],
        &["--oldest", "--quick"],
        &["--oldest", "latest"],
        &["--oldest", "--restore-check"],
        &["--max-age", "90"],
    ] {
        let refused = scene.backup(&[&["verify"], args].concat());
        assert_eq!(refused.code, 2, "{args:?}: {refused:?}");
    }
    let nothing = scene.backup(&["verify", "--oldest", "--json"]);
    assert_eq!((nothing.code, &nothing.json()["verdict"]), (1, &json!("unchecked")), "{nothing:?}");
    assert!(!scene.repo().join("verified").exists());
}
