//! Two hosts and one repository: one is stopped in the middle of what it does, and the other finds exactly what the
//! documents say.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use msgvault_tests::go_reader::can_read;
use msgvault_tests::programs::{HangUp, Outcome, verify};
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::{Scene, assert_same_bytes, put_back};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_mins(1);
/// A prune or a create that waits for nobody is done by then.
const LONGER_THAN_IT_TAKES: Duration = Duration::from_secs(1);
const MOMENTS: usize = 4;
const PRUNE: [&str; 3] = ["prune", "--max-unused", "0%"];

/// A repository in which a prune has much to do.
fn scene() -> Scene {
    let scene = Scene::new(&Options { size: 600 << 10, ..Options::default() });
    for day in 1..4 {
        scene.create(&[]);
        scene.churn(&Churn { day, grow: 10, ..Churn::default() });
    }
    let _ = scene.backup(&["forget", "--force", "latest"]).done();
    scene
}

/// Puts a command on a host named `far`; where no host can be made, says so.
fn on_another_host(command: &Command) -> Option<Command> {
    let mut there = Command::new("unshare");
    there.args(["--uts", "sh", "-c", "hostname far && exec \"$@\"", "sh"]);
    let mut tried = Command::new("unshare");
    if !tried.args(["--uts", "hostname", "far"]).status().is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "NOT RUN: this user cannot make hosts of other names");
        return None;
    }
    there.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => there.env(name, value),
            None => there.env_remove(name),
        };
    }
    Some(there)
}

/// A run on another host that is stopped at one of its steps.
struct Paused {
    child: Child,
}

impl Paused {
    fn at(scene: &Scene, step: usize, args: &[&str]) -> Option<Self> {
        let mut command = on_another_host(&scene.faulty(HangUp::Ends, "pause", step as u64, args))?;
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let began = Instant::now();
        let status = format!("/proc/{}/stat", child.id());
        while !fs::read_to_string(&status).unwrap().contains(") T ") {
            assert!(began.elapsed() < PATIENCE, "{args:?} never came to step {step}");
            sleep(Duration::from_millis(10));
        }
        Some(Self { child })
    }

    fn goes_on(self) -> Outcome {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::CONT).unwrap();
        self.child.wait_with_output().unwrap().into()
    }
}

/// Some of the steps at which it holds its lock, spread over them; the last few, at which it tidies up, can differ
/// from run to run.
fn moments(steps: &[String]) -> Vec<usize> {
    let held: Vec<usize> = (1..=steps.len()).filter(|n| !steps[n - 1].starts_with("lock.")).collect();
    let held = &held[..held.len() - held.len().div_ceil(10)];
    let moments: Vec<usize> = held.iter().copied().step_by(held.len().div_ceil(MOMENTS)).collect();
    assert!(moments.len() > 1, "{steps:?}");
    moments
}

fn is_barred(outcome: &Outcome, by: &str) {
    assert_eq!(outcome.code, 11, "{outcome:?}");
    assert!(outcome.stderr.contains(by) && outcome.stderr.contains("on far"), "{outcome:?}");
}

#[test]
fn beside_a_prune_others_wait_and_readers_without_a_lock_find_all_that_is_listed() {
    let scene = scene();
    let before = scene.beside("before");
    put_back(&scene.repo(), &before);
    let steps = scene.steps(&PRUNE);
    let listed = scene.listed();
    let database = scene.restore("latest", "whole").join("msgvault.db");
    let target = scene.beside("restored").to_string_lossy().into_owned();
    for step in moments(&steps) {
        put_back(&before, &scene.repo());
        let Some(paused) = Paused::at(&scene, step, &PRUNE) else { return };
        for args in [&["verify"][..], &["restore", "--target", &target], &["create"]] {
            is_barred(&scene.backup(&[args, &["--retry-lock", "0s"]].concat()), "prune");
        }
        assert_eq!(scene.listed(), listed);
        let verified = verify(&scene.repo(), ["--all"]);
        assert_eq!(verified.code, 0, "beside {}: {verified:?}", steps[step - 1]);
        can_read(&scene.repo());
        let _ = paused.goes_on().done();
        let restored = scene.restore("latest", "restored");
        assert_same_bytes(&restored.join("msgvault.db"), &database, &steps[step - 1]);
        fs::remove_dir_all(restored).unwrap();
    }
}

#[test]
fn what_a_reader_reads_stays_until_it_is_done() {
    let scene = scene();
    let target = scene.beside("restored");
    let restore = ["restore", "--target", &target.to_string_lossy()];
    let expected = scene.restore("latest", "whole").join("msgvault.db");
    let before = scene.beside("before");
    put_back(&scene.repo(), &before);
    for args in [&["verify"][..], &restore] {
        let _ = fs::remove_dir_all(&target);
        let steps = scene.steps(args);
        for (step, writer) in
            moments(&steps).into_iter().flat_map(|step| [(step, &PRUNE[..]), (step, &["create"])])
        {
            put_back(&before, &scene.repo());
            let _ = fs::remove_dir_all(&target);
            let Some(paused) = Paused::at(&scene, step, args) else { return };
            let mut writing =
                scene.command(writer).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            sleep(LONGER_THAN_IT_TAKES);
            assert!(writing.try_wait().unwrap().is_none(), "{writer:?} waits for {args:?}");
            let _ = paused.goes_on().done();
            assert!(writing.wait().unwrap().success(), "{writer:?} beside {args:?}");
            if args == restore {
                assert_same_bytes(&target.join("msgvault.db"), &expected, &steps[step - 1]);
            }
            let _ = scene.backup(&["verify", "--all"]).done();
        }
    }
}

#[test]
fn a_prune_is_barred_by_a_create_and_finds_all_that_it_added() {
    let scene = scene();
    let steps = scene.steps(&["create", "--expect-shrink"]);
    for (step, day) in moments(&steps).into_iter().zip(10..) {
        scene.churn(&Churn { day, ..Churn::default() });
        let listed = scene.listed();
        let Some(paused) = Paused::at(&scene, step, &["create", "--expect-shrink"]) else { return };
        is_barred(&scene.backup(&[&PRUNE[..], &["--retry-lock", "0s"]].concat()), "create");
        let _ = paused.goes_on().done();
        let _ = scene.backup(&[&PRUNE[..], &["--grace", "0s"]].concat()).done();
        assert_eq!(scene.listed().len(), listed.len() + 1);
        let _ = scene.backup(&["verify", "--all"]).done();
    }
}
