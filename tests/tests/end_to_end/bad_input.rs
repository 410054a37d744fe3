//! Mistakes of users: each gets one clear line and the right exit code, and leaves nothing behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use msgvault_tests::go_stand_in::{Fault, StandIn};
use msgvault_tests::programs::{Outcome, msgvault, run, verify};
use msgvault_tests::sample::Options;
use msgvault_tests::scene::Scene;

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const NO_REPOSITORY: i32 = 10;
const LOCKED: i32 = 11;
const TOO_NEW: i32 = 13;

/// Checks the exit code of a program, and that it printed one line that contains all of `words`.
#[track_caller]
fn refused(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, code, "{outcome:?}");
    assert_eq!(outcome.stdout, "", "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    for word in words {
        assert!(outcome.stderr.contains(word), "{word:?} is not in {outcome:?}");
    }
}

/// Path, length and, for files, content of everything below a folder.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() {
                found.insert(name, Vec::new());
                left.push(path);
            } else {
                found.insert(name, fs::read(&path).unwrap_or_default());
            }
        }
    }
    // These stay for the next owner of the archive.
    found.retain(|name, _| !name.ends_with(".lock"));
    found
}

/// Runs a command that must be refused and must leave repository and archive unchanged.
#[track_caller]
fn refused_without_trace(scene: &Scene, args: &[&str], code: i32, words: &[&str]) {
    let before = (tree(&scene.repo()), tree(&scene.home()));
    refused(&scene.backup(args), code, words);
    assert!(before == (tree(&scene.repo()), tree(&scene.home())), "{args:?} left something behind");
}

fn small() -> Options {
    Options { size: 300 << 10, ..Options::default() }
}

#[test]
fn folders_that_are_not_repositories_are_refused() {
    let scene = Scene::new(&small());
    let nowhere = scene.beside("nowhere");
    let home = scene.home();
    for command in ["list", "verify", "create"] {
        let run_on = |repo: &Path| {
            run(msgvault().args(["backup", command, "--repo"]).arg(repo).arg("--home").arg(scene.home()))
        };
        refused(&run_on(&nowhere), NO_REPOSITORY, &["nowhere", "backup init"]);
        refused(&run_on(&home), NO_REPOSITORY, &["not a msgvault repository"]);
    }
    assert!(!nowhere.exists());
    refused(&verify(&nowhere, [""; 0]), NO_REPOSITORY, &["nowhere"]);
    let unnamed = run(msgvault().args(["backup", "list", "--home"]).arg(scene.home()));
    refused(&unnamed, NO_REPOSITORY, &["--repo", "MSGVAULT_REPO"]);
}

#[test]
fn a_repository_without_snapshots_is_not_called_intact() {
    let scene = Scene::new(&small());
    for depth in [&[][..], &["--quick"]] {
        let all = [&["--all"], depth].concat();
        let commands = [scene.backup(&[&["verify"], &all[..]].concat()), verify(&scene.repo(), all)];
        for outcome in commands.map(Outcome::done) {
            assert_eq!(outcome.stdout, "The repository holds no snapshot, so that nothing was checked.\n");
        }
    }
    for outcome in [scene.backup(&["verify"]), verify(&scene.repo(), [""; 0])] {
        refused(&outcome, FAILED, &["no snapshot yet"]);
    }
    let report = verify(&scene.repo(), ["--all", "--json"]).done().json();
    assert_eq!((&report["verdict"], report["snapshots"].as_array().unwrap().len()), (&"intact".into(), 0));
}

#[test]
fn init_refuses_a_folder_in_use() {
    let scene = Scene::new(&small());
    refused_without_trace(&scene, &["init"], FAILED, &["repository already"]);
    let used = run(msgvault().args(["backup", "init", "--repo"]).arg(scene.home()));
    refused(&used, FAILED, &["not empty"]);
}

#[test]
fn a_newer_or_encrypted_repository_is_refused() {
    let scene = Scene::new(&small());
    scene.create(&[]);
    let path = scene.repo().join("config.toml");
    let good = fs::read_to_string(&path).unwrap();
    let with = |from: &str, to: &str| fs::write(&path, good.replace(from, to)).unwrap();
    for command in [&["list"][..], &["verify"], &["create"]] {
        with("min_reader_version = 1", "min_reader_version = 9");
        refused_without_trace(&scene, command, TOO_NEW, &["version 9", "upgrade"]);
        with("\"none\"", "\"age\"");
        refused_without_trace(&scene, command, FAILED, &["encrypted", "age"]);
        with("repo_id", "repo id");
        refused_without_trace(&scene, command, FAILED, &["config.toml"]);
    }
}

