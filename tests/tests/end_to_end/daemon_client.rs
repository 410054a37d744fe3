//! A backup asks a daemon to freeze: this program's daemon, the stand-in for the Go program's, and what is
//! none.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use msgvault_freeze::client::{Daemon, DaemonError};
use msgvault_freeze::ownership::Ownership;
use msgvault_freeze::{self as freeze, FreezeError, Freezer};
use msgvault_platform::context::Context;
use msgvault_tests::go_stand_in::{Fault, SHUTDOWN_TOKEN, StandIn};
use msgvault_tests::programs::{msgvault, run};
use msgvault_tests::serve::Serve;
use msgvault_verifier::Observer;
use serde_json::Value;
use tempfile::TempDir;

/// Keeps the warnings; cancels when it is told to.
#[derive(Default)]
struct Watcher {
    warnings: Mutex<Vec<String>>,
    cancels: bool,
}

impl Observer for Watcher {
    fn warn(&self, message: &str) {
        self.warnings.lock().unwrap().push(message.to_owned());
    }

    fn cancelled(&self) -> bool {
        self.cancels
    }
}

/// What a client saw while it tried to freeze.
struct Tried {
    result: Result<(), FreezeError>,
    warnings: Vec<String>,
    pauses: usize,
}

/// Freezes and thaws a home as a backup does, with a clock that passes only in pauses.
fn freeze_with(home: &Path, key: &str, patience: u64, watcher: &Watcher, window: impl FnOnce()) -> Tried {
    let (seconds, counter, pauses) = (AtomicU64::new(0), AtomicU64::new(0), RefCell::new(0));
    let now = || Timestamp::from_second(seconds.load(Ordering::SeqCst).try_into().unwrap()).unwrap();
    let random = || u128::from(counter.fetch_add(1, Ordering::SeqCst));
    let pause = |duration: Duration| {
        seconds.fetch_add(duration.as_secs(), Ordering::SeqCst);
        *pauses.borrow_mut() += 1;
    };
    let context = Context { observer: watcher, now: &now, random: &random };
    let patience = Duration::from_secs(patience);
    let asked = freeze::Request { data_dir: home, api_key: key, patience, pause: &pause };
    let run = || -> Result<(), FreezeError> {
        let mut freezer = freeze::acquire(&context, &asked)?;
        freeze::during(freezer.as_mut(), || {
            window();
            Ok(())
        })
    };
    let result = run();
    let (warnings, pauses) = (watcher.warnings.lock().unwrap().clone(), *pauses.borrow());
    Tried { result, warnings, pauses }
}

fn freeze(home: &Path, key: &str) -> Result<(), FreezeError> {
    freeze_with(home, key, 300, &Watcher::default(), || {}).result
}

fn home() -> TempDir {
    msgvault_tests::serve::home("")
}

fn sentence(result: Result<(), FreezeError>) -> String {
    result.expect_err("it froze").to_string()
}

/// What every daemon must do for a client.
fn conforms(home: &Path, key: &str, is_frozen: &dyn Fn() -> bool) {
    assert!(!is_frozen());
    let tried = freeze_with(home, key, 300, &Watcher::default(), || {
        assert!(is_frozen());
        let second = freeze(home, key);
        assert!(matches!(second, Err(FreezeError::Daemon(DaemonError::Active { .. }))), "{second:?}");
        assert!(is_frozen(), "the second client ended the first one's freeze");
    });
    tried.result.unwrap();
    assert_eq!((tried.warnings, tried.pauses), (Vec::new(), 0));
    assert!(!is_frozen());
    freeze(home, key).unwrap();

    let broken = std::panic::catch_unwind(|| {
        freeze_with(home, key, 300, &Watcher::default(), || panic!("on purpose")).pauses
    });
    assert!(broken.is_err());
    assert!(!is_frozen(), "a panic inside of the window ends it");

    let cancelled = freeze_with(home, key, 300, &Watcher { cancels: true, ..Watcher::default() }, || {});
    assert!(matches!(cancelled.result, Err(FreezeError::Daemon(DaemonError::Cancelled))));
    if key.is_empty() {
        // A key that the daemon does not need is not sent to it.
        freeze(home, "a key").unwrap();
    } else {
        assert!(sentence(freeze(home, "")).contains("needs an API key"));
        assert!(sentence(freeze(home, "another")).contains("was started with another API key"));
    }
}

