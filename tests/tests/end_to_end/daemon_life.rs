//! How `msgvault serve` begins, says how it is, and ends.

use std::fs;
use std::path::Path;
use std::time::Duration;

use msgvault_tests::programs::{HangUp, msgvault, run, with_hang_up};
use msgvault_tests::serve::{BEGIN, ClockedServe, END, Serve, home, home_with_key};
use rustix::process::Signal;
use serde_json::Value;

use crate::documents::fits_file;

const KEY: &str = "a key";

#[test]
fn an_archive_has_one_daemon_and_other_machines_need_keys() {
    let home = home("");
    let serve = |args: &[&str]| {
        let mut command = msgvault();
        run(command.arg("serve").arg("--home").arg(home.path()).args(args))
    };
    let exposed = serve(&["--bind", "0.0.0.0"]);
    assert_eq!(exposed.code, 1);
    assert!(exposed.stderr.contains("no API key is set"), "{}", exposed.stderr);
    assert!(serve(&["--bind", "example.org"]).stderr.contains("is no IP address"));

    let daemon = Serve::start(home.path(), &["--bind", "::1"]);
    assert!(daemon.address.starts_with("[::1]:"), "{}", daemon.address);
    assert_eq!(daemon.ask("POST", BEGIN, &[], "").status, 200);
    let second = serve(&[]);
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("daemon.lock is held by process"), "{}", second.stderr);

    let port = daemon.address.rsplit_once(':').unwrap().1.to_owned();
    let elsewhere = msgvault_tests::serve::home("");
    let mut command = msgvault();
    command.arg("serve").arg("--home").arg(elsewhere.path()).args(["--bind", "::1", "--port", &port]);
    let taken = run(&mut command);
    assert!(taken.stderr.contains("cannot listen on"), "{}", taken.stderr);
    assert!(!elsewhere.path().join("daemon.json").exists());
}

fn serve(hang_up: HangUp, home: &Path) -> Serve {
    let mut command = with_hang_up(hang_up, "msgvault");
    command.arg("serve").arg("--home").arg(home);
    Serve::spawn(command)
}

#[test]
fn every_signal_that_ends_a_daemon_removes_its_record() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let home = home("");
        let mut daemon = serve(HangUp::Ends, home.path());
        let record = home.path().join(format!("daemon.{}.json", daemon.pid()));
        assert!(record.exists());
        daemon.signal(signal);
        assert!(daemon.wait().success());
        assert!(!record.exists());
        assert!(daemon.log().last().unwrap().contains("msg=stopped"), "{:?}", daemon.log());
    }
}

#[test]
fn a_daemon_started_to_outlive_the_terminal_does() {
    let home = home("");
    let daemon = serve(HangUp::Ignored, home.path());
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.ask("GET", "/api/ping", &[], "").status, 200);
    let log = daemon.stop();
    assert!(log.iter().any(|line| line.contains("signal=SIGTERM")), "{log:?}");
}

#[test]
fn a_daemon_that_ends_lets_an_open_window_finish() {
    let home = home("");
    let mut clocked = ClockedServe::start(home.path(), None);
    let token = clocked.daemon.begin();
    clocked.tell_to_end();
    clocked.daemon.wait_for("msg=stopping");
    clocked.pass(Duration::from_millis(4_990));
    // Nobody gets in any more, and the client that is inside still gets out.
    assert_eq!(clocked.daemon.ask("POST", BEGIN, &[], "").status, 409);
    assert_eq!(clocked.daemon.end(&token).status, 200);
    assert!(clocked.daemon.wait().success());
    assert!(!clocked.daemon.log().iter().any(|line| line.contains("level=ERROR")), "{clocked:?}");
}

#[test]
fn a_daemon_that_ends_waits_five_seconds_for_an_open_window() {
    let home = home("");
    let mut clocked = ClockedServe::start(home.path(), None);
    let token = clocked.daemon.begin();
    clocked.tell_to_end();
    clocked.daemon.wait_for("msg=stopping");
    clocked.pass(Duration::from_millis(5_010));
    clocked.daemon.wait_for("shutting down; ending the open backup freeze");
    clocked.daemon.wait_for(&token);
    assert!(clocked.daemon.wait().success());
    assert_eq!(
        fs::read_dir(home.path()).unwrap().count(),
        4,
        "its locks, the configuration and the database"
    );
}

#[test]
fn status_and_stop_are_commands() {
    let home = home_with_key(KEY);
    let command = |args: &[&str]| {
        let mut command = msgvault();
        run(command.arg("daemon").arg("--home").arg(home.path()).args(args))
    };
    let nothing = command(&["status", "--json"]);
    assert_eq!((nothing.code, &nothing.json()["running"]), (1, &false.into()));
    fits_file(&nothing.json(), "daemon-status");
    let nothing = command(&["stop"]);
    assert!(nothing.code == 1 && nothing.stderr.contains("no daemon runs"), "{nothing:?}");

    let mut daemon = Serve::start(home.path(), &[]);
    let status = command(&["status", "--json"]).done().json();
    fits_file(&status, "daemon-status");
    assert_eq!(status["pid"], daemon.pid());
    assert_eq!(status["address"], daemon.address);
    assert_eq!((&status["running"], &status["busy_with"]), (&true.into(), &Value::Null));
    let begun = daemon.ask("POST", BEGIN, &[("X-Api-Key", KEY)], "");
    let text = command(&["status"]).done().stdout;
    assert!(text.contains("busy      backup freeze since 2"), "{text}");
    let end = [("X-Api-Key", KEY), ("Content-Type", "application/json")];
    assert_eq!(daemon.ask("POST", END, &end, &begun.body).status, 200);

    // A key that was changed meanwhile stops everything but this.
    fs::write(home.path().join("config.toml"), "[server]\napi_key = \"new\"\n").unwrap();
    let other = command(&["status"]);
    assert!(other.code == 1 && other.stderr.contains("restart the daemon"), "{other:?}");
    assert!(command(&["stop"]).done().stdout.contains("stopped the daemon"));
    assert!(daemon.wait().success());
}

#[test]
fn a_home_without_an_archive_is_not_served() {
    let home = home("");
    fs::remove_file(home.path().join("msgvault.db")).unwrap();
    let mut command = msgvault();
    let refused = run(command.arg("serve").arg("--home").arg(home.path()));
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("there is no archive to serve at"), "{refused:?}");
    assert!(refused.stderr.contains("--home or MSGVAULT_HOME"), "{refused:?}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing was made there");
}
