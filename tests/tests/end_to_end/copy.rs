//! A copy of a repository on another disk: proven on the way, resumed, never replaced, and followed when the
//! repository lets go of something.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use msgvault_tests::fixtures;
use msgvault_tests::go_reader::can_read;
use msgvault_tests::programs::{Outcome, msgvault, program, run, verify};
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::{Scene, listed, put_back};
use serde_json::Value;

use super::documents::fits_file;
use super::sums::sha256sum;

/// An archive with so many snapshots.
fn scene(snapshots: u32) -> (Scene, Vec<String>) {
    let scene = Scene::new(&Options { size: 1 << 20, ..Options::default() });
    let mut ids = Vec::new();
    for day in 0..snapshots {
        if day > 0 {
            scene.churn(&Churn { day, ..Churn::default() });
        }
        ids.push(scene.create(&[]));
    }
    (scene, ids)
}

fn copy(scene: &Scene, to: &Path, args: &[&str]) -> Outcome {
    scene.backup(&[&["copy", "--json", "--to", &to.to_string_lossy()], args].concat())
}

fn copied(scene: &Scene, to: &Path, args: &[&str]) -> Value {
    let report = copy(scene, to, args).done().json();
    fits_file(&report, "copy");
    report
}

/// Files of a repository that are the same in a copy.
fn files(repo: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let list = "find packs indexes snapshots sums config.toml -type f | sort";
    let listed = Command::new("sh").args(["-c", list]).current_dir(repo).output().unwrap();
    let paths = String::from_utf8(listed.stdout).unwrap();
    paths.lines().map(|path| (path.into(), fs::read(repo.join(path)).unwrap())).collect()
}

fn pack(repo: &Path) -> PathBuf {
    files(repo).into_iter().map(|(path, _)| path).find(|path| path.starts_with("packs")).unwrap()
}

#[test]
fn a_copy_is_the_same_to_the_byte_and_is_brought_up_to_date() {
    let (scene, ids) = scene(2);
    let to = scene.beside("copy");
    let rehearsal = copied(&scene, &to, &["--dry-run"]);
    assert!(!to.exists() && rehearsal["snapshots"].as_array().unwrap().len() == 2, "{rehearsal}");
    let first = copied(&scene, &to, &[]);
    assert_eq!(first["packs"], rehearsal["packs"]);
    assert_eq!(files(&to), files(&scene.repo()));
    assert_eq!(listed(&to), ids);
    scene.churn(&Churn { day: 7, ..Churn::default() });
    let third = scene.create(&[]);
    let second = copied(&scene, &to, &[]);
    assert_eq!(second["snapshots"], serde_json::json!([third]));
    assert_eq!(second["there"], first["packs"]);
    assert_eq!(files(&to), files(&scene.repo()));
    sha256sum(&to).unwrap();
    let nothing = copied(&scene, &to, &[]);
    assert_eq!((&nothing["packs"], &nothing["bytes"]), (&0.into(), &0.into()));
}

#[test]
fn chosen_snapshots_are_copied_with_what_they_are_built_upon() {
    let (scene, ids) = scene(3);
    let to = scene.beside("copy");
    let report = copied(&scene, &to, &["--snapshots", &ids[1]]);
    assert_eq!(report["snapshots"], serde_json::json!(ids[..2]));
    assert_eq!(listed(&to), ids[..2]);
    let _ = verify(&to, ["--all"]).done();
    let _ = verify(&to, ["--sums"]).done();
    // The rest comes later, and what is there stays.
    copied(&scene, &to, &[]);
    assert_eq!(listed(&to), ids);
    let _ = verify(&to, ["--all"]).done();
    sha256sum(&to).unwrap();
}

