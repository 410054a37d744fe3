//! Index files that are lost or damaged, told of and made anew.

use std::fs;
use std::path::{Path, PathBuf};

use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::Scene;

use super::documents::fits_file;

fn indexes(repo: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(repo.join("indexes")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "mvidx")).collect();
    files.sort();
    files
}

/// An archive with two snapshots.
fn scene() -> Scene {
    let scene = Scene::new(&Options { size: 1 << 20, ..Options::default() });
    let _ = scene.create(&[]);
    scene.churn(&Churn::default());
    let _ = scene.create(&[]);
    scene
}

#[test]
fn a_lost_index_is_named_in_few_lines_and_rebuilt() {
    let scene = scene();
    let first = indexes(&scene.repo()).remove(0);
    let before = fs::read(&first).unwrap();
    for damage in [None, Some(b"MVIX and no more".as_slice())] {
        match damage {
            None => fs::remove_file(&first).unwrap(),
            Some(bytes) => fs::write(&first, bytes).unwrap(),
        }
        let damaged = scene.backup(&["verify", "--all"]);
        assert_eq!(damaged.code, 3, "{damaged:?}");
        assert!(damaged.stdout.contains(first.file_name().unwrap().to_str().unwrap()), "{damaged:?}");
        assert!(damaged.stdout.lines().count() < 40, "{damaged:?}");

        let repaired = scene.backup(&["repair", "--rebuild-index", "--json"]).done().json();
        fits_file(&repaired, "repair");
        assert_eq!(repaired["rebuilt"].as_array().unwrap().len(), 1, "{repaired}");
        assert_eq!(fs::read(&first).unwrap(), before);
        let _ = scene.backup(&["verify", "--all"]).done();
    }
    let nothing = scene.backup(&["repair", "--rebuild-index"]).done();
    assert_eq!(nothing.stdout, "No index file had to be rebuilt.\n");
}

#[test]
fn packs_without_footers_are_told_of_and_the_rest_is_rebuilt() {
    let scene = scene();
    for index in indexes(&scene.repo()) {
        fs::remove_file(index).unwrap();
    }
    let pack = fs::read_dir(scene.repo().join("packs")).unwrap().next().unwrap().unwrap().path();
    let pack = fs::read_dir(pack).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&pack).unwrap();
    fs::write(&pack, &whole[..whole.len() / 2]).unwrap();
    let partly = scene.backup(&["repair", "--rebuild-index", "--json"]);
    assert_eq!(partly.code, 3, "{partly:?}");
    fits_file(&partly.json(), "repair");
    assert_eq!(partly.json()["unreadable"].as_array().unwrap().len(), 1, "{partly:?}");

    fs::write(&pack, whole).unwrap();
    let _ = scene.backup(&["repair", "--rebuild-index"]).done();
    let _ = scene.backup(&["verify", "--all"]).done();
}
