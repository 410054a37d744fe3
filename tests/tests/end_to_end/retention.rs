//! Snapshots forgotten, taken back, and their space given back; killed or failing at any step of it.

use std::fs;
use std::path::{Path, PathBuf};

use msgvault_tests::go_reader::can_read;
use msgvault_tests::programs::Outcome;
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::{Scene, assert_same_bytes, put_back};
use serde_json::Value;

use super::documents::fits_file;
use super::sums::sha256sum;

/// An archive with so many snapshots, their names, and a copy of the database of each.
struct Kept {
    scene: Scene,
    ids: Vec<String>,
    databases: Vec<PathBuf>,
}

impl Kept {
    fn new(snapshots: u32) -> Self {
        let scene = Scene::new(&Options { size: 1 << 20, ..Options::default() });
        let (mut ids, mut databases) = (Vec::new(), Vec::new());
        for day in 0..snapshots {
            if day > 0 {
                scene.churn(&Churn { day, ..Churn::default() });
            }
            ids.push(scene.create(&[]));
            databases.push(scene.keep(&format!("database-{day}")));
        }
        Self { scene, ids, databases }
    }

    fn backup(&self, args: &[&str]) -> Outcome {
        self.scene.backup(args)
    }

    fn listed(&self) -> Vec<String> {
        self.scene.listed()
    }

    /// Every listed snapshot is whole, and restores to the byte.
    fn is_whole(&self, what: &str) {
        let verified = self.backup(&["verify", "--all", "--json"]);
        assert_eq!(verified.code, 0, "{what}: {verified:?}");
        for id in self.listed() {
            let number = self.ids.iter().position(|known| *known == id).unwrap();
            let restored = self.scene.restore(&id, "restored");
            assert_same_bytes(&restored.join("msgvault.db"), &self.databases[number], what);
            fs::remove_dir_all(restored).unwrap();
        }
    }

    /// Forgets the newest `count` by name.
    fn forget_newest(&self, count: usize) -> Value {
        let gone = self.ids.iter().rev().take(count).map(String::as_str);
        let args: Vec<&str> = ["forget", "--force", "--json"].into_iter().chain(gone).collect();
        let report = self.backup(&args).done().json();
        fits_file(&report, "forget");
        report
    }

    fn prune(&self, args: &[&str]) -> Value {
        let report = self.backup(&[&["prune", "--json"], args].concat()).done().json();
        fits_file(&report, "prune");
        report
    }
}

/// The files of a folder and of those in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn bytes(files: &[PathBuf]) -> u64 {
    files.iter().map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn a_forgotten_snapshot_is_not_listed_and_can_be_taken_back() {
    let kept = Kept::new(4);
    let before = files(&kept.scene.repo().join("packs"));
    let report = kept.forget_newest(2);
    assert_eq!(report["forgotten"], 2);
    assert_eq!(kept.listed(), kept.ids[..2]);
    kept.is_whole("after forgetting");
    // The newest comes back with what it is built upon.
    let report = kept.backup(&["unforget", &kept.ids[3], "--json"]).done().json();
    fits_file(&report, "unforget");
    assert_eq!(report["restored"], serde_json::json!(kept.ids[2..]));
    assert_eq!(kept.listed(), kept.ids);
    kept.is_whole("after taking back");
    assert_eq!(files(&kept.scene.repo().join("packs")), before);
}

