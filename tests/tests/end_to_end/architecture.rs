//! The files and the tests that `docs/architecture.md` names exist.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Files of the tree with their paths from its root, without build results.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let is_built = ["target", "node_modules", "dist", "out", "pkg"].iter().any(|built| name == *built);
        if is_built || name.to_string_lossy().starts_with('.') {
            continue;
        }
        found.push(entry.path().strip_prefix(root()).unwrap().to_owned());
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), found);
        }
    }
}

/// Everything between backticks, outside code blocks.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn files_named_in_the_architecture_exist() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let mut found = Vec::new();
    files(root(), &mut found);
    let is_file =
        |name: &&&str| name.ends_with(".rs") || name.starts_with("native/") || name.starts_with("verifier/");
    let names = quoted(&text);
    let wanted: Vec<_> = names.iter().filter(is_file).collect();
    assert!(wanted.len() > 40, "{wanted:?}");
    for name in wanted {
        let path_end = name.trim_end_matches('/');
        assert!(found.iter().any(|path| path.ends_with(path_end)), "{name} is named but does not exist");
    }
}

#[test]
fn tests_named_in_the_architecture_exist() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (_, table) = text.split_once("\n## Invariants").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter_map(|line| line.trim_matches('|').rsplit('|').next());
    let names: Vec<&str> =
        rows.flat_map(quoted).filter(|name| name.contains('_') && !name.contains('.')).collect();
    assert!(names.len() > 15, "{names:?}");
    let mut found = Vec::new();
    files(root(), &mut found);
    let sources = found.iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let sources: String = sources.map(|path| fs::read_to_string(root().join(path)).unwrap()).collect();
    for name in names {
        assert!(sources.contains(&format!("fn {name}(")), "the test {name} is named but does not exist");
    }
}