#[test]
fn this_daemon_and_the_stand_in_serve_clients_alike() {
    for key in ["", "k3y-0123456789abcdefghijklmnopqrs"] {
        let home = home();
        std::fs::write(home.path().join("config.toml"), format!("[server]\napi_key = {key:?}\n")).unwrap();
        let daemon = Serve::start(home.path(), &[]);
        let headers: &[(&str, &str)] = if key.is_empty() { &[] } else { &[("X-Api-Key", key)] };
        let is_frozen = || !daemon.ask("GET", "/api/v1/health", headers, "").json()["operation"].is_null();
        conforms(home.path(), key, &is_frozen);
        daemon.stop();

        let daemon = StandIn::start(home.path(), key, Fault::None, |_| {});
        conforms(home.path(), key, &|| daemon.is_frozen());
        let told: Vec<String> =
            daemon.requests().into_iter().filter(|request| request.contains("a key")).collect();
        assert_eq!(told, Vec::<String>::new());
    }
}

#[test]
fn what_is_not_a_daemon_is_never_passed_over() {
    let table = [
        (Fault::Garbage, "does not answer"),
        (Fault::Silent, "no answer within 0.5 s"),
        (Fault::Endless, "does not answer"),
        (Fault::HangsUp, "does not answer"),
        (Fault::Page, "is not a msgvault daemon"),
        (Fault::Redirect, "is not a msgvault daemon"),
        (Fault::OtherService, "another service answers there"),
        (Fault::OtherProcess, "the daemon of process"),
        (Fault::WrongProof, "cannot prove that the record is its own"),
        (Fault::NoProof, "cannot prove that the record is its own"),
    ];
    for (fault, part) in table {
        let home = home();
        let daemon = StandIn::start(home.path(), "secret", fault, |_| {});
        let said = sentence(freeze(home.path(), "secret"));
        assert!(said.contains(part) && said.contains("restart the daemon"), "{fault:?}: {said}");
        let requests = daemon.requests();
        assert!(!requests.iter().any(|request| request.contains("secret")), "{fault:?}: {requests:?}");
        assert!(!requests.iter().any(|request| request.contains("elsewhere")), "{requests:?}");
    }
}

#[test]
fn a_key_is_never_sent_to_an_impostor() {
    let home = home();
    let daemon = StandIn::start(home.path(), "secret", Fault::Replaced, |_| {});
    let said = sentence(freeze(home.path(), "secret"));
    assert!(said.contains("cannot prove that the record is its own"), "{said}");
    let requests = daemon.requests();
    assert!(!requests.iter().any(|request| request.contains("secret")), "{requests:?}");
}

#[test]
fn what_a_daemon_refuses_it_explains_in_a_sentence() {
    let table = [
        (Fault::Active, "another backup has frozen the archive"),
        (Fault::Stopping, "is shutting down"),
        (Fault::NoFreeze, "offers no backup freeze"),
        (Fault::NoToken, "without giving a token"),
        (Fault::Late, "ended the freeze before the backup did"),
        (Fault::LostAtEnd, "was lost while the archive was frozen"),
    ];
    for (fault, part) in table {
        let home = home();
        let _daemon = StandIn::start(home.path(), "", fault, |_| {});
        let tried = freeze_with(home.path(), "", 300, &Watcher::default(), || {});
        let said = sentence(tried.result);
        assert!(said.contains(part), "{fault:?}: {said}");
        assert_eq!(tried.pauses, 0, "{fault:?} is not tried again");
    }
}

