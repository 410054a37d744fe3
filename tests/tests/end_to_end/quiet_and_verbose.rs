//! What is said with `-q` and `-v`, and to who asks a run how far it is.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use msgvault_tests::programs::{Outcome, msgvault, program, run};
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::Scene;
use msgvault_tests::serve::{Serve, home};
use rustix::process::{Pid, Signal, kill_process};

fn scene() -> Scene {
    Scene::new(&Options { size: 300 << 10, ..Options::default() })
}

fn daemon(home: &std::path::Path, args: &[&str]) -> Outcome {
    run(msgvault().args(args).arg("--home").arg(home))
}

fn inspect(scene: &Scene, args: &[&str]) -> Outcome {
    run(Command::new(program("msgvault-verify")).arg("inspect").arg(scene.repo()).args(args))
}

fn verifier(scene: &Scene, args: &[&str]) -> Outcome {
    run(Command::new(program("msgvault-verify")).arg(scene.repo()).args(args))
}

/// The packs of a repository.
fn packs(scene: &Scene) -> Vec<PathBuf> {
    let folders = fs::read_dir(scene.repo().join("packs")).unwrap();
    let packs = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    packs.map(|pack| pack.unwrap().path()).collect()
}

#[test]
fn quiet_commands_are_silent_when_all_is_well() {
    let scene = scene();
    let (other, target) = (scene.beside("other"), scene.beside("restored"));
    let served = home("");
    let serving = Serve::start(served.path(), &[]);
    let runs: Vec<(&str, Outcome)> = vec![
        ("init", run(msgvault().args(["-q", "backup", "init", "--repo"]).arg(other))),
        ("create", scene.backup(&["create", "-q"])),
        ("dry run", scene.backup(&["create", "-q", "--dry-run"])),
        ("list", scene.backup(&["list", "-q"])),
        ("verify", scene.backup(&["verify", "-q"])),
        ("verify --all --quick", scene.backup(&["verify", "-q", "--all", "--quick"])),
        ("restore check", scene.backup(&["verify", "-q", "--restore-check"])),
        ("repair", scene.backup(&["repair", "-q", "--rebuild-index"])),
        ("restore", scene.backup(&["restore", "-q", "--target", target.to_str().unwrap()])),
        ("again", scene.backup(&["restore", "-q", "--overwrite", "--target", target.to_str().unwrap()])),
        ("daemon status", daemon(served.path(), &["-q", "daemon", "status"])),
        ("msgvault-verify", verifier(&scene, &["-q"])),
        ("inspect", inspect(&scene, &["-q", "latest"])),
        ("daemon stop", daemon(served.path(), &["-q", "daemon", "stop"])),
    ];
    for (name, outcome) in runs {
        assert_eq!(outcome.code, 0, "{name}: {outcome:?}");
        assert!(outcome.stdout.is_empty() && outcome.stderr.is_empty(), "{name}: {outcome:?}");
    }
    drop(serving);
    // A document that is asked for is printed.
    assert!(scene.backup(&["list", "-q", "--json"]).done().json()["snapshots"].is_array());
}

#[test]
fn quiet_commands_say_on_standard_error_what_is_wrong() {
    let scene = scene();
    scene.create(&[]);
    let pack = packs(&scene).remove(0);
    let name = pack.file_name().unwrap().to_str().unwrap().to_owned();
    fs::remove_file(&pack).unwrap();
    for json in [&[][..], &["--json"]] {
        for outcome in [
            scene.backup(&[&["verify", "-q"], json].concat()),
            scene.backup(&[&["verify", "--all", "--quick", "-q"], json].concat()),
            verifier(&scene, &[&["-q"], json].concat()),
        ] {
            assert_eq!(outcome.code, 3, "{outcome:?}");
            assert_eq!(outcome.stdout.is_empty(), json.is_empty(), "{outcome:?}");
            assert!(outcome.stderr.starts_with("msgvault"), "{outcome:?}");
            for part in [": DAMAGED: 1 problem", "pack-missing: ", &name, "snapshot 2"] {
                assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
            }
        }
    }

    let manifest = fs::read_dir(scene.repo().join("snapshots")).unwrap().next().unwrap().unwrap().path();
    fs::write(&manifest, "{}").unwrap();
    let id = manifest.file_stem().unwrap().to_str().unwrap();
    for outcome in [scene.backup(&["list", "-q"]), inspect(&scene, &["-q"])] {
        assert_eq!((outcome.code, &*outcome.stdout), (3, ""), "{outcome:?}");
        assert!(outcome.stderr.contains("1 manifest cannot be read\n"), "{outcome:?}");
        assert!(outcome.stderr.contains(id), "{outcome:?}");
    }
    let empty = home("");
    let nobody = daemon(empty.path(), &["-q", "daemon", "status"]);
    assert_eq!((nobody.code, &*nobody.stderr), (1, "msgvault: no daemon runs\n"), "{nobody:?}");
    let missing = run(msgvault().args(["-q", "backup", "list", "--repo", "/nowhere/at/all"]));
    assert_eq!((missing.code, &*missing.stdout), (10, ""), "{missing:?}");
    assert!(missing.stderr.contains("there is no repository"), "{missing:?}");
}