#[test]
fn damage_is_not_copied_and_what_does_not_need_it_is() {
    let (scene, ids) = scene(3);
    let newest: Vec<PathBuf> = {
        let before = scene.beside("before");
        copied(&scene, &before, &["--snapshots", &ids[1]]);
        let has = |path: &PathBuf| before.join(path).exists();
        let paths = files(&scene.repo()).into_iter().map(|(path, _)| path);
        paths.filter(|path| path.starts_with("packs") && !has(path)).collect()
    };
    let path = scene.repo().join(&newest[0]);
    let whole = fs::read(&path).unwrap();
    let mut changed = whole.clone();
    changed[20] ^= 1;
    for (name, damage) in [("flipped", Some(changed)), ("missing", None)] {
        match damage {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let to = scene.beside(name);
        let outcome = copy(&scene, &to, &[]);
        assert_eq!(outcome.code, 3, "{outcome:?}");
        let report = outcome.json();
        fits_file(&report, "copy");
        assert_eq!(report["damaged"][0]["file"], newest[0].to_str().unwrap(), "{report:#}");
        assert_eq!(report["left_out"], serde_json::json!([ids[2]]));
        assert_eq!(listed(&to), ids[..2]);
        let _ = verify(&to, ["--all"]).done();
        fs::write(&path, &whole).unwrap();
        copied(&scene, &to, &[]);
        assert_eq!(listed(&to), ids);
        let _ = verify(&to, ["--all"]).done();
    }
}

#[test]
fn nothing_is_ever_replaced_and_nothing_foreign_is_taken_for_a_copy() {
    let (scene, _) = scene(1);
    let to = scene.beside("copy");
    copied(&scene, &to, &[]);
    let one = to.join(pack(&to));
    let mut bytes = fs::read(&one).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&one, &bytes).unwrap();
    let refused = copy(&scene, &to, &[]);
    assert!(refused.code == 1 && refused.stderr.contains("repair --from"), "{refused:?}");
    assert_eq!(fs::read(&one).unwrap(), bytes);

    let other = scene.beside("other");
    let _ = run(msgvault().args(["backup", "init", "--repo"]).arg(&other)).done();
    let used = scene.beside("used");
    fs::create_dir(&used).unwrap();
    fs::write(used.join("letter.txt"), "dear").unwrap();
    for (to, why) in [
        (&other, "is another repository"),
        (&used, "is not empty"),
        (&scene.repo(), "is the repository itself"),
    ] {
        let refused = copy(&scene, to, &[]);
        assert!(refused.code == 1 && refused.stderr.contains(why), "{refused:?}");
    }
    assert_eq!(fs::read_dir(&used).unwrap().count(), 1);
}

