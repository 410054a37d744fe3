//! A daemon in one PID namespace, its clients in another: the numbers of processes mean others there.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use msgvault_freeze::ownership;
use msgvault_tests::programs::{Outcome, program, run};
use msgvault_tests::serve::{Serve, home};

/// A shell in a PID namespace of its own, whose first child is process 2 there; `None`, loudly, where that is
/// not possible. All of it ends with it.
fn container(script: &str, home: &Path) -> Option<Command> {
    let namespace = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    if !Command::new("unshare").args(namespace).arg("true").status().is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "NOT RUN: this user cannot make PID namespaces");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(namespace).args(["sh", "-c", script]).arg(program("msgvault")).arg(home);
    Some(command)
}

const SERVE: &str = "\"$0\" serve --home \"$1\" & wait";

/// A daemon that is process 2 where it runs.
fn daemon(home: &Path) -> Option<Serve> {
    let daemon = Serve::spawn(container(SERVE, home)?);
    assert!(home.join("daemon.2.json").exists(), "{:?}", fs::read_dir(home).unwrap().collect::<Vec<_>>());
    Some(daemon)
}

/// Ends the daemon from beside an innocent process 2, and says whether that lives.
fn stop_beside_an_innocent(home: &Path) -> Option<Outcome> {
    let script =
        "sleep 600 & test $! = 2 && \"$0\" daemon stop --home \"$1\" && kill -0 2 && echo innocent lives";
    Some(run(&mut container(script, home)?))
}

#[test]
fn stop_never_signals_another_process_of_that_number() {
    let home = home("");
    let Some(mut daemon) = daemon(home.path()) else { return };
    let stopped = stop_beside_an_innocent(home.path()).unwrap().done();
    assert!(stopped.stdout.contains("innocent lives"), "{stopped:?}");
    assert!(daemon.wait().success(), "{:?}", daemon.log());
    assert!(!home.path().join("daemon.2.json").exists());
}

#[test]
fn a_daemon_is_ended_from_outside_and_from_inside_a_container() {
    let home = home("");
    let Some(mut inside) = daemon(home.path()) else { return };
    let stop = |mut command: Command| run(&mut command).done();
    let mut outside = Command::new(program("msgvault"));
    outside.args(["daemon", "stop", "--home"]).arg(home.path());
    stop(outside);
    assert!(inside.wait().success());

    let mut outside = Serve::start(home.path(), &[]);
    stop(container("\"$0\" daemon stop --home \"$1\"", home.path()).unwrap());
    assert!(outside.wait().success());
}

#[test]
fn what_a_killed_container_left_behind_blocks_nobody() {
    let home = home("");
    let Some(first) = daemon(home.path()) else { return };
    // All of its namespace ends with the shell.
    drop(first);
    while !ownership::is_free(home.path()) {
        std::thread::yield_now();
    }
    assert!(home.path().join("daemon.2.json").exists());
    let status = |command: &mut Command| run(command.args(["daemon", "status", "--home"]).arg(home.path()));
    let nobody = status(&mut Command::new(program("msgvault")));
    assert!(nobody.code == 1 && nobody.stdout.contains("no daemon runs"), "{nobody:?}");
    let beside = "sleep 600 & \"$0\" daemon status --home \"$1\"";
    let nobody = run(&mut container(beside, home.path()).unwrap());
    assert!(nobody.code == 1 && nobody.stdout.contains("no daemon runs"), "{nobody:?}");
    // The next daemon takes the record away.
    let mut next = Serve::start(home.path(), &[]);
    assert!(!home.path().join("daemon.2.json").exists());
    next.signal(rustix::process::Signal::TERM);
    assert!(next.wait().success());
}