#[test]
fn a_busy_gate_is_waited_for_a_bounded_time() {
    let home = home();
    let daemon = StandIn::start(home.path(), "", Fault::Busy(3), |_| {});
    let tried = freeze_with(home.path(), "", 300, &Watcher::default(), || assert!(daemon.is_frozen()));
    tried.result.unwrap();
    assert_eq!(tried.pauses, 3);
    // Said once, not with every number of seconds.
    assert_eq!(tried.warnings, ["waiting for the daemon: a scheduled sync has been running for 10s"]);
    drop(daemon);

    let daemon = StandIn::start(home.path(), "", Fault::Busy(u32::MAX), |_| {});
    let tried = freeze_with(home.path(), "", 5, &Watcher::default(), || {});
    let said = sentence(tried.result);
    assert!(said.contains("gave up waiting") && said.contains("a scheduled sync has been running"), "{said}");
    assert_eq!(tried.pauses, 5);
    let tried = freeze_with(home.path(), "", 0, &Watcher::default(), || {});
    assert!(tried.result.is_err() && tried.pauses == 0);
    drop(daemon);
}

#[test]
fn records_decide_who_is_asked() {
    type Change = fn(&mut Value);
    let accepted: [Change; 3] = [
        |record| record["metadata"]["api_schema_version"] = "2.99.1".into(),
        |record| record["metadata"]["create_time"] = "x".into(),
        |record| record["started_at"] = "some day".into(),
    ];
    for change in accepted {
        let home = home();
        let _daemon = StandIn::start(home.path(), "", Fault::None, change);
        freeze(home.path(), "").unwrap();
    }
    let refused: [(Change, &str); 9] = [
        (|record| record["metadata"]["api_version"] = "2".into(), "use programs of one age"),
        (|record| record["metadata"]["api_schema_version"] = "3.0.0".into(), "use programs of one age"),
        (|record| record["metadata"]["api_schema_version"] = "1.9.0".into(), "use programs of one age"),
        (|record| drop(record["metadata"].as_object_mut().unwrap().remove("api_version")), "no api_version"),
        (
            |record| drop(record["metadata"].as_object_mut().unwrap().remove("api_schema_version")),
            "no api_schema_version",
        ),
        (
            |record| drop(record["metadata"].as_object_mut().unwrap().remove("shutdown_token")),
            "cannot prove that the record is its own",
        ),
        (|record| record["metadata"]["startup_phase"] = "opening archive".into(), "still starting"),
        (|record| record["address"] = "user@host".into(), "not an address"),
        (|record| record["pid"] = 1.into(), "not a usable record"),
    ];
    for (change, part) in refused {
        let home = home();
        let _daemon = StandIn::start(home.path(), "", Fault::None, change);
        let said = sentence(freeze(home.path(), ""));
        assert!(said.contains(part), "{part}: {said}");
    }
    // The number of this process was another's when that record was written; the daemon's locks still count.
    let home = home();
    let daemon = StandIn::start(home.path(), "", Fault::None, |record| {
        record["metadata"]["create_time"] = "1".into();
    });
    assert!(sentence(freeze(home.path(), "")).contains("is held by"));
    assert_eq!(daemon.requests(), Vec::<String>::new());
}

/// Leaves the record of a daemon that was killed, with another process number in it.
fn stale_record(home: &Path, pid: u32, started_at: &str) {
    let mut daemon = Serve::start(home, &[]);
    let path = home.join(format!("daemon.{}.json", daemon.pid()));
    daemon.signal(rustix::process::Signal::KILL);
    daemon.wait();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    record["pid"] = pid.into();
    // As daemons write it that tell only their number.
    for key in ["boot_id", "pid_ns", "start_ticks", "create_time"] {
        record["metadata"].as_object_mut().unwrap().remove(key);
    }
    if !started_at.is_empty() {
        record["started_at"] = started_at.into();
    }
    std::fs::write(home.join(format!("daemon.{pid}.json")), record.to_string()).unwrap();
}

#[test]
fn what_a_killed_daemon_left_behind_still_counts() {
    // Its process is dead: nobody is asked.
    let home = home();
    let mut daemon = Serve::start(home.path(), &[]);
    daemon.signal(rustix::process::Signal::KILL);
    daemon.wait();
    freeze(home.path(), "").unwrap();
    // Another process that has its number now began after the record was written.
    stale_record(home.path(), std::process::id(), "2020-01-01T00:00:00Z");
    freeze(home.path(), "").unwrap();
    // The first process of a container that was killed: its number lives on every host.
    stale_record(home.path(), 1, "");
    freeze(home.path(), "").unwrap();
    // Nobody answers, and somebody holds the daemon's lock: nobody knows.
    stale_record(home.path(), std::process::id(), "");
    let owner = Ownership::take(home.path()).unwrap();
    let said = sentence(freeze(home.path(), ""));
    assert!(said.contains("does not answer") && said.contains("remove daemon."), "{said}");
    drop(owner);
    freeze(home.path(), "").unwrap();
    // With a daemon that does answer, the other record does not matter.
    let daemon = Serve::start(home.path(), &[]);
    freeze(home.path(), "").unwrap();
    daemon.stop();
}

