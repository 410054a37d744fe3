//! Damage of the archive is told when it is captured, and what is captured is kept all the same.

use std::fs;

use msgvault_tests::sample::Options;
use msgvault_tests::scene::Scene;

use crate::documents::fits_file;

/// What begins what SQLite finds in a damaged sample archive, or ends it.
const FINDING: &str = "Tree ";

fn scene() -> Scene {
    Scene::new(&Options { size: 400 << 10, ..Options::default() })
}

fn snapshots(scene: &Scene) -> usize {
    scene.backup(&["list", "--json"]).done().json()["snapshots"].as_array().unwrap().len()
}

#[test]
fn a_sound_archive_is_told_so_with_the_time_that_it_took() {
    let scene = scene();
    let checked = scene.backup(&["create", "--check"]).done();
    assert!(checked.stdout.contains("\n  check        SQLite finds it sound, in 0."), "{checked:?}");
    let document = scene.backup(&["create", "--check", "--json"]).done().json();
    fits_file(&document, "create");
    assert_eq!(
        (&document["check"]["sound"], &document["check"]["findings"]),
        (&true.into(), &serde_json::json!([]))
    );
    assert!(document["check"]["seconds"].is_number());
    let unchecked = scene.backup(&["create", "--json"]).done().json();
    assert!(unchecked["check"].is_null(), "{unchecked}");
}

#[test]
fn a_damaged_archive_is_captured_and_ends_with_problems() {
    let scene = scene();
    scene.create(&[]);
    scene.damage_database();
    scene.create(&[]);
    let told = scene.backup(&["create", "--check"]);
    assert_eq!(told.code, 3, "{told:?}");
    assert!(told.stdout.starts_with("created snapshot ") && told.stdout.contains("DAMAGED"), "{told:?}");
    assert!(told.stdout.contains(FINDING) && told.stdout.contains("look after the archive"), "{told:?}");
    assert_eq!(snapshots(&scene), 3);

    let quiet = scene.backup(&["create", "--check", "-q"]);
    assert_eq!((quiet.code, &*quiet.stdout), (3, ""), "{quiet:?}");
    assert!(
        quiet.stderr.starts_with("msgvault: SQLite finds the archive's database DAMAGED; snapshot 2"),
        "{quiet:?}"
    );
    assert!(quiet.stderr.contains(FINDING), "{quiet:?}");

    let document = scene.backup(&["create", "--check", "--json"]);
    assert_eq!(document.code, 3, "{document:?}");
    let document = document.json();
    fits_file(&document, "create");
    assert_eq!(document["check"]["sound"], false);
    assert!(document["snapshot_id"].is_string());

    let dry = scene.backup(&["create", "--check", "--dry-run", "-q"]);
    assert!(dry.code == 3 && dry.stderr.contains("nothing was stored"), "{dry:?}");
    fs::write(scene.home().join("config.toml"), "[backup]\ncheck = true\n").unwrap();
    assert_eq!(scene.backup(&["create"]).code, 3, "the configuration asks for the check");
    assert_eq!(snapshots(&scene), 6);
    // The repository has nothing to do with it.
    let _ = scene.backup(&["verify", "--all"]).done();
}

#[test]
fn a_restore_tells_what_is_known_of_the_captured_database() {
    let scene = scene();
    scene.create(&[]);
    let restore = |name: &str, flags: &[&str]| {
        let target = scene.beside(name);
        scene.backup(&[&["restore", "--json", "--target", target.to_str().unwrap()], flags].concat())
    };
    let verdict = |name: &str, flags: &[&str]| {
        let document = restore(name, flags).done().json();
        fits_file(&document, "restore");
        document["verdict"].clone()
    };
    assert_eq!(verdict("unchecked", &[]), "unchecked");
    assert_eq!(verdict("checked", &["--integrity-check"]), "intact");

    scene.damage_database();
    scene.create(&[]);
    assert_eq!(verdict("damaged", &[]), "unchecked");
    let refused = restore("refused", &["--integrity-check"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    fits_file(&refused.json(), "failure");
    assert_eq!(refused.json()["error"]["verdict"], "archive-damaged");
}
