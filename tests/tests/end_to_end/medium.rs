//! Repositories on media that are not like the disk of a developer.

use std::fs;
use std::io::Write;
use std::process::Command;

use msgvault_tests::programs::{program, run};
use msgvault_tests::sample::Options;
use msgvault_tests::scene::Scene;

/// A file system that does not tell case, mounted where only its children see it.
const FOLDS_CASE: &str = "mkdir -p \"$0\" && truncate -s 64M \"$0.img\" \
    && mkfs.ext4 -q -F -O casefold -E encoding=utf8 \"$0.img\" && mount -o loop \"$0.img\" \"$0\" \
    && mkdir \"$0/repo\" && chattr +F \"$0/repo\" && touch \"$0/repo/.DS_Store\" && test -e \"$0/repo/.ds_store\" && exec \"$@\"";
/// A repository made, backed up into and listed.
const STORY: &str = "\"$0\" backup init --repo \"$2\" && \"$0\" backup create --home \"$1\" --repo \"$2\" >&2 \
    && exec \"$0\" backup list --json --repo \"$2\"";

#[test]
fn a_medium_that_folds_case_holds_snapshots_that_are_found() {
    let scene = Scene::new(&Options { size: 400 << 10, ..Options::default() });
    let mounted = scene.beside("mounted");
    let within = |args: &[&str]| {
        let mut within = Command::new("unshare");
        within.args(["--mount", "sh", "-c", FOLDS_CASE]).arg(&mounted).args(args);
        within
    };
    if !within(&["true"]).output().is_ok_and(|output| output.status.success()) {
        let _ =
            writeln!(std::io::stderr(), "NOT RUN: this machine cannot mount a file system that folds case");
        return;
    }
    let (home, repo) = (scene.home(), mounted.join("repo"));
    let program = program("msgvault");
    let story =
        ["sh", "-c", STORY, &program.to_string_lossy(), &home.to_string_lossy(), &repo.to_string_lossy()];
    let done = run(&mut within(&story)).done();
    assert!(done.stderr.contains("upper case from lower case"), "{done:?}");
    let (_, list) = done.stdout.split_once('\n').unwrap();
    let list: serde_json::Value = serde_json::from_str(list).unwrap();
    assert_eq!(list["snapshots"].as_array().unwrap().len(), 1, "{list}");
}

#[test]
fn foreign_names_are_no_damage_and_stop_nothing() {
    let scene = Scene::new(&Options { size: 400 << 10, ..Options::default() });
    let id = scene.create(&[]);
    let manifest = format!("snapshots/{id}.mvmanifest");
    let index = fs::read_dir(scene.repo().join("indexes")).unwrap().next().unwrap().unwrap().path();
    let ulid = index.file_stem().unwrap().to_str().unwrap();
    for name in [
        format!("indexes/._{ulid}.mvidx"),
        format!("indexes/{ulid}.mvidx.tmp"),
        "indexes/x.mvidx".to_owned(),
        "snapshots/.DS_Store".to_owned(),
        "packs/Thumbs.db".to_owned(),
        "locks/exclusive (conflicted copy).json".to_owned(),
    ] {
        fs::write(scene.repo().join(name), "not ours").unwrap();
    }
    fs::create_dir(scene.repo().join("packs/lost+found")).unwrap();
    let copy = format!("snapshots/{id} (conflicted copy).mvmanifest");
    fs::copy(scene.repo().join(&manifest), scene.repo().join(&copy)).unwrap();

    let report = scene.backup(&["verify", "--json"]).done().json();
    assert_eq!(report["verdict"], "intact");
    let foreign = report["foreign"].as_array().unwrap();
    assert_eq!(foreign.len(), 8, "{foreign:?}");
    let of_copy = foreign.iter().find(|foreign| foreign["file"] == copy.as_str()).unwrap();
    assert_eq!(of_copy["detail"], format!("a copy of snapshot {id} under another name"));
    let text = scene.backup(&["verify"]).done().stdout;
    assert!(text.contains("not part of the repository, and left alone: 8 files"), "{text}");

    let second = scene.backup(&["create", "--json"]).done().json();
    assert_eq!(second["parent_id"], id.as_str());
    assert_eq!(second["warnings"].as_array().unwrap().len(), 0, "{second}");
    assert_eq!(scene.backup(&["list", "--json"]).done().json()["unreadable"], serde_json::json!({}));
    let rebuilt = scene.backup(&["repair", "--rebuild-index", "--json"]).done().json();
    assert_eq!(rebuilt["rebuilt"].as_array().unwrap().len(), 0, "{rebuilt}");
    scene.restore("latest", "restored");
}