#[test]
fn a_daemon_killed_inside_the_window_fails_the_backup() {
    let home = home();
    let daemon = Serve::start(home.path(), &[]);
    let tried = freeze_with(home.path(), "", 300, &Watcher::default(), || {
        daemon.signal(rustix::process::Signal::KILL);
    });
    let said = sentence(tried.result);
    assert!(said.contains("was lost while the archive was frozen"), "{said}");
}

#[test]
fn a_daemon_that_ends_before_the_window_is_noticed() {
    let home = home();
    let watcher = Watcher::default();
    let daemon = Serve::start(home.path(), &[]);
    let (now, random) = (|| Timestamp::UNIX_EPOCH, || 7);
    let context = Context { observer: &watcher, now: &now, random: &random };
    let pause = |_| {};
    let asked =
        freeze::Request { data_dir: home.path(), api_key: "", patience: Duration::ZERO, pause: &pause };
    let mut freezer: Box<dyn Freezer> = freeze::acquire(&context, &asked).unwrap();
    daemon.stop();
    let said = freezer.begin().unwrap_err().to_string();
    assert!(said.contains("does not answer"), "{said}");
}

#[test]
fn both_daemons_end_on_request_and_not_by_a_signal() {
    for key in ["", "a key"] {
        let home = home();
        std::fs::write(home.path().join("config.toml"), format!("[server]\napi_key = {key:?}\n")).unwrap();
        let stop = || {
            let mut command = msgvault();
            run(command.args(["daemon", "stop", "--home"]).arg(home.path()))
        };
        let mut daemon = Serve::start(home.path(), &[]);
        assert!(stop().done().stdout.contains("stopped the daemon"));
        assert!(daemon.wait().success());
        let log = daemon.log();
        assert!(log.iter().any(|line| line.contains("msg=stopping request=/api/daemon/shutdown")), "{log:?}");

        // A signal would end this very test, whose process the record names.
        let daemon = StandIn::start(home.path(), key, Fault::None, |_| {});
        assert!(stop().done().stdout.contains("stopped the daemon"));
        assert_eq!(daemon.requests().iter().filter(|request| request.contains(SHUTDOWN_TOKEN)).count(), 1);
        drop(daemon);
        let refusing = StandIn::start(home.path(), key, Fault::NoShutdown, |_| {});
        let refused = stop();
        assert!(refused.code == 1 && refused.stderr.contains("end it where it runs"), "{refused:?}");
        drop(refusing);
    }
}

#[test]
fn a_shutdown_token_is_sent_only_to_who_has_it() {
    let home = home();
    let daemon = StandIn::start(home.path(), "", Fault::Replaced, |_| {});
    let random = || 7;
    let found = Daemon::find_any(home.path(), &random).unwrap().unwrap();
    let said = found.shut_down().unwrap_err().to_string();
    assert!(said.contains("cannot prove that the record is its own"), "{said}");
    assert!(!daemon.requests().iter().any(|request| request.contains(SHUTDOWN_TOKEN)));
}

#[test]
fn stop_returns_when_the_daemon_is_gone() {
    let home = home();
    let random = || 7;
    let daemon = StandIn::start(home.path(), "", Fault::KeepsOn, |_| {});
    let found = Daemon::find_any(home.path(), &random).unwrap().unwrap();
    found.shut_down().unwrap();
    assert!(!found.has_ended(home.path()));
    drop(daemon);
    assert!(found.has_ended(home.path()));

    let mut daemon = Serve::start(home.path(), &[]);
    let found = Daemon::find_any(home.path(), &random).unwrap().unwrap();
    assert!(!found.has_ended(home.path()));
    // Its record stays.
    daemon.signal(rustix::process::Signal::KILL);
    daemon.wait();
    assert!(found.has_ended(home.path()));
}