#[test]
fn a_forged_manifest_is_refused() {
    let scene = Scene::new(&small());
    let id = scene.create(&[]);
    let path = scene.repo().join(format!("snapshots/{id}.mvmanifest"));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"tag\": \"\"", "\"tag\": \"x\"")).unwrap();
    let target = scene.beside("target");
    let restore = scene.backup(&["restore", "--target", &target.to_string_lossy()]);
    refused(&restore, FAILED, &["forged"]);
    assert!(!target.exists());
    let report = scene.backup(&["verify", "--json"]);
    assert_eq!(report.code, 3);
    assert_eq!(report.json()["problems"][0]["code"], "manifest-forged");
}

#[test]
fn a_locked_repository_says_who_holds_it() {
    let scene = Scene::new(&small());
    scene.create(&[]);
    let lock = scene.repo().join("locks/exclusive.json");
    let target = scene.beside("target");
    let restore = ["restore", "--target", &target.to_string_lossy()];
    // Readers go on beside who only adds, and are kept out by who may remove files.
    let table: [(&str, &[&[&str]]); 2] =
        [("create", &[&["create"]]), ("prune", &[&["create"], &["verify"], &restore])];
    for (operation, commands) in table {
        let record = format!(
            r#"{{"hostname":"elsewhere","pid":77,"operation":"{operation}","acquired_at":"2026-11-23T10:00:00Z"}}"#
        );
        fs::write(&lock, record).unwrap();
        for command in commands {
            refused_without_trace(&scene, command, LOCKED, &["elsewhere", "77", "2026-11-23T10:00:00Z"]);
        }
    }
    assert!(!target.exists());
    let _ = scene.backup(&["create", "--force-unlock"]).done();
}

#[test]
fn a_repository_inside_the_attachments_is_refused() {
    let scene = Scene::new(&small());
    let inside = scene.home().join("attachments/backup");
    let on = |command| {
        run(msgvault().args(["backup", command, "--home"]).arg(scene.home()).arg("--repo").arg(&inside))
    };
    refused(&on("init"), FAILED, &["attachments/backup", "outside"]);
    assert!(!inside.exists());
    fs::rename(scene.repo(), &inside).unwrap();
    let before = tree(&scene.home());
    refused(&on("create"), FAILED, &["attachments/backup", "outside"]);
    assert!(before == tree(&scene.home()));
}

