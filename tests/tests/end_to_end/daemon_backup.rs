//! Backups beside a daemon, by hand and by schedule, and what happens when one of the two dies.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use msgvault_tests::go_stand_in::{Fault, StandIn};
use msgvault_tests::programs::{Outcome, msgvault, program, run};
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::Scene;
use msgvault_tests::serve::{ClockedServe, Serve};
use rustix::process::Signal;
use serde_json::Value;

use crate::documents::fits_file;

/// Backups in a row beside the writers.
const BACKUPS: usize = 100;
/// After which a test fails.
const PATIENCE: Duration = Duration::from_mins(1);

fn small() -> Scene {
    Scene::new(&Options { ledger: true, size: 1 << 20, attachments: Some(20), ..Options::default() })
}

/// Programs that insert through SQLite connections of their own and know no gate.
struct Writers(Vec<Child>);

impl Writers {
    fn start(home: &Path, number: u64) -> Self {
        let start = |seed: u64| {
            let mut command = Command::new(program("restless-writer"));
            command.arg(home).arg(seed.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "ready\n");
            child
        };
        Self((1..=number).map(start).collect())
    }

    fn end(self) {
        for mut child in self.0 {
            drop(child.stdin.take());
            let _ = child.stdout.take().unwrap().read_to_end(&mut Vec::new());
            assert!(child.wait().unwrap().success());
        }
    }
}

