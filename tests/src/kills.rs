//! `SIGKILL` from outside, at moments that the program does not choose.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::overwriting::Overwriting;
use crate::sample::{Churn, Options, file_digest};
use crate::scene::Scene;

/// Kills this many backups. After each the repository verifies with every snapshot that it had, and the next
/// backup succeeds and restores to the current archive.
///
/// # Panics
///
/// If any of this does not hold.
pub fn killed_creates(options: &Options, kills: u32, told: &mut impl Write) -> io::Result<()> {
    let scene = Scene::new(options);
    scene.create(&["--expect-shrink"]);
    let mut day = 0;
    let mut next_day = || {
        day += 1;
        // Every page moves, so that there is much to store.
        scene.churn(&Churn { day, vacuum: true, ..Churn::default() });
    };
    next_day();
    let mut whole = duration(&mut scene.command(&["create", "--expect-shrink"]));
    for number in 0..kills {
        let mut before = StoredFiles::of(&scene);
        let mut reset = || {
            next_day();
            before = StoredFiles::of(&scene);
        };
        let (after, early) =
            interrupted(&mut whole, number, &mut reset, &mut scene.command(&["create", "--expect-shrink"]));
        let left = StoredFiles::of(&scene);
        scene.half_an_hour_later();
        assert_eq!(verified(&scene), left.snapshots, "{before:?}, then {left:?}");
        assert!(left.snapshots >= before.snapshots, "{before:?}, then {left:?}");
        scene.create(&["--expect-shrink"]);
        assert_eq!(verified(&scene), left.snapshots + 1);
        let restored = scene.restore("latest", "restored").join("msgvault.db");
        assert_eq!(digest(&restored), digest(&scene.database()), "the backup after kill {number}");
        fs::remove_dir_all(scene.beside("restored"))?;
        writeln!(
            told,
            "create killed after {} ms, {early} had ended before: {}; verified, next one restored",
            after.as_millis(),
            left.since(&before),
        )?;
    }
    Ok(())
}

/// Kills this many restores over an archive. After each the target has its old or its new database,
/// completely sound, and the next restore succeeds and leaves nothing behind.
///
/// # Panics
///
/// If any of this does not hold.
pub fn killed_restores(options: &Options, kills: u32, told: &mut impl Write) -> io::Result<()> {
    let overwriting = Overwriting::new(options);
    let arguments = overwriting.arguments();
    let mut command = overwriting.scene().command(&arguments.each_ref().map(String::as_str));
    overwriting.reset();
    let mut whole = duration(&mut command);
    for number in 0..kills {
        let (after, early) = interrupted(&mut whole, number, &mut || overwriting.reset(), &mut command);
        let database = overwriting.which();
        let attachments = files_below(&overwriting.target().join("attachments"));
        overwriting.finish();
        writeln!(
            told,
            "restore killed after {} ms, {early} had ended before: {database} database, {attachments} attachment files; \
             restored again",
            after.as_millis(),
        )?;
    }
    verified(overwriting.scene());
    Ok(())
}

/// Runs a command and kills it after a share of its full duration; if it ended before the kill, tries again,
/// sooner.
///
/// Returns the delay of the kill that hit, and how many runs ended before theirs. The duration is adapted to
/// the machine's load, so that kills keep hitting every part of the run.
fn interrupted(
    whole: &mut Duration,
    number: u32,
    reset: &mut impl FnMut(),
    command: &mut Command,
) -> (Duration, u32) {
    // Multiples of the golden ratio spread evenly over the run, however many there are.
    let share = (f64::from(number) * 0.618_034 + 0.5).fract();
    let mut early = 0;
    loop {
        reset();
        let delay = whole.mul_f64(share);
        if killed(command, delay) {
            *whole = whole.mul_f64(1.05);
            return (delay, early);
        }
        *whole = whole.mul_f64(0.9);
        early += 1;
    }
}

/// Whether the kill hit a running program.
fn killed(command: &mut Command, delay: Duration) -> bool {
    let mut child = quiet(command).spawn().expect("the program can be started");
    // The only place where a test sleeps. It does not wait for anything: a kill at a given time is the
    // injected fault, and what is checked afterwards holds wherever it hits.
    std::thread::sleep(delay);
    child.kill().expect("a signal");
    child.wait().expect("an end").signal().is_some()
}

fn duration(command: &mut Command) -> Duration {
    let began = Instant::now();
    assert!(quiet(command).status().expect("the program can be started").success());
    began.elapsed()
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::null()).stderr(Stdio::null())
}

/// Verifies everything, and returns the number of snapshots.
fn verified(scene: &Scene) -> usize {
    let report = scene.backup(&["verify", "--all", "--json"]).done().json();
    assert_eq!(report["verdict"], "intact");
    report["snapshots"].as_array().expect("a list").len()
}

fn digest(file: &Path) -> String {
    file_digest(file).expect("a file to read")
}

fn files_below(folder: &Path) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        files += if entry.path().is_dir() { files_below(&entry.path()) } else { 1 };
    }
    files
}

/// What a repository holds, as far as a killed backup may have come.
#[derive(Debug)]
struct StoredFiles {
    staged: usize,
    packs: usize,
    indexes: usize,
    snapshots: usize,
}

impl StoredFiles {
    fn of(scene: &Scene) -> Self {
        let files = |folder: &str| files_below(&scene.repo().join(folder));
        Self {
            staged: files("staging"),
            packs: files("packs"),
            indexes: files("indexes"),
            snapshots: files("snapshots"),
        }
    }

    fn since(&self, before: &Self) -> String {
        format!(
            "{} staged files, {} packs, {} indexes, {} manifests",
            self.staged,
            self.packs - before.packs,
            self.indexes - before.indexes,
            self.snapshots - before.snapshots
        )
    }
}
