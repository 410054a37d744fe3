//! Root at work on a user's files: they stay the user's.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use msgvault_tests::programs::{Outcome, msgvault, program, run};
use msgvault_tests::sample::Options;
use msgvault_tests::scene::Scene;

/// A user and a group that no account has.
const USER: u32 = 42_125;

/// A scene of which everything is the user's; none, loudly, where this process cannot become another user.
fn scene_of_a_user() -> Option<Scene> {
    let usable = as_user().arg("--version").output().is_ok_and(|output| output.status.success());
    if !usable {
        let _ = writeln!(std::io::stderr(), "NOT RUN: only root can become a user");
        return None;
    }
    let scene = Scene::new(&Options { size: 400 << 10, ..Options::default() });
    give(&folder(&scene));
    Some(scene)
}

/// Where home and repository lie.
fn folder(scene: &Scene) -> PathBuf {
    scene.home().parent().unwrap().to_owned()
}

fn give(folder: &Path) {
    let owner = format!("{USER}:{USER}");
    assert!(Command::new("chown").args(["-R", &owner]).arg(folder).status().unwrap().success());
}

fn as_user() -> Command {
    let user = USER.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(program("msgvault"));
    command
}

fn backup_as_user(scene: &Scene, args: &[&str]) -> Outcome {
    let mut command = as_user();
    command.arg("--home").arg(scene.home()).arg("--repo").arg(scene.repo()).arg("backup").args(args);
    run(&mut command)
}

/// What in a folder, itself included, is not the user's.
fn not_of_the_user(folder: &Path) -> Vec<PathBuf> {
    let of_user = |path: &Path| {
        let found = path.symlink_metadata().unwrap();
        (found.uid(), found.gid()) == (USER, USER)
    };
    let mut foreign = Vec::from_iter((!of_user(folder)).then(|| folder.to_owned()));
    if folder.is_dir() {
        for entry in fs::read_dir(folder).unwrap() {
            foreign.extend(not_of_the_user(&entry.unwrap().path()));
        }
    }
    foreign
}

#[test]
fn what_root_backs_up_and_restores_stays_the_users() {
    let Some(scene) = scene_of_a_user() else { return };
    let _ = scene.create(&[]);
    let restored = scene.restore("latest", "restored");
    assert!(restored.join("attachments").exists());
    assert_eq!(not_of_the_user(&folder(&scene)), Vec::<PathBuf>::new());
    for args in [&["list"][..], &["verify"], &["create"]] {
        let outcome = backup_as_user(&scene, args).done();
        assert!(!outcome.stderr.contains("belongs to"), "{outcome:?}");
    }
}

#[test]
fn a_repository_that_root_makes_is_the_users() {
    let Some(scene) = scene_of_a_user() else { return };
    let repo = scene.beside("another");
    for args in [["backup", "init"], ["backup", "create"]] {
        let _ = run(msgvault().args(args).arg("--home").arg(scene.home()).arg("--repo").arg(&repo)).done();
    }
    assert_eq!(not_of_the_user(&folder(&scene)), Vec::<PathBuf>::new());
    let listed = run(as_user().args(["backup", "list", "--json", "--repo"]).arg(&repo)).done().json();
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1);
}

#[test]
fn locks_that_bar_the_owner_are_told_of() {
    let Some(scene) = scene_of_a_user() else { return };
    let _ = scene.create(&[]);
    let lock = scene.home().join("daemon.lock");
    chown(&lock, Some(0), Some(0)).unwrap();
    let outcome = scene.backup(&["create"]);
    let told = format!("daemon.lock belongs to user 0 and its folder to user {USER}");
    assert!(outcome.done().stderr.contains(&told));
}
