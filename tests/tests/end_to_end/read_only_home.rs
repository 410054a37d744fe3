//! A backup of an archive home that cannot be written to: a read-only medium, a snapshot of a file system.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use msgvault_tests::programs::{Outcome, run};
use msgvault_tests::sample::Options;
use msgvault_tests::scene::{Scene, assert_same_bytes};
use rusqlite::Connection;

fn scene() -> Scene {
    Scene::new(&Options { size: 400 << 10, ..Options::default() })
}

/// Runs `msgvault backup create` where the home is mounted read-only.
fn create_read_only(scene: &Scene) -> Option<Outcome> {
    run_read_only(&scene.home(), &scene.command(&["create", "--json"]))
}

/// Runs a command where a folder is mounted read-only; `None`, loudly, where that is not possible.
pub(crate) fn run_read_only(folder: &Path, command: &Command) -> Option<Outcome> {
    const MOUNTED: &str = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && ! touch \"$0/x\" 2>&- && exec \"$@\"";
    let within = |command: &Command| {
        let mut within = Command::new("unshare");
        within.args(["--mount", "sh", "-c", MOUNTED]).arg(folder);
        within.arg(command.get_program()).args(command.get_args());
        within
    };
    if !within(&Command::new("true")).status().is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "NOT RUN: this user cannot make read-only mounts");
        return None;
    }
    Some(run(&mut within(command)))
}

fn names(scene: &Scene) -> Vec<String> {
    let entries = fs::read_dir(scene.home()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_read_only_home_is_backed_up() {
    let scene = scene();
    let before = names(&scene);
    assert!(!before.contains(&"msgvault.db-wal".to_owned()));
    let Some(created) = create_read_only(&scene) else { return };
    assert!(created.done().json()["snapshot_id"].is_string());
    assert_eq!(names(&scene), before);
    let restored = scene.restore("latest", "restored").join("msgvault.db");
    assert_same_bytes(&restored, &scene.database(), "the database");
}

#[test]
fn a_log_in_a_read_only_home_is_backed_up_with_its_database() {
    let scene = scene();
    let writer = Connection::open(scene.database()).unwrap();
    writer.execute_batch("PRAGMA wal_autocheckpoint = 0; CREATE TABLE written_late (id INTEGER)").unwrap();
    let Some(created) = create_read_only(&scene) else { return };
    let created = created.done();
    assert!(created.json()["warnings"].to_string().contains("has a log"), "{created:?}");
    let restored = Connection::open(scene.restore("latest", "restored").join("msgvault.db")).unwrap();
    restored.query_row("SELECT COUNT(*) FROM written_late", [], |_| Ok(())).unwrap();
    drop(writer);
}

#[test]
fn who_writes_to_an_archive_keeps_read_only_backups_off() {
    let scene = scene();
    let Some(_) = create_read_only(&scene) else { return };
    let owner = msgvault_freeze::ownership::Ownership::take(&scene.home()).unwrap();
    let refused = create_read_only(&scene).unwrap();
    assert!(refused.code == 1 && refused.stderr.contains("daemon.lock is held by"), "{refused:?}");
    drop(owner);
    assert_eq!(create_read_only(&scene).unwrap().code, 0);
}