/// Whether the log shrinks while writers go on: they begin it anew once all of it is copied and nobody reads
/// it. Their own transactions keep a checkpoint from that for a moment, and one that stays open keeps all of
/// them.
fn log_shrinks(connection: &rusqlite::Connection) -> bool {
    let checkpoint = || -> (i64, i64) {
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(1)?, row.get(2)?));
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], row).unwrap()
    };
    let (began, longest) = (Instant::now(), checkpoint().0);
    while began.elapsed() < PATIENCE {
        let (frames, copied) = checkpoint();
        // Without frames, somebody else's checkpoint runs.
        if frames >= 0 && (frames == copied || frames < longest) {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

fn sum_and_soundness(database: &Path) -> (i64, String) {
    let connection = rusqlite::Connection::open(database).unwrap();
    let sum = connection.query_row("SELECT sum(balance) FROM ledger", [], |row| row.get(0)).unwrap();
    let sound = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    (sum, sound)
}

fn windows(daemon: &Serve) -> usize {
    let begun = |line: &&String| line.contains("freeze/begin") && line.contains("status=200");
    daemon.log().iter().filter(begun).count()
}

#[test]
fn backups_beside_a_daemon_and_four_writers_are_consistent() {
    let scene = small();
    let (sum, _) = sum_and_soundness(&scene.database());
    let daemon = Serve::start(&scene.home(), &[]);
    let writers = Writers::start(&scene.home(), 4);
    let connection = rusqlite::Connection::open(scene.database()).unwrap();
    let mut snapshots = Vec::new();
    for _ in 0..BACKUPS {
        snapshots.push(scene.create(&[]));
        assert!(log_shrinks(&connection), "nothing holds the log after a backup");
    }
    writers.end();
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    let log = fs::metadata(scene.home().join("msgvault.db-wal")).unwrap().len();
    assert_eq!((busy, log), (0, 0), "and none is left when the writers end");
    drop(connection);
    for (number, snapshot) in snapshots.iter().enumerate() {
        let restored = scene.restore(snapshot, &format!("restored-{number}"));
        assert_eq!(sum_and_soundness(&restored.join("msgvault.db")), (sum, "ok".to_owned()), "{snapshot}");
    }
    assert_eq!(windows(&daemon), BACKUPS, "every backup asked the daemon");
    daemon.stop();
    // Without a daemon, the backup takes the locks itself.
    scene.create(&[]);
}

/// The number of a durable step in a run of `backup create`, which makes a snapshot.
fn number_of_step(scene: &Scene, step: &str) -> usize {
    let mut command = driver(scene, "count", 0);
    let counted = run(&mut command).done();
    let steps: Vec<&str> = counted.stderr.lines().filter_map(|line| line.strip_prefix("step ")).collect();
    steps.iter().position(|name| *name == step).map_or_else(|| panic!("{steps:?}"), |at| at + 1)
}

fn driver(scene: &Scene, grief: &str, at: usize) -> Command {
    let mut command = Command::new(program("fault-driver"));
    command.args([grief, &at.to_string(), "backup", "create", "--freeze-wait", "0"]);
    command.arg("--home").arg(scene.home()).arg("--repo").arg(scene.repo());
    command
}

#[test]
fn a_client_killed_inside_the_window_harms_nobody() {
    let scene = small();
    let (sum, _) = sum_and_soundness(&scene.database());
    let step = number_of_step(&scene, "session.marked");
    let mut clocked = ClockedServe::start(&scene.home(), None);
    let writers = Writers::start(&scene.home(), 4);
    assert_eq!(run(&mut driver(&scene, "kill", step)).code, -1);
    let operation = |daemon: &Serve| daemon.ask("GET", "/api/v1/health", &[], "").json()["operation"].clone();
    // Its connection is lost, and so the window ends at once.
    clocked.daemon.wait_for("the client of the backup freeze is gone");
    assert_eq!(operation(&clocked.daemon), Value::Null);

    // A client that promises nothing of its connection has a minute.
    clocked.daemon.begin();
    clocked.pass(Duration::from_millis(59_990));
    assert_eq!(operation(&clocked.daemon)["label"], "backup freeze");
    // The killed one left its lock of the repository, too, which would be found stale in time.
    let refused = scene.backup(&["create", "--force-unlock", "--freeze-wait", "0"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("a backup freeze is already active"), "{refused:?}");

    clocked.pass(Duration::from_millis(20));
    clocked.daemon.wait_for("watchdog fired");
    assert_eq!(operation(&clocked.daemon), Value::Null);
    let snapshot = scene.create(&[]);
    assert_eq!(windows(&clocked.daemon), 3, "the daemon was asked again");
    // Programs that know no gate were never kept from writing, and wrote nothing wrong.
    writers.end();
    assert_eq!(sum_and_soundness(&scene.database()), (sum, "ok".to_owned()));
    let restored = scene.restore(&snapshot, "restored");
    assert_eq!(sum_and_soundness(&restored.join("msgvault.db")), (sum, "ok".to_owned()));
}

#[test]
fn a_client_interrupted_inside_the_window_still_ends_it() {
    let scene = small();
    let step = number_of_step(&scene, "session.marked");
    for grief in ["terminate", "interrupt", "broken"] {
        let daemon = Serve::start(&scene.home(), &[]);
        let stopped = run(&mut driver(&scene, grief, step));
        assert_ne!(stopped.code, 0, "{grief}: {stopped:?}");
        let health = daemon.ask("GET", "/api/v1/health", &[], "").json();
        assert_eq!(health["operation"], Value::Null, "{grief}");
        daemon.stop();
    }
}

#[test]
fn a_backup_whose_window_was_not_kept_keeps_nothing() {
    let scene = small();
    for (fault, part) in [
        (Fault::Late, "ended the freeze before the backup did"),
        (Fault::LostAtEnd, "was lost while the archive was frozen"),
        (Fault::Silent, "does not answer"),
        (Fault::WrongProof, "cannot prove"),
    ] {
        let _daemon = StandIn::start(&scene.home(), "", fault, |_| {});
        let failed = scene.backup(&["create"]);
        assert_eq!(failed.code, 1);
        assert!(failed.stderr.contains(part), "{fault:?}: {failed:?}");
        let listed = scene.backup(&["list", "--json"]).done().json();
        assert_eq!(listed["snapshots"].as_array().map(Vec::len), Some(0), "{listed}");
    }
    let daemon = StandIn::start(&scene.home(), "", Fault::Busy(1), |_| {});
    let waited = scene.backup(&["create"]).done();
    assert!(waited.stderr.contains("waiting for the daemon: a scheduled sync"), "{waited:?}");
    assert!(!daemon.is_frozen());
}

#[test]
fn the_home_of_a_live_daemon_is_never_a_target() {
    let scene = small();
    scene.create(&[]);
    let daemon = Serve::start(&scene.home(), &[]);
    std::os::unix::fs::symlink(scene.home().parent().unwrap(), scene.beside("detour")).unwrap();
    let before = fs::read(scene.database()).unwrap();
    let spelled = [
        scene.home(),
        scene.home().join("../home"),
        scene.beside("detour/home"),
        scene.beside("detour/detour/home/."),
    ];
    for target in spelled {
        // Once with the home known, and once with nothing but its locks to tell.
        for home in [scene.home(), scene.beside("nowhere")] {
            let mut command = msgvault();
            command.args(["backup", "restore", "--overwrite", "--target"]).arg(&target);
            let refused: Outcome = run(command.arg("--home").arg(home).arg("--repo").arg(scene.repo()));
            assert_eq!(refused.code, 1, "{}: {refused:?}", target.display());
        }
    }
    assert!(fs::read(scene.database()).unwrap() == before);
    daemon.stop();
}

/// The beginning of a configuration.
fn configured(scene: &Scene) -> String {
    format!("[backup]\nrepo = '{}'\n", scene.repo().display())
}

/// Says that a run at three in the night was missed by a daemon long ago, so that the next one makes up for
/// it.
fn miss_a_run(scene: &Scene, job: &str) {
    let missed = serde_json::json!({
        job: { "schedule": "0 3 * * *", "handled_until": "2020-01-01T00:00:00Z", "last": null }
    });
    fs::write(scene.home().join("daemon-schedule.json"), missed.to_string()).unwrap();
}

/// Starts a daemon whose hooks tell this test, and gives what they say and the daemon's status after it.
fn scheduled(scene: &Scene, key: &str) -> (Value, Value) {
    let pipe = scene.beside("pipe");
    if !pipe.exists() {
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    }
    let hook = |word: &str| format!("(echo {word}; cat) > '{}'", pipe.display());
    let config = format!(
        "{}{key} = \"0 3 * * *\"\non_success = {:?}\non_failure = {:?}\n",
        configured(scene),
        hook("success"),
        hook("failure")
    );
    fs::write(scene.home().join("config.toml"), config).unwrap();
    let mut daemon = Serve::start(&scene.home(), &[]);
    let told = fs::read_to_string(&pipe).unwrap();
    let (word, document) = told.split_once('\n').unwrap();
    let mut document: Value = serde_json::from_str(document).unwrap();
    document["hook_for"] = word.into();
    // The hook's own end is noted a moment after it was heard.
    let status = loop {
        let status = daemon.ask("GET", "/api/v1/backup/status", &[], "").json()["jobs"][0].clone();
        if !status["last"]["hook"].is_null() && status["running_since"].is_null() {
            break status;
        }
    };
    let command = |words: &[&str]| {
        let mut command = msgvault();
        run(command.arg("daemon").args(words).args(["--json", "--home"]).arg(scene.home()))
    };
    let went_well = status["last"]["verdict"] == "ok";
    let told = command(&["status"]);
    assert_eq!(told.code, if went_well { 0 } else { 3 }, "{told:?}");
    fits_file(&told.json(), "daemon-status");
    let old = command(&["status", "--max-age", "0s"]);
    assert_eq!(old.code, 3, "{old:?}");
    let young = command(&["status", "--max-age", "26h"]);
    assert_eq!(young.code == 0, went_well && !key.ends_with("verify_schedule"), "{young:?}");
    fits_file(&command(&["stop"]).done().json(), "daemon-stop");
    assert!(daemon.wait().success(), "{:?}", daemon.log());
    let log = daemon.log().join("\n");
    let reached = match status["last"]["verdict"].as_str() {
        Some("failed") => "the repository cannot be reached",
        _ => "the repository can be reached",
    };
    assert!(log.contains("msg=scheduled job=") && log.contains(reached), "{log}");
    (document, status)
}

#[test]
fn a_missed_backup_is_made_when_the_daemon_starts() {
    let scene = small();
    miss_a_run(&scene, "create");
    let (told, status) = scheduled(&scene, "schedule");
    assert_eq!(
        (&told["hook_for"], &told["job"], &told["verdict"]),
        (&"success".into(), &"create".into(), &"ok".into())
    );
    let listed = scene.backup(&["list", "--json"]).done().json();
    assert_eq!(listed["snapshots"][0]["snapshot_id"], told["report"]["snapshot_id"], "{listed}");
    assert_eq!(listed["snapshots"].as_array().map(Vec::len), Some(1));
    assert_eq!(status["last"]["hook"]["ok"], true);
    assert_eq!(status["schedule"], "0 3 * * *");
    assert!(status["next_at"].is_string());

    miss_a_run(&scene, "verify");
    let (told, _) = scheduled(&scene, "verify_schedule");
    assert_eq!((&told["job"], &told["report"]["verdict"]), (&"verify".into(), &"intact".into()));
}

#[test]
fn a_scheduled_verification_with_a_budget_reads_a_part_and_goes_on() {
    let scene = small();
    scene.create(&[]);
    scene.churn(&Churn::default());
    scene.create(&[]);
    let mut read = Vec::new();
    for _ in 0..2 {
        miss_a_run(&scene, "verify");
        let (told, _) = scheduled(&scene, "verify_budget = \"1KiB\"\nverify_schedule");
        assert_eq!((&told["job"], &told["verdict"]), (&"verify".into(), &"ok".into()), "{told:#}");
        read.push(told["report"]["rolling"].clone());
    }
    assert_eq!((&read[0]["packs"], &read[0]["packs_read"]), (&2.into(), &1.into()), "{read:#?}");
    assert_eq!((&read[0]["never_read"], &read[1]["never_read"]), (&1.into(), &0.into()), "{read:#?}");
    let config = "[backup]\nverify_budget = \"much\"\nverify_schedule = \"@daily\"\n";
    fs::write(scene.home().join("config.toml"), config).unwrap();
    let refused = run(msgvault().args(["serve", "--home"]).arg(scene.home()).arg("--repo").arg(scene.repo()));
    assert!(
        refused.code == 1 && refused.stderr.contains("[backup] verify_budget: give bytes or"),
        "{refused:?}"
    );
}

#[test]
fn a_scheduled_check_is_a_backup_and_tells_of_damage() {
    let scene = small();
    miss_a_run(&scene, "check");
    let (told, status) = scheduled(&scene, "check_schedule");
    assert_eq!((&told["job"], &told["verdict"]), (&"check".into(), &"ok".into()));
    assert_eq!(told["report"]["check"]["sound"], true);
    assert_eq!(status["job"], "check");

    scene.damage_database();
    miss_a_run(&scene, "check");
    let (told, _) = scheduled(&scene, "check_schedule");
    assert_eq!((&told["hook_for"], &told["verdict"]), (&"failure".into(), &"problems".into()));
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with("SQLite finds the archive's database DAMAGED; snapshot 2"), "{message}");
    assert!(message.lines().count() > 1, "{message}");
    assert_eq!(
        scene.backup(&["list", "--json"]).done().json()["snapshots"].as_array().map(Vec::len),
        Some(2)
    );
}

#[test]
fn a_scheduled_verification_names_what_is_damaged() {
    let scene = small();
    scene.create(&[]);
    let folder = fs::read_dir(scene.repo().join("packs")).unwrap().next().unwrap().unwrap().path();
    let pack = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    fs::remove_file(pack.path()).unwrap();
    miss_a_run(&scene, "verify");
    let (told, _) = scheduled(&scene, "verify_schedule");
    assert_eq!((&told["hook_for"], &told["verdict"]), (&"failure".into(), &"problems".into()));
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with("DAMAGED: 1 problem") && message.contains("pack-missing: "), "{message}");
    assert!(message.contains(pack.file_name().to_str().unwrap()), "{message}");
}

#[test]
fn a_scheduled_backup_that_fails_runs_the_failure_hook() {
    let scene = small();
    fs::remove_file(scene.repo().join("config.toml")).unwrap();
    miss_a_run(&scene, "create");
    let (told, status) = scheduled(&scene, "schedule");
    assert_eq!((&told["hook_for"], &told["verdict"]), (&"failure".into(), &"failed".into()));
    assert_eq!(told["exit_code"], 10);
    assert!(!told["message"].as_str().unwrap().is_empty());
    assert_eq!(status["last"]["verdict"], "failed");
}

#[test]
fn a_stopped_daemon_ends_its_backup_and_makes_it_later() {
    let scene = small();
    miss_a_run(&scene, "create");
    let config = format!("{}schedule = \"0 3 * * *\"\n", configured(&scene));
    fs::write(scene.home().join("config.toml"), config).unwrap();
    let mut daemon = Serve::start(&scene.home(), &[]);
    daemon.wait_for("scheduled work begins");
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().success());
    // It was stopped or it was fast; in both cases the next daemon leaves exactly one snapshot of that night.
    let mut daemon = Serve::start(&scene.home(), &[]);
    loop {
        let status = daemon.ask("GET", "/api/v1/backup/status", &[], "").json()["jobs"][0].clone();
        if status["last"]["verdict"] == "ok" && status["running_since"].is_null() {
            break;
        }
    }
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().success());
    let listed = scene.backup(&["list", "--json"]).done().json();
    assert_eq!(listed["snapshots"].as_array().map(Vec::len), Some(1), "{listed}");
    let verified = scene.backup(&["verify", "--all", "--json"]).done().json();
    assert_eq!(verified["verdict"], "intact");
}

#[test]
fn a_malformed_schedule_is_refused_at_the_start() {
    let scene = small();
    for (config, part) in [
        (format!("{}schedule = \"at three\"\n", configured(&scene)), "is not a schedule"),
        ("[backup]\nverify_schedule = \"@daily\"\n".to_owned(), "no repository is named"),
        ("[backup]\nschedul = \"@daily\"\n".to_owned(), "did you mean \"schedule\"?"),
    ] {
        fs::write(scene.home().join("config.toml"), config).unwrap();
        let mut command = msgvault();
        let refused = run(command.arg("serve").arg("--home").arg(scene.home()));
        assert_ne!(refused.code, 0);
        assert!(refused.stderr.contains(part), "{refused:?}");
    }
}
