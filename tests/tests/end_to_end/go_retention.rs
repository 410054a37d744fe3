//! Repositories that the Go program wrote let go of snapshots, and what is left is what it was; what is written
//! meanwhile stays readable for the Go program.

use std::fs;
use std::path::Path;

use msgvault_tests::fixtures::{self, Fixture};
use msgvault_tests::go_reader::can_read;
use msgvault_tests::programs::backup;
use msgvault_tests::scene::listed;
use msgvault_tests::tree::hashes_and_modes;

const PRUNE: [&str; 5] = ["prune", "--grace", "0s", "--max-unused", "0%"];

/// Everything that is listed verifies, and restores as the Go program restores it.
fn is_whole(repo: &Path, fixture: &Fixture) {
    can_read(repo);
    let _ = backup(repo, ["verify", "--all"]).done();
    for id in listed(repo) {
        let target = repo.with_file_name("restored");
        let _ = backup(repo, ["restore", &id, "--target", &target.to_string_lossy()]).done();
        assert_eq!(hashes_and_modes(&target).unwrap(), fixture.restored(&id), "{} {id}", fixture.name);
        fs::remove_dir_all(target).unwrap();
    }
}

/// Copies of all of them that have more than one snapshot.
fn copies(story: impl Fn(&Fixture, &Path)) {
    let several: Vec<Fixture> =
        fixtures::all().into_iter().filter(|fixture| fixture.snapshots().len() > 1).collect();
    assert!(several.len() > 2, "{several:?}");
    for fixture in several {
        let folder = tempfile::tempdir().unwrap();
        let repo = folder.path().join("repo");
        fixture.copy_to(&repo);
        can_read(&repo);
        story(&fixture, &repo);
    }
}

#[test]
fn all_but_the_newest_go_and_what_it_is_built_upon_stays() {
    copies(|fixture, repo| {
        let _ = backup(repo, ["forget", "--keep-last", "1"]).done();
        is_whole(repo, fixture);
        let kept = listed(repo);
        assert_eq!(kept.last(), fixture.snapshots().last());
        let _ = backup(repo, PRUNE).done();
        assert_eq!(listed(repo), kept);
        is_whole(repo, fixture);
        let list = backup(repo, ["list", "--json"]).done().json();
        assert_eq!(list["space"]["dead_bytes"], 0, "{}", fixture.name);
    });
}

#[test]
fn one_after_another_goes_from_the_newest_on() {
    copies(|fixture, repo| {
        let prune = || {
            let report = backup(repo, [&PRUNE[..], &["--json"]].concat()).done().json();
            report["packs"]["kept_bytes"].as_u64().unwrap()
        };
        let mut before = prune();
        for left in (1..fixture.snapshots().len()).rev() {
            let _ = backup(repo, ["forget", "--force", "latest"]).done();
            let after = prune();
            assert!(after <= before, "{}: {after} bytes after {before}", fixture.name);
            before = after;
            assert_eq!(listed(repo), fixture.snapshots()[..left]);
            is_whole(repo, fixture);
        }
    });
}

#[test]
fn what_was_let_go_comes_back_before_its_time_is_over() {
    copies(|fixture, repo| {
        let ids = fixture.snapshots();
        let _ = backup(repo, ["forget", "--force", "latest"]).done();
        let _ = backup(repo, ["prune", "--max-unused", "0%"]).done();
        is_whole(repo, fixture);
        let _ = backup(repo, ["unforget", ids.last().unwrap()]).done();
        assert_eq!(listed(repo), ids);
        is_whole(repo, fixture);
    });
}
