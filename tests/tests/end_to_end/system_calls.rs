//! Whatever system call fails, a command ends in order, and what was good stays good.
//!
//! `MSGVAULT_SYSTEM_CALLS=all` tries every call of every command, which takes hours; without it, some of each kind.

use std::collections::BTreeMap;
use std::env;
use std::fs;

use msgvault_tests::programs::Outcome;
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::{Scene, assert_same_bytes};
use msgvault_tests::system_calls::{self, CallFault};

/// What the documents allow, beside 0.
const CODES: [i32; 6] = [1, 3, 5, 10, 11, 13];
/// Without being asked for all, every so many faults are tried.
const STRIDE: usize = 3;

/// An archive of two snapshots, and which fault is tried.
struct Trials {
    scene: Scene,
    day: u32,
    first: String,
}

impl Trials {
    fn new() -> Self {
        let scene = Scene::new(&Options { size: 200 << 10, ..Options::default() });
        let first = scene.create(&[]);
        let mut trials = Self { scene, day: 0, first };
        trials.another_day();
        trials.scene.create(&[]);
        trials
    }

    fn another_day(&mut self) {
        self.day += 1;
        self.scene.churn(&Churn { day: self.day, ..Churn::default() });
    }

    fn listed(&self) -> usize {
        let list = self.scene.backup(&["list", "--json"]).done().json();
        list["snapshots"].as_array().unwrap().len()
    }

    /// Tries every fault of a command; `between` looks at what is left by each. How often each exit code came.
    fn of(
        &mut self,
        args: &[&str],
        between: impl Fn(&mut Self, usize, &Outcome, &str),
    ) -> BTreeMap<i32, usize> {
        let all = env::var("MSGVAULT_SYSTEM_CALLS").is_ok_and(|value| value == "all");
        let log = self.scene.beside("calls");
        let counts = system_calls::count(&self.scene.command(args), &log);
        let target = self.scene.beside("restored");
        let _ = fs::remove_dir_all(&target);
        let mut codes = BTreeMap::new();
        for fault in system_calls::faults(&counts, all).iter().step_by(if all { 1 } else { STRIDE }) {
            self.another_day();
            let before = self.listed();
            let outcome = system_calls::run_with(&self.scene.command(args), fault, &log);
            let what = format!("{args:?} with {fault:?}: {outcome:?}");
            *codes.entry(outcome.code).or_default() += 1;
            if !is_of_the_loader(&outcome, fault) {
                ends_in_order(&outcome, &what);
            }
            // Perhaps there is a lock that could not be removed, of a process that could not say who it is.
            let _ = self.scene.backup(&["verify", "--all", "--force-unlock"]).done();
            between(self, before, &outcome, &what);
        }
        println!("{args:?}: exit codes {codes:?}");
        assert!(codes.values().sum::<usize>() > 10, "hardly any fault of {args:?} was tried: {counts:?}");
        assert!(codes.len() > 1, "no fault of {args:?} was noticed: {codes:?}");
        codes
    }
}

/// What fails before the program is loaded is told by the system's loader.
fn is_of_the_loader(outcome: &Outcome, fault: &CallFault) -> bool {
    outcome.code == 127 && fault.at < 10 && outcome.stderr.contains("loading shared libraries")
}

fn ends_in_order(outcome: &Outcome, what: &str) {
    assert!(outcome.code == 0 || CODES.contains(&outcome.code), "{what}");
    assert!(!outcome.stderr.contains("panicked"), "{what}");
    // What cannot be written to standard error cannot be read there.
    let is_told = outcome.stderr.contains("msgvault:") || what.contains("call: \"write\"");
    let is_reported = ["DAMAGED", "Not checked"].iter().any(|verdict| outcome.stdout.contains(verdict));
    assert!(outcome.code == 0 || is_told || is_reported, "{what}");
}

/// Says that nothing was tried, where faults cannot be injected.
fn is_possible() -> bool {
    let possible = system_calls::is_possible();
    if let Err(reason) = &possible {
        eprintln!("NOT TESTED: no faults of system calls here: {reason}");
    }
    possible.is_ok()
}

#[test]
fn a_create_survives_failing_system_calls() {
    if !is_possible() {
        return;
    }
    let mut trials = Trials::new();
    let args = ["create", "--force-unlock", "--jobs", "1", "--progress", "none"];
    trials.of(&args, |trials, before, outcome, what| {
        let after = trials.listed();
        // With 5, the work is done and only its report is missing.
        let made = usize::from(matches!(outcome.code, 0 | 5));
        assert_eq!(after, before + made, "{what}");
    });
    trials.scene.create(&["--force-unlock"]);
    let kept = trials.scene.keep("kept.db");
    assert_same_bytes(
        &trials.scene.restore("latest", "at-last").join("msgvault.db"),
        &kept,
        "after all that",
    );
}

#[test]
fn a_restore_survives_failing_system_calls() {
    if !is_possible() {
        return;
    }
    let mut trials = Trials::new();
    let kept = trials.scene.keep("kept.db");
    let target = trials.scene.beside("restored");
    let to = target.to_string_lossy().into_owned();
    trials.of(
        &["restore", "--target", &to, "--jobs", "1", "--progress", "none"],
        |trials, _, outcome, what| {
            let database = target.join("msgvault.db");
            // A target that cannot be marked is not recognized, and its user was warned of that.
            let is_marked = !outcome.stderr.contains("cannot be marked as the target");
            if !database.exists() && is_marked {
                assert!(!matches!(outcome.code, 0 | 5), "{what}");
                let again = trials.scene.backup(&["restore", "--target", &to]);
                assert_eq!(again.code, 0, "{what}\n{again:?}");
            }
            if is_marked {
                assert_same_bytes(&database, &kept, what);
            }
            let _ = fs::remove_dir_all(&target);
        },
    );
}

#[test]
fn a_verify_survives_failing_system_calls() {
    if !is_possible() {
        return;
    }
    Trials::new().of(&["verify", "--all", "--jobs", "1", "--progress", "none"], |_, _, outcome, what| {
        // Only the medium's own failure is damage.
        assert!(outcome.code != 3 || what.contains("Input/output error"), "{what}");
    });
}

#[test]
fn forgetting_survives_failing_system_calls() {
    if !is_possible() {
        return;
    }
    let mut trials = Trials::new();
    let first = trials.first.clone();
    trials.of(&["hold", &first, "--force-unlock"], |_, _, _, _| ());
    let _ = trials.scene.backup(&["unhold", &first]);
    trials.of(&["prune", "--force-unlock", "--grace", "0s", "--yes", "--progress", "none"], |_, _, _, _| ());
}
