//! `msgvault-verify` runs anywhere: it is one static program, and nothing in it is C.

use std::path::Path;
use std::process::Command;

use msgvault_tests::programs::{program, run};

fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
    cargo
}

/// The names of the crates that a crate is built from.
fn parts(package: &str) -> Vec<String> {
    let tree = run(cargo()
        .args(["tree", "-p", package, "-e", "normal,build", "--prefix", "none"])
        .args(["--target", "x86_64-unknown-linux-gnu"]))
    .done();
    tree.stdout.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect()
}

#[test]
fn the_verifier_contains_no_c() {
    for package in ["msgvault-verifier", "msgvault-cli"] {
        let parts = parts(package);
        assert!(parts.iter().any(|name| name == "ruzstd"), "{parts:?}");
        for name in parts {
            assert!(!name.ends_with("-sys") && !["cc", "libc", "cmake"].contains(&&*name), "{name}");
        }
    }
}

#[test]
fn the_library_has_no_command_line_and_no_threads() {
    let parts = parts("msgvault-verifier");
    assert!(parts.iter().any(|name| name == "msgvault-verifier"), "{parts:?}");
    for name in ["clap", "rayon", "msgvault-cli"] {
        assert!(!parts.iter().any(|part| part == name), "{parts:?}");
    }
}

#[test]
fn a_build_without_the_page_says_how_to_build_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("verify.html");
    let outcome = run(Command::new(program("msgvault-verify")).arg("--write-page").arg(&file));
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(outcome.stderr.contains("web/build.sh") && !file.exists(), "{outcome:?}");
}

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
#[test]
fn the_documented_command_builds_a_static_program() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("scripts/build-static.sh");
    let built = run(Command::new("sh").arg(script).env("PROFILE", "dev").env_remove("RUSTFLAGS")).done();
    let program = built.stdout.lines().last().unwrap();
    let linked = run(Command::new("ldd").arg(program));
    let says = linked.stdout + &linked.stderr;
    assert!(says.contains("statically linked") || says.contains("not a dynamic executable"), "{says}");
    assert!(run(Command::new(program).arg("--version")).done().stdout.starts_with("msgvault-verify "));
}
