//! If a folder of repositories is named but holds none, that is an error, not a test that passes.

use std::fs;
use std::path::Path;

use msgvault_tests::fixtures::{in_folder, named, own};

#[test]
fn a_named_folder_without_repositories_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(in_folder(folder.path()).unwrap_err().contains("holds no repositories"));
    fs::create_dir_all(folder.path().join("full/tiny/repo")).unwrap();
    assert!(in_folder(folder.path()).unwrap_err().contains("holds no repositories"));
    assert!(in_folder(&folder.path().join("absent")).unwrap_err().contains("cannot be listed"));
    assert!(in_folder(Path::new("")).unwrap_err().contains("is not an absolute path"));
    assert!(in_folder(Path::new("fixtures")).unwrap_err().contains("is not an absolute path"));
}

#[test]
fn repositories_are_found_at_any_depth() {
    let folder = tempfile::tempdir().unwrap();
    let plain = named("plain");
    for (place, ids) in
        [("copy", None), ("a/b/other", Some("20261123T124027Z-a1392c43761822a0e096a4842607116a\n"))]
    {
        let place = folder.path().join(place);
        plain.copy_to(&place.join("repo"));
        fs::create_dir(place.join("expected")).unwrap();
        let ids = ids.map_or_else(|| plain.snapshots().join("\n"), str::to_owned);
        fs::write(place.join("expected/snapshots.txt"), ids).unwrap();
    }
    let names: Vec<String> = in_folder(folder.path()).unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["a/b/other"], "a copy of one of the project's own is tested once");
}

#[test]
fn the_project_has_repositories_of_its_own() {
    let names: Vec<String> = own().into_iter().map(|one| one.name).collect();
    assert_eq!(
        names,
        ["chain", "namespaced", "no-attachments", "plain", "unchanged"]
            .map(|name| format!("fixtures/{name}"))
    );
    assert!(own().iter().all(|fixture| !fixture.snapshots().is_empty()));
}