#[test]
fn a_copy_follows_what_is_let_go_and_removes_nothing_else() {
    let (scene, ids) = scene(4);
    let to = scene.beside("copy");
    copied(&scene, &to, &[]);
    let _ = scene.backup(&["forget", "--force", &ids[3], &ids[2]]).done();
    let _ = scene.backup(&["prune", "--grace", "0s", "--max-unused", "0%"]).done();
    // Nobody asked to remove anything.
    copied(&scene, &to, &[]);
    assert_eq!(listed(&to), ids);
    let _ = verify(&to, ["--all"]).done();
    fs::write(to.join("packs/letter.txt"), "dear").unwrap();
    let report = copied(&scene, &to, &["--prune"]);
    assert_eq!(report["removed"]["snapshots"], 2, "{report:#}");
    assert!(report["removed"]["packs"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(fs::read_to_string(to.join("packs/letter.txt")).unwrap(), "dear");
    fs::remove_file(to.join("packs/letter.txt")).unwrap();
    let of = |repo: &Path| -> Vec<_> {
        files(repo).into_iter().filter(|(path, _)| !path.starts_with("sums")).collect()
    };
    assert_eq!(of(&to), of(&scene.repo()));
    let _ = verify(&to, ["--all"]).done();
    let _ = verify(&to, ["--sums"]).done();
    sha256sum(&to).unwrap();
    // A copy of the copy learns the same from its records.
    let again = copied(&scene, &to, &["--prune"]);
    assert_eq!(again["removed"]["record"], "", "{again:#}");
}

#[test]
fn a_held_snapshot_of_a_copy_stays_there() {
    let (scene, ids) = scene(3);
    let to = scene.beside("copy");
    copied(&scene, &to, &[]);
    let _ = run(msgvault().args(["backup", "hold", "latest", "--repo"]).arg(&to)).done();
    let _ = scene.backup(&["forget", "--force", &ids[2], &ids[1]]).done();
    let _ = scene.backup(&["prune", "--grace", "0s", "--max-unused", "0%"]).done();
    let refused = copy(&scene, &to, &["--prune"]);
    assert!(refused.code == 1 && refused.stderr.contains("nothing was removed from the copy"), "{refused:?}");
    assert!(listed(&to).contains(&ids[2]) && listed(&to).contains(&ids[1]));
    let _ = verify(&to, ["--all"]).done();
}

/// A copy with a fault at every step: what the copy lists is whole each time, and the next run ends.
fn whole_after_faults(scene: &Scene, to: &Path, before: &Path, expected: &[String]) {
    let args = ["copy", "--to", &to.to_string_lossy(), "--prune", "--force-unlock"];
    put_back(before, to);
    let steps = scene.steps(&args).len() as u64;
    for step in 1..=steps {
        for kind in ["kill", "full"] {
            put_back(before, to);
            let outcome = scene.with_fault(kind, step, &args);
            let what = format!("{kind} at {step} of {steps}: {outcome:?}");
            if to.join("config.toml").exists() && !listed(to).is_empty() {
                let verified = verify(to, ["--all"]);
                assert_eq!(verified.code, 0, "{what}: {verified:?}");
                can_read(to);
            }
            let again = scene.backup(&args);
            // A folder with no configuration was never a repository; its owner is told.
            if again.code != 0 {
                assert!(again.stderr.contains("is not empty"), "{what}: {again:?}");
                assert!(!to.join("config.toml").exists(), "{what}");
                continue;
            }
            assert_eq!(listed(to), expected, "{what}");
            let verified = verify(to, ["--all"]);
            assert_eq!(verified.code, 0, "{what}: {verified:?}");
        }
    }
}

#[test]
fn a_fault_at_any_step_of_a_first_copy_lists_whole_snapshots_only() {
    let (scene, ids) = scene(2);
    let to = scene.beside("copy");
    whole_after_faults(&scene, &to, &scene.beside("nothing"), &ids);
}

#[test]
fn a_fault_at_any_step_of_following_lists_whole_snapshots_only() {
    let (scene, ids) = scene(3);
    let before = scene.beside("before");
    copied(&scene, &before, &[]);
    let _ = scene.backup(&["forget", "--force", &ids[2]]).done();
    let _ = scene.backup(&["prune", "--grace", "0s", "--max-unused", "0%"]).done();
    scene.churn(&Churn { day: 9, ..Churn::default() });
    let newest = scene.create(&[]);
    let expected = [ids[0].clone(), ids[1].clone(), newest];
    whole_after_faults(&scene, &scene.beside("copy"), &before, &expected);
}

#[test]
fn what_a_snapshot_holds_has_one_hash_in_every_copy() {
    let (scene, ids) = scene(2);
    let to = scene.beside("copy");
    copied(&scene, &to, &["--snapshots", &ids[1]]);
    let content = |repo: &Path, id: &str| {
        let report = verify(repo, [id, "--json"]).done().json();
        let mut inspect = std::process::Command::new(program("msgvault-verify"));
        let details = run(inspect.arg("inspect").arg(repo).args([id, "--json"])).done().json();
        fits_file(&details, "snapshot");
        assert_eq!(details["content"], report["snapshots"][0]["content"]);
        details["content"].as_str().unwrap().to_owned()
    };
    let [first, second] = [0, 1].map(|n| content(&scene.repo(), &ids[n]));
    assert_ne!(first, second);
    assert_eq!(content(&to, &ids[1]), second);

    let target = scene.beside("restored").to_string_lossy().into_owned();
    let restore = |expected: &str| {
        scene.backup(&["restore", &ids[1], "--target", &target, "--expect-content", expected])
    };
    let refused = restore(&first);
    assert!(refused.code == 1 && refused.stderr.contains(&second), "{refused:?}");
    assert!(!Path::new(&target).exists());
    assert_eq!(restore("123").code, 2);
    let _ = restore(&second).done();
}

#[test]
fn repositories_of_the_go_program_are_copied_to_the_byte() {
    let all = fixtures::all();
    assert!(all.len() > 2, "{all:?}");
    for fixture in all {
        let folder = tempfile::tempdir().unwrap();
        let (repo, to) = (folder.path().join("repo"), folder.path().join("copy"));
        put_back(&fixture.repo, &repo);
        let mut command = msgvault();
        command.args(["backup", "copy", "--to"]).arg(&to).arg("--repo").arg(&repo);
        let _ = run(&mut command).done();
        assert_eq!(files(&to), files(&fixture.repo), "{}", fixture.name);
        assert_eq!(listed(&to), fixture.snapshots(), "{}", fixture.name);
    }
}