#[test]
fn pruning_gives_the_space_back_and_leaves_what_is_needed() {
    let kept = Kept::new(4);
    let packs = || files(&kept.scene.repo().join("packs"));
    let before = bytes(&packs());
    kept.forget_newest(2);
    let dry = kept.prune(&["--grace", "0s", "--max-unused", "0%", "--dry-run"]);
    assert_eq!(bytes(&packs()), before);
    let report = kept.prune(&["--grace", "0s", "--max-unused", "0%"]);
    assert!(report["packs"]["removed_bytes"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["packs"]["removed"], dry["packs"]["removed"]);
    assert!(bytes(&packs()) < before);
    assert_eq!(report["packs"]["kept_bytes"].as_u64().unwrap(), bytes(&packs()));
    kept.is_whole("after pruning");
    let gone = kept.backup(&["unforget", &kept.ids[3]]);
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(gone.stderr.contains("no forgotten snapshot"), "{gone:?}");

    // What the next backup stores builds upon what is there.
    kept.scene.create(&[]);
    let verified = kept.backup(&["verify", "--all"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    let again = kept.prune(&["--grace", "0s", "--max-unused", "0%"]);
    assert_eq!(again["packs"]["removed"], 0, "{again}");
}

#[test]
fn what_is_condemned_waits_and_can_be_taken_back_meanwhile() {
    let kept = Kept::new(3);
    let packs = files(&kept.scene.repo().join("packs"));
    kept.forget_newest(1);
    let report = kept.prune(&["--max-unused", "0%"]);
    assert!(report["packs"]["waiting"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["packs"]["removed"], 0);
    assert!(packs.iter().all(|pack| pack.exists()));
    kept.is_whole("while packs wait");
    let _ = kept.backup(&["unforget", &kept.ids[2]]).done();
    assert_eq!(kept.listed(), kept.ids);
    kept.is_whole("after taking back what no index named");
    let report = kept.prune(&["--max-unused", "0%", "--grace", "0s"]);
    assert_eq!(kept.listed(), kept.ids, "{report}");
    kept.is_whole("after pruning with nothing forgotten");
}

#[test]
fn rebuilding_indexes_names_nothing_that_is_condemned() {
    let kept = Kept::new(3);
    kept.forget_newest(1);
    let report = kept.prune(&["--max-unused", "0%"]);
    let waiting = report["packs"]["waiting"].as_u64().unwrap();
    for index in files(&kept.scene.repo().join("indexes")) {
        fs::remove_file(index).unwrap();
    }
    let _ = kept.backup(&["repair", "--rebuild-index"]).done();
    kept.is_whole("after rebuilding");
    let again = kept.prune(&["--max-unused", "0%"]);
    assert_eq!(again["packs"]["waiting"].as_u64().unwrap(), waiting, "{again}");
}

#[test]
fn held_and_newest_snapshots_and_what_they_need_stay() {
    let kept = Kept::new(3);
    let refused = |args: &[&str], why: &str| {
        let outcome = kept.backup(args);
        assert_eq!(outcome.code, 1, "{outcome:?}");
        assert!(outcome.stderr.contains(why), "{outcome:?}");
        assert_eq!(kept.listed(), kept.ids);
    };
    refused(&["forget", "latest"], "only --force forgets");
    refused(&["forget", &kept.ids[0]], "is built upon it");
    let held = kept.backup(&["hold", &kept.ids[2], "--reason", "court", "--json"]).done().json();
    fits_file(&held, "hold");
    refused(&["forget", "--force", "latest"], "held: court");
    let _ = kept.backup(&["unhold", "latest"]).done();
    let _ = kept.backup(&["hold", &kept.ids[1]]).done();
    let report = kept.backup(&["forget", "--keep-last", "1", "--dry-run", "--json"]).done().json();
    fits_file(&report, "forget");
    let reasons = |n: usize| report["snapshots"][n]["reasons"][0].as_str().unwrap().to_owned();
    assert_eq!(reasons(0), format!("needed by {}", kept.ids[1]));
    assert_eq!((reasons(1), reasons(2)), ("held".to_owned(), "newest".to_owned()));
    assert_eq!(kept.backup(&["forget"]).code, 2);
}

#[test]
fn the_configuration_says_what_forget_keeps_and_prune_follows() {
    let kept = Kept::new(3);
    let config = kept.scene.home().join("config.toml");
    for bad in ["lst = 1", "last = -1", "within = \"soon\""] {
        fs::write(&config, format!("[backup.keep]\n{bad}\n")).unwrap();
        let refused = kept.backup(&["forget"]);
        assert!(refused.code == 1 && refused.stderr.contains("config.toml:2:"), "{refused:?}");
    }
    fs::write(&config, "[backup.keep]\nlast = 1\nwithin = \"1s\"\n").unwrap();
    let report = kept.backup(&["forget", "--prune", "--json"]).done().json();
    fits_file(&report, "forget");
    fits_file(&report["pruned"], "prune");
    assert_eq!(report["snapshots"][2]["kept"], true, "{report:#}");
    kept.is_whole("after forgetting by the configuration");
    // What is said on the command line counts alone.
    let report = kept.backup(&["forget", "--keep-last", "9", "--json"]).done().json();
    assert_eq!((&report["forgotten"], &report["pruned"]), (&0.into(), &Value::Null));
}

#[test]
fn a_prune_after_a_backup_killed_at_the_very_end_leaves_no_sums_of_it() {
    let kept = Kept::new(1);
    let scene = &kept.scene;
    let steps = scene.steps(&["create"]).len() as u64;
    let _ = scene.backup(&["forget", "--force", "latest"]).done();
    let sums = || files(&scene.repo().join("sums")).len();
    let before = sums();
    for step in (1..=steps).rev() {
        scene.churn(&Churn { day: u32::try_from(step).unwrap(), ..Churn::default() });
        let _ = scene.with_fault("kill", step, &["create"]);
        scene.half_an_hour_later();
        if sums() > before && scene.listed().len() == 1 {
            kept.prune(&["--grace", "0s", "--max-unused", "0%"]);
            sha256sum(&scene.repo()).unwrap();
            let _ = scene.backup(&["verify", "--sums"]).done();
            return;
        }
        if scene.listed().len() > 1 {
            let _ = scene.backup(&["forget", "--force", "latest"]).done();
        }
    }
    panic!("none of {steps} kills was between sums and manifest");
}

#[test]
fn any_doubt_stops_a_prune_before_it_changes_anything() {
    let kept = Kept::new(3);
    kept.forget_newest(1);
    let repo = kept.scene.repo();
    let all = || -> Vec<(PathBuf, u64)> {
        let there = files(&repo).into_iter().filter(|file| !file.starts_with(repo.join("locks")));
        there.map(|file| (file.clone(), file.metadata().unwrap().len())).collect()
    };
    let pack = files(&repo.join("packs")).remove(0);
    let index = files(&repo.join("indexes")).remove(0);
    let manifest = repo.join("snapshots").join(format!("{}.mvmanifest", kept.ids[1]));
    for file in [&pack, &index, &manifest] {
        let whole = fs::read(file).unwrap();
        for damage in [None, Some(&whole[..whole.len() - 1])] {
            match damage {
                None => fs::remove_file(file).unwrap(),
                Some(bytes) => fs::write(file, bytes).unwrap(),
            }
            let before = all();
            let outcome = kept.backup(&["prune", "--grace", "0s"]);
            assert_eq!(outcome.code, 1, "{outcome:?}");
            assert!(outcome.stderr.contains("nothing was pruned"), "{outcome:?}");
            assert_eq!(all(), before);
            fs::write(file, &whole).unwrap();
        }
    }
    // Something that a copying tool left can be a snapshot that nobody lists.
    let forgotten = repo.join(format!("trash/snapshots/{}.mvmanifest", kept.ids[2]));
    let other = repo.join("snapshots/another (conflicted copy).mvmanifest");
    fs::copy(forgotten, &other).unwrap();
    let outcome = kept.backup(&["prune"]);
    assert!(outcome.code == 1 && outcome.stderr.contains(&kept.ids[2]), "{outcome:?}");
    fs::remove_file(other).unwrap();
    kept.prune(&["--grace", "0s"]);
    kept.is_whole("once all is there again");
}

/// A command with a fault at every step: what is listed is whole each time, and the command run again ends.
fn whole_after_faults_of(kept: &Kept, args: &[&str]) {
    let repo = kept.scene.repo();
    let before = kept.scene.beside("before");
    put_back(&repo, &before);
    let steps = kept.scene.steps(args).len() as u64;
    let expected = kept.listed();
    for step in 1..=steps {
        for kind in ["kill", "full"] {
            put_back(&before, &repo);
            let outcome = kept.scene.with_fault(kind, step, args);
            let what = format!("{args:?} {kind} at {step} of {steps}: {outcome:?}");
            kept.scene.half_an_hour_later();
            let verified = kept.backup(&["verify", "--all", "--json"]);
            assert_eq!(verified.code, 0, "{what}: {verified:?}");
            can_read(&repo);
            sha256sum(&repo).unwrap_or_else(|told| panic!("{what}: {told}"));
            let again = kept.backup(&[args, &["--force-unlock"]].concat());
            assert_eq!(again.code, 0, "{what}: {again:?}");
            assert_eq!(kept.listed(), expected, "{what}");
            let _ = kept.backup(&["sums"]).done();
            let _ = kept.backup(&["verify", "--sums"]).done();
            kept.is_whole(&what);
        }
    }
    fs::remove_dir_all(before).unwrap();
}

#[test]
fn a_fault_at_any_step_of_forgetting_leaves_every_listed_snapshot_whole() {
    let kept = Kept::new(3);
    let [_, second, third] = kept.ids.as_slice() else { panic!("three snapshots") };
    whole_after_faults_of(&kept, &["forget", "--force", third, second]);
}

#[test]
fn a_fault_at_any_step_of_taking_back_leaves_every_listed_snapshot_whole() {
    let kept = Kept::new(3);
    kept.forget_newest(2);
    kept.prune(&["--max-unused", "0%"]);
    whole_after_faults_of(&kept, &["unforget", &kept.ids[2]]);
}

#[test]
fn a_fault_at_any_step_of_pruning_leaves_every_listed_snapshot_whole() {
    let kept = Kept::new(4);
    kept.forget_newest(2);
    whole_after_faults_of(&kept, &["prune", "--grace", "0s", "--max-unused", "0%"]);
}
