//! The documents say what the programs do.

use std::fs;
use std::path::{Path, PathBuf};

use msgvault_tests::programs::{msgvault, run, verify};
use msgvault_tests::sample::{Churn, Options};
use msgvault_tests::scene::Scene;
use msgvault_tests::schema;
use msgvault_verifier::verify::ProblemCode;
use serde_json::Value;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs")
}

#[test]
fn every_problem_code_is_explained_once_and_in_the_same_words() {
    let text = fs::read_to_string(docs().join("verify.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let rows: Vec<(&str, &str)> = rows.collect();
    for code in ProblemCode::ALL {
        let (_, cells) = rows.iter().find(|(explained, _)| *explained == code.as_str()).unwrap();
        assert!(cells.starts_with(&format!(" | {} | ", code.meaning())), "{}", code.as_str());
    }
    let mut explained: Vec<&str> = rows.iter().map(|(code, _)| *code).collect();
    explained.sort_unstable();
    let mut codes: Vec<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(explained, codes);
}

fn check(document: &Value, name: &str) -> Result<(), String> {
    let text = fs::read_to_string(docs().join(format!("schemas/{name}.schema.json"))).unwrap();
    schema::check(document, serde_json::from_str(&text).unwrap())
}

pub(crate) fn fits_file(document: &Value, name: &str) {
    check(document, name).unwrap_or_else(|reason| panic!("{name}: {reason}\n{document:#}"));
}

/// The place of every object in a document.
fn objects(value: &Value, place: &str, found: &mut Vec<String>) {
    if value.is_object() {
        found.push(place.to_owned());
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        objects(inner, &format!("{place}/{}", key.replace('~', "~0").replace('/', "~1")), found);
    }
    for (number, inner) in value.as_array().into_iter().flatten().enumerate() {
        objects(inner, &format!("{place}/{number}"), found);
    }
}

#[test]
fn a_document_that_differs_from_its_schema_is_refused() {
    let scene = Scene::new(&Options::default());
    scene.create(&[]);
    let document = verify(&scene.repo(), ["--json"]).done().json();
    fits_file(&document, "verify");
    let mut places = Vec::new();
    objects(&document, "", &mut places);
    assert!(places.len() > 2, "{places:?}");
    for place in places {
        let refused = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
            let mut changed = document.clone();
            change(changed.pointer_mut(&place).unwrap().as_object_mut().unwrap());
            check(&changed, "verify").unwrap_err()
        };
        refused(&|object| drop(object.insert("surprise".to_owned(), Value::Null)));
        for key in document.pointer(&place).unwrap().as_object().unwrap().keys() {
            refused(&|object| drop(object.remove(key)));
            refused(&|object| object[key] = serde_json::json!([[]]));
        }
    }
}

#[test]
fn every_document_fits_its_schema() {
    let scene = Scene::new(&Options { secrets: true, ..Options::default() });
    let other = scene.beside("other");
    let init = run(msgvault().args(["backup", "init", "--json", "--repo"]).arg(&other)).done();
    fits_file(&init.json(), "init");
    fits_file(&scene.backup(&["create", "--json", "--dry-run"]).done().json(), "create");
    let id = scene.create(&["--tag", "one"]);
    scene.churn(&Churn::default());
    fits_file(&scene.backup(&["create", "--json"]).done().json(), "create");
    fits_file(&scene.backup(&["list", "--json"]).done().json(), "repository");
    fits_file(&verify(&scene.repo(), ["--json"]).done().json(), "verify");
    let inspect = |args: &[&str]| {
        let mut command = std::process::Command::new(msgvault_tests::programs::program("msgvault-verify"));
        run(command.arg("inspect").arg(scene.repo()).args(args).arg("--json")).done().json()
    };
    fits_file(&inspect(&[]), "repository");
    fits_file(&inspect(&[&id]), "snapshot");
    let target = scene.beside("target");
    fits_file(
        &scene.backup(&["restore", "--json", "--target", &target.to_string_lossy()]).done().json(),
        "restore",
    );
    fs::remove_dir_all(scene.repo().join("packs")).unwrap();
    let damaged = scene.backup(&["verify", "--all", "--json"]);
    assert_eq!(damaged.code, 3);
    fits_file(&damaged.json(), "verify");
    let listed = scene.backup(&["list", "--json"]).done().json();
    fits_file(&listed, "repository");
    assert!(listed["space"]["dead_bytes"].is_null(), "{listed:#}");
    assert!(listed["snapshots"][0]["page_use"].is_null(), "{listed:#}");
}

#[test]
fn a_command_without_a_result_says_why_in_a_document() {
    let scene = Scene::new(&Options::default());
    let missing = scene.beside("missing");
    let inspect = {
        let mut command = std::process::Command::new(msgvault_tests::programs::program("msgvault-verify"));
        run(command.arg("inspect").arg(&missing).arg("--json"))
    };
    let failed = [
        (10, run(msgvault().args(["backup", "list", "--json", "--repo"]).arg(&missing))),
        (10, verify(&missing, ["--json"])),
        (10, inspect),
        (1, scene.backup(&["verify", "--json"])),
        (1, scene.backup(&["create", "--json", "--include-tokens"])),
    ];
    for (code, outcome) in failed {
        assert_eq!(outcome.code, code, "{outcome:?}");
        let document = outcome.json();
        fits_file(&document, "failure");
        assert_eq!(document["error"]["exit_code"], code);
        let message = document["error"]["message"].as_str().unwrap();
        assert!(outcome.stderr.ends_with(&format!(": {message}\n")), "{outcome:?}");
    }
}

#[test]
fn every_command_has_help_a_manual_page_and_completions() {
    let manual = run(msgvault().arg("man")).done().stdout;
    for command in ["init", "create", "list", "verify", "copy", "sums", "repair", "restore"] {
        assert!(run(msgvault().args(["backup", command, "--help"])).done().stdout.contains("Usage:"));
        assert!(manual.contains(&format!("msgvault\\-backup\\-{command}")), "{command}");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(run(msgvault().args(["completions", shell])).done().stdout.contains("restore"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let scene = Scene::new(&Options::default());
    scene.create(&[]);
    let mut command = scene.command(&["list"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
