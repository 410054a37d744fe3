//! What is told of finished and of failed work, whatever hinders the telling.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use msgvault_tests::programs::{program, run};
use msgvault_tests::sample::Options;
use msgvault_tests::scene::Scene;

/// The exit code of work that is done and could not be reported.
const UNREPORTED: i32 = 5;
/// A user whom no other test is.
const USER: &str = "54321";

fn small() -> Options {
    Options { size: 300 << 10, ..Options::default() }
}

#[test]
fn a_tag_of_64_kib_is_listed_and_inspected() {
    let scene = Scene::new(&small());
    let tag = "t".repeat(70_000);
    let _ = scene.create(&["--tag", &tag]);
    let _ = scene.create(&[]);
    let listed = scene.backup(&["list"]).done();
    assert!(listed.stdout.contains(&tag));
    let mut inspect = Command::new(program("msgvault-verify"));
    let inspected = run(inspect.arg("inspect").arg(scene.repo())).done();
    assert!(inspected.stdout.contains(&tag));
}

#[test]
fn texts_of_documents_are_told_by_every_command() {
    let scene = Scene::new(&small());
    let without = scene.create(&[]);
    let listed = scene.backup(&["list"]).done().stdout;
    assert!(!listed.contains("DOCUMENT TEXTS"), "{listed}");
    let database = rusqlite::Connection::open(scene.database()).unwrap();
    let texts = "CREATE TABLE document_chunks (id INTEGER PRIMARY KEY, text TEXT, char_count INTEGER);
        INSERT INTO document_chunks (text, char_count) VALUES ('an invoice', 10);
        PRAGMA wal_checkpoint(TRUNCATE);";
    database.execute_batch(texts).unwrap();
    drop(database);
    let created = scene.backup(&["create"]).done().stdout;
    assert!(created.contains("documents    10 characters of text"), "{created}");
    let listed = scene.backup(&["list"]).done().stdout;
    let table = listed.lines().skip_while(|line| !line.starts_with("SNAPSHOT"));
    let cells: Vec<&str> = table.filter_map(|line| line.split_whitespace().next_back()).collect();
    assert_eq!(cells, ["TAG", "no", "yes"], "{listed}");
    let documents = scene.backup(&["list", "--json"]).done().json();
    let told = |n: usize| {
        (&documents["snapshots"][n]["document_texts"], &documents["snapshots"][n]["format_version"])
    };
    assert_eq!((told(0), told(1)), ((&false.into(), &1.into()), (&true.into(), &4.into())));
    let inspect = |id: &str| {
        let mut inspect = Command::new(program("msgvault-verify"));
        run(inspect.arg("inspect").arg(scene.repo()).arg(id)).done().stdout
    };
    assert!(inspect("latest").contains("document texts   yes"));
    assert!(!inspect(&without).contains("document texts"));
    let target = scene.beside("restored");
    let restored = scene.backup(&["restore", "--json", "--target", &target.to_string_lossy()]).done().json();
    assert_eq!(restored["disclosures"][0]["counts"]["chunks"], 1);
}

#[test]
fn a_panic_is_one_line_and_one_document() {
    let scene = Scene::new(&small());
    let mut command = Command::new(program("fault-driver"));
    command.args(["panic", "1", "backup", "create", "--json", "--home"]);
    let outcome = run(command.arg(scene.home()).arg("--repo").arg(scene.repo()));
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("a defect of the program, please report it: on purpose"), "{outcome:?}");
    let error = &outcome.json()["error"];
    assert_eq!(error["exit_code"], 1, "{outcome:?}");
    assert!(error["message"].as_str().unwrap().contains("on purpose"), "{outcome:?}");
    let _ = scene.create(&[]);
}

#[test]
fn a_lost_report_has_an_exit_code_of_its_own() {
    let scene = Scene::new(&small());
    let id = scene.create(&[]);
    let into_full_disk = |args: &[&str]| {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let outcome = scene.command(args).stdout(full).output().unwrap();
        let stderr = String::from_utf8(outcome.stderr).unwrap();
        assert_eq!(outcome.status.code(), Some(UNREPORTED), "{args:?} {stderr}");
        assert!(stderr.contains("the work is done, but its report cannot be written"), "{stderr}");
    };
    let target = scene.beside("restored");
    let target = target.to_str().unwrap();
    for json in [&[][..], &["--json"]] {
        for args in [&["create"][..], &["list"], &["verify"], &["restore", &id, "--target", target]] {
            into_full_disk(&[args, json].concat());
        }
        assert!(fs::read(scene.database()).unwrap() == fs::read(format!("{target}/msgvault.db")).unwrap());
        fs::remove_dir_all(target).unwrap();
    }
    assert_eq!(scene.backup(&["list", "--json"]).done().json()["snapshots"].as_array().unwrap().len(), 3);

    // What is wrong matters more.
    let manifest = scene.repo().join("snapshots").join(format!("{id}.mvmanifest"));
    fs::write(manifest, "{}").unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let outcome = scene.command(&["verify", &id]).stdout(full).output().unwrap();
    assert_eq!(outcome.status.code(), Some(3), "{outcome:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_is_not_utf8_is_restored_to_and_told() {
    let scene = Scene::new(&small());
    let _ = scene.create(&[]);
    let mut target = scene.beside("caf").into_os_string().into_encoded_bytes();
    target.push(0xe9);
    let target = std::path::Path::new(std::ffi::OsStr::from_bytes(&target));
    let report = run(scene.command(&["restore", "--json"]).arg("--target").arg(target)).done().json();
    let told = report["target"].as_str().unwrap();
    assert!(told.starts_with("file:/") && told.ends_with("/caf%E9"), "{told}");
    assert!(target.join("msgvault.db").exists());
}

/// Every command under every limit on processes either succeeds or says what the system refused.
#[cfg(target_os = "linux")]
#[test]
fn a_refused_thread_is_an_error_and_never_a_panic() {
    let scene = Scene::new(&small());
    let as_user = |limit: &str| {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nproc={limit}")).args(["setpriv", "--reuid", USER, "--regid", USER]);
        command.arg("--clear-groups").arg(program("msgvault"));
        command
    };
    let usable = as_user("100").arg("--version").output().is_ok_and(|output| output.status.success());
    if !usable {
        eprintln!("SKIPPED: only root can become a user whose processes are limited");
        return;
    }
    let _ = scene.create(&[]);
    let folder = scene.home().parent().unwrap().to_owned();
    assert!(Command::new("chown").args(["-R", USER]).arg(&folder).status().unwrap().success());
    let mut seen = std::collections::BTreeSet::new();
    for limit in 2..=10 {
        for args in [&["create"][..], &["verify"], &["list"], &["restore"]] {
            let mut command = as_user(&limit.to_string());
            command.args(["backup"]).args(args).args(["--jobs", "3"].iter().filter(|_| args != ["list"]));
            command.arg("--home").arg(scene.home()).arg("--repo").arg(scene.repo());
            let target = folder.join(format!("restored-{limit}"));
            if args == ["restore"] {
                command.arg("--target").arg(target);
            }
            let outcome = run(&mut command);
            assert!([0, 1].contains(&outcome.code), "{limit} {args:?} {outcome:?}");
            assert!(!outcome.stderr.contains("defect"), "{limit} {args:?} {outcome:?}");
            assert_eq!(outcome.stderr.lines().count(), usize::from(outcome.code == 1), "{outcome:?}");
            seen.insert(outcome.code);
        }
    }
    assert_eq!(seen.len(), 2, "the limits do not reach from too few to enough");
}
