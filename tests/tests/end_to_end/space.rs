//! Disks that are too small, and what is said before anything is written to them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use msgvault_tests::programs::{Outcome, run};
use msgvault_tests::sample::Options;
use msgvault_tests::scene::Scene;

/// Runs a command where a folder is a disk of so many kibibytes with what the folder holds, and then lists its
/// packs; `None`, loudly, where that is not possible.
fn on_a_small_disk(disk: &Path, kibibytes: u32, command: &Command) -> Option<Outcome> {
    const MOUNTED: &str = r#"cp -r "$0" "$0.copy" && mount -t tmpfs -o "size=$1k" tmpfs "$0" && cp -r "$0.copy/." "$0" && rm -r "$0.copy" && shift && "$@"
        code=$?; find "$0" -name '*.mvpack'; exit $code"#;
    let within = |command: &Command| {
        let mut within = Command::new("unshare");
        within.args(["--mount", "sh", "-c", MOUNTED]).arg(disk).arg(kibibytes.to_string());
        within.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => within.env(name, value),
                None => within.env_remove(name),
            };
        }
        within
    };
    if !within(&Command::new("true")).output().is_ok_and(|done| done.status.success()) {
        let _ = writeln!(std::io::stderr(), "NOT RUN: this user cannot mount small disks");
        return None;
    }
    Some(run(&mut within(command)))
}

fn scene() -> Scene {
    Scene::new(&Options { size: 8 << 20, ..Options::default() })
}

#[test]
fn a_backup_that_cannot_fit_is_refused_before_anything_is_written() {
    let scene = scene();
    let small = |kibibytes, args: &[&str]| on_a_small_disk(&scene.repo(), kibibytes, &scene.command(args));
    let Some(refused) = small(200, &["create"]) else { return };
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("cannot begin a backup in ") && refused.stderr.contains(" MB are free, for "),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("free some space there and run again"), "{refused:?}");
    assert!(refused.stdout.is_empty(), "no pack: {refused:?}");

    // What may compress well enough is tried.
    let tried = small(4096, &["create"]).unwrap();
    let warning = "the repository's disk may become full: without compression, ";
    assert!(tried.stderr.contains(warning), "{tried:?}");
    let dry = small(200, &["create", "--dry-run"]).unwrap().done();
    assert!(dry.stderr.contains(warning), "{dry:?}");
    let enough = small(20_000, &["create"]).unwrap().done();
    assert!(enough.stderr.is_empty(), "{enough:?}");
}

#[test]
fn a_rehearsal_without_room_is_refused_before_anything_is_read() {
    let scene = scene();
    scene.create(&[]);
    let scratch = scene.beside("scratch");
    fs::create_dir(&scratch).unwrap();
    let mut command = scene.command(&["verify", "--restore-check", "--progress", "plain"]);
    command.env("TMPDIR", &scratch);
    let Some(refused) = on_a_small_disk(&scratch, 200, &command) else { return };
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("--restore-check: cannot restore into ")
            && refused.stderr.contains(" MB are free"),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("point TMPDIR at a disk"), "{refused:?}");
    assert_eq!(refused.stderr.lines().count(), 1, "nothing was read: {refused:?}");
}