#[test]
fn unsuitable_restore_targets_are_refused() {
    let scene = Scene::new(&small());
    scene.create(&[]);
    let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let inside = text(scene.repo().join("restored"));
    refused_without_trace(&scene, &["restore", "--target", &inside], FAILED, &["repository"]);
    let above = text(scene.beside(""));
    refused_without_trace(&scene, &["restore", "--target", &above, "--overwrite"], FAILED, &["repository"]);
    let link = scene.beside("link");
    std::os::unix::fs::symlink(scene.beside("elsewhere"), &link).unwrap();
    refused_without_trace(&scene, &["restore", "--target", &text(link)], FAILED, &["link"]);
    let full = scene.beside("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("mine"), "mine").unwrap();
    refused_without_trace(&scene, &["restore", "--target", &text(full.clone())], FAILED, &["--overwrite"]);
    assert_eq!(tree(&full).len(), 1);
    assert_eq!(scene.backup(&["restore"]).code, USAGE);
}

#[test]
fn the_folders_of_a_running_daemon_are_not_targets() {
    let scene = Scene::new(&small());
    scene.create(&[]);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (data, databases) = (scene.beside("data"), scene.beside("databases"));
    fs::create_dir(&data).unwrap();
    fs::create_dir(&databases).unwrap();
    let database = databases.join("msgvault.db");
    let config = format!("[data]\ndata_dir = {data:?}\ndatabase_url = {database:?}\n");
    fs::write(scene.home().join("config.toml"), config).unwrap();
    let _daemon = StandIn::start(&data, "", Fault::None, |_| ());

    let other_home = text(&scene.beside("new"));
    for folder in [scene.home(), data, databases] {
        let before = tree(&folder);
        let target = text(&folder);
        refused(&scene.backup(&["restore", "--overwrite", "--target", &target]), FAILED, &["running daemon"]);
        if folder == scene.home() {
            let mut command = msgvault();
            command.args(["backup", "restore", "--overwrite", "--target", &target, "--home", &other_home]);
            refused(&run(command.arg("--repo").arg(scene.repo())), FAILED, &["running daemon"]);
        }
        assert_eq!(tree(&folder), before);
    }
}

#[test]
fn files_that_are_not_archives_are_refused() {
    let scene = Scene::new(&small());
    let database = scene.database();
    let good = fs::read(&database).unwrap();
    fs::remove_file(&database).unwrap();
    refused_without_trace(&scene, &["create"], FAILED, &["msgvault.db"]);
    assert!(!database.exists(), "a missing database is never made");
    fs::write(&database, b"this is no database, and it is long enough to look at".repeat(40)).unwrap();
    refused_without_trace(&scene, &["create"], FAILED, &["msgvault.db"]);
    fs::remove_file(&database).unwrap();
    let empty = rusqlite::Connection::open(&database).unwrap();
    empty.execute_batch("CREATE TABLE notes(text)").unwrap();
    drop(empty);
    refused_without_trace(&scene, &["create"], FAILED, &["msgvault.db", "table"]);
    fs::write(&database, good).unwrap();
    scene.create(&[]);
    // Six tables need more than one page, so a database of one page is not an archive.
    let single = Scene::new(&Options { single_page: true, ..small() });
    refused_without_trace(&single, &["create"], FAILED, &["msgvault.db", "no table messages"]);
}

#[test]
fn missing_or_changed_attachments_are_refused() {
    let scene = Scene::new(&small());
    let connection = rusqlite::Connection::open(scene.database()).unwrap();
    let (hash, path): (String, String) = connection
        .query_row(
            "SELECT content_hash, storage_path FROM attachments WHERE storage_path LIKE '__/%' AND size > 100 LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    drop(connection);
    let file = scene.home().join("attachments").join(&path);
    let content = fs::read(&file).unwrap();
    fs::write(&file, b"something else").unwrap();
    refused_without_trace(&scene, &["create"], FAILED, &[&hash, &path]);
    fs::remove_file(&file).unwrap();
    refused_without_trace(&scene, &["create"], FAILED, &[&hash, &path]);
    fs::write(&file, content).unwrap();
    scene.create(&[]);
}

#[test]
fn malformed_hashes_and_paths_are_refused() {
    for (hash, path, words) in [
        ("not-a-hash", "no/not-a-hash", &["not-a-hash"][..]),
        (&"a".repeat(64), "../../etc/passwd", &["../../etc/passwd"]),
        (&"A".repeat(64), "AA/A", &["AAAA"]),
    ] {
        let scene = Scene::new(&small());
        let connection = rusqlite::Connection::open(scene.database()).unwrap();
        connection
            .execute(
                "UPDATE attachments SET content_hash = ?1, storage_path = ?2
                 WHERE id = (SELECT min(id) FROM attachments WHERE storage_path LIKE '__/%')",
                (hash, path),
            )
            .unwrap();
        drop(connection);
        refused_without_trace(&scene, &["create"], FAILED, words);
    }
}

#[test]
fn secrets_without_consent_are_refused() {
    let scene = Scene::new(&Options { secrets: true, ..small() });
    for flag in ["--include-config", "--include-tokens"] {
        refused_without_trace(&scene, &["create", flag], FAILED, &[flag, "--allow-plaintext-secrets"]);
    }
    scene.create(&["--include-config", "--include-tokens", "--allow-plaintext-secrets"]);
    let restored = scene.restore("latest", "restored");
    assert!(restored.join("config.toml").is_file() && restored.join("tokens").is_dir());
}

#[test]
fn other_databases_and_broken_configurations_are_refused() {
    let scene = Scene::new(&small());
    let config = scene.home().join("config.toml");
    fs::write(&config, "[data]\ndatabase_url = \"postgres://me:secret@host/db\"\n").unwrap();
    let outcome = scene.backup(&["create"]);
    refused(&outcome, FAILED, &["postgres", "SQLite"]);
    assert!(!outcome.stderr.contains("secret"));
    fs::write(&config, "[data]\ndata_dir = 3 4\n").unwrap();
    refused(&scene.backup(&["create"]), FAILED, &["config.toml:2:12: "]);
}

#[test]
fn an_ambiguous_snapshot_prefix_is_refused() {
    let scene = Scene::new(&small());
    let first = scene.create(&[]);
    let second = scene.create(&[]);
    refused_without_trace(&scene, &["verify", "2"], FAILED, &[&first, &second]);
    refused_without_trace(&scene, &["verify", "1999"], FAILED, &["1999"]);
    let _ = scene.backup(&["verify", &first[..49]]).done();
}

#[test]
fn usage_errors_have_their_own_code() {
    for args in [
        &["backup"][..],
        &["backup", "create", "--jobs", "x"],
        &["nonsense"],
        &["backup", "verify", "a", "--all"],
    ] {
        assert_eq!(run(msgvault().args(args)).code, USAGE, "{args:?}");
    }
}

#[test]
fn more_than_256_jobs_are_refused() {
    let scene = Scene::new(&small());
    scene.create(&[]);
    let target = scene.beside("target").to_string_lossy().into_owned();
    for jobs in ["257", "999999"] {
        let on = |command: &[&str]| scene.backup(&[command, &["--jobs", jobs]].concat());
        let commands: [&[&str]; 3] = [&["create"], &["verify"], &["restore", "--target", &target]];
        let refused = commands.map(on).into_iter().chain([verify(&scene.repo(), ["--jobs", jobs])]);
        for outcome in refused {
            assert_eq!(outcome.code, USAGE, "{outcome:?}");
            assert!(outcome.stderr.contains("not in 0..=256"), "{outcome:?}");
        }
    }
    let _ = verify(&scene.repo(), ["--jobs", "256"]).done();
}