#[test]
fn a_thousand_faults_are_told_briefly_to_who_reads_a_mail() {
    let scene = scene();
    for day in 0..25 {
        scene.churn(&Churn { day, ..Churn::default() });
        scene.create(&[]);
    }
    for pack in packs(&scene) {
        fs::remove_file(pack).unwrap();
    }
    let told = scene.backup(&["verify", "--all", "-q"]);
    assert_eq!(told.code, 3);
    assert!(told.stderr.contains("\n  and ") && told.stderr.contains(" other problems\n"), "{told:?}");
    assert!(told.stderr.len() < 20_000, "{}", told.stderr.len());
}

#[test]
fn verbose_says_what_is_done_and_why() {
    let scene = scene();
    let check = |outcome: &Outcome, parts: &[&str]| {
        for part in parts {
            assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
        }
        let of_program = |line: &str| line.starts_with("msgvault: ") || line.starts_with("msgvault-verify: ");
        assert!(outcome.stderr.lines().all(of_program), "{outcome:?}");
    };
    let first = scene.backup(&["create", "-v"]).done();
    check(
        &first,
        &[
            "the archive home is ",
            "which --repo names",
            "this run holds the repository's lock",
            "there is no snapshot to build upon",
            "no daemon owns the archive",
            "the database is pinned at ",
            "the maps are a keyframe, since no earlier snapshot",
            "the page hashes of the new keyframe are cached",
        ],
    );
    assert!(first.stdout.starts_with("created snapshot "), "{first:?}");
    scene.churn(&Churn::default());
    let parts = [
        "the new snapshot builds upon 2",
        "come from the cache",
        "the maps are delta 1 on",
        "the cache stays as it is",
    ];
    check(&scene.backup(&["create", "-v"]).done(), &parts);
    let parts = ["come from the repository", "the maps are a keyframe, since the deltas together"];
    check(&scene.backup(&["create", "-v"]).done(), &parts);
    check(&scene.backup(&["verify", "-v"]).done(), &["a shared lock", "are opened, and every blob"]);
    check(&verifier(&scene, &["-v"]).done(), &["are opened, and every blob"]);
    let target = scene.beside("restored");
    let restored = scene.backup(&["restore", "-v", "--target", target.to_str().unwrap()]).done();
    check(&restored, &["nothing there changes before", "now all is made durable"]);
    check(&scene.backup(&["list", "-v"]).done(), &["which --repo names"]);

    let serving = Serve::start(&scene.home(), &[]);
    let beside = scene.backup(&["create", "-v"]).done();
    check(&beside, &["a daemon owns the archive (process "]);
    drop(serving);
    // Quiet is quiet.
    let quiet = scene.backup(&["create", "-v", "-q"]).done();
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{quiet:?}");
}

#[test]
fn a_quiet_daemon_logs_what_its_owner_should_look_at() {
    let scene = scene();
    let mut command = msgvault();
    command.args(["serve", "-q", "--home"]).arg(scene.home()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // It warns that no backups are scheduled, and of the folder's mode where the test's umask lets others in.
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("level=WARN"), "{first}");
    let pid = Pid::from_child(&child);
    while !run(msgvault().args(["-q", "daemon", "status", "--home"]).arg(scene.home())).code.eq(&0) {
        std::thread::yield_now();
    }
    kill_process(pid, Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(lines.all(|line| line.unwrap().contains("level=WARN")), "nothing of the ordinary");
}

/// A lock of a machine of which nothing can be known here, for which a run waits.
fn waiting(scene: &Scene, args: &[&str]) -> std::process::Child {
    let record = r#"{"hostname":"far","pid":1,"operation":"prune","acquired_at":"2026-11-23T13:00:00Z"}"#;
    fs::write(scene.repo().join("locks/exclusive.json"), record).unwrap();
    let mut command = scene.command(&[args, &["--retry-lock", "1h"]].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_signal_asks_for_progress_and_ends_nothing() {
    let scene = scene();
    scene.create(&[]);
    let target = scene.beside("restored");
    let runs: [&[&str]; 4] = [
        &["create"],
        &["verify"],
        &["restore", "--target", target.to_str().unwrap()],
        &["repair", "--rebuild-index"],
    ];
    for args in runs {
        let mut child = waiting(&scene, args);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let waits = lines.next().unwrap().unwrap();
        assert!(waits.contains("waiting up to 60 min for prune"), "{waits}");
        for _ in 0..2 {
            kill_process(Pid::from_child(&child), Signal::USR1).unwrap();
            let told = lines.next().unwrap().unwrap();
            assert!(told.starts_with("msgvault: begins; ") && told.ends_with(" s so far"), "{told}");
        }
        // The run goes on as if nobody had asked.
        fs::remove_file(scene.repo().join("locks/exclusive.json")).unwrap();
        assert!(child.wait().unwrap().success(), "{args:?}");
    }
}

#[test]
fn a_daemon_that_is_asked_logs_what_runs() {
    let scene = scene();
    let config = format!("[backup]\nrepo = {:?}\nschedule = \"0 3 * * *\"\n", scene.repo());
    fs::write(scene.home().join("config.toml"), config).unwrap();
    let serving = Serve::start(&scene.home(), &[]);
    while serving.ask("GET", "/api/v1/backup/status", &[], "").json()["jobs"][0]["next_at"].is_null() {
        std::thread::yield_now();
    }
    serving.signal(Signal::USR1);
    serving.wait_for("msg=\"asked what runs\" gate=nothing create=\"next at ");
    assert_eq!(daemon(&scene.home(), &["-q", "daemon", "status"]).code, 0, "it still serves");
    serving.stop();
}
