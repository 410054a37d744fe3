//! What holds for the text of every crate: its modules use each other in one direction, no two types have one
//! name, and nothing is called that panics when the system refuses something.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module's path below its crate.
type ModulePath = Vec<String>;
/// The text of every module, without tests, comments and strings.
type Modules = BTreeMap<ModulePath, String>;

/// Types that share a name for a reason: `Dir` is the same to its users on Unix and elsewhere.
const SHARED_NAMES: [(&str, &str); 1] = [("native/platform/src", "Dir")];

#[test]
fn modules_use_each_other_in_one_direction() {
    let mut found = Vec::new();
    for folder in crates() {
        found.extend(
            circles(&modules(&folder)).into_iter().map(|circle| format!("{}: {circle}", shown(&folder))),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_type_name_is_defined_twice_in_a_crate() {
    let mut found = Vec::new();
    for folder in crates() {
        let is_shared = |name: &str| SHARED_NAMES.contains(&(shown(&folder).as_str(), name));
        let twice = defined_twice(&folder).into_iter().filter(|(name, _)| !is_shared(name));
        found.extend(twice.map(|(name, files)| format!("{name} is in {}", files.join(" and "))));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Calls that panic on a size, or when the system refuses something, and what to write in their place.
const PANICS: [(&str, &str); 7] = [
    ("thread::spawn(", "thread::Builder::spawn"),
    ("scope.spawn(", "thread::Builder::spawn_scoped"),
    ("println!(", "writeln!: a full disk is behind standard output at times"),
    ("print!(", "write!"),
    ("::from_secs_f", "try_from_secs_f64"),
    ("rayon::spawn(", "a ThreadPool"),
    ("rayon::join(", "ThreadPool::join"),
];

#[test]
fn no_call_panics_when_the_system_refuses() {
    let mut found = Vec::new();
    let programs = crates().into_iter().filter(|folder| !shown(folder).contains("test"));
    for (folder, file) in
        programs.flat_map(|folder| files(&folder).into_iter().map(move |file| (folder.clone(), file)))
    {
        if file.strip_prefix(&folder).unwrap().iter().any(|part| part == "tests" || part == "tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let text = lines.collect::<Vec<_>>().join("\n");
        let is_called = |call: &&(&str, &str)| text.contains(call.0);
        found.extend(
            PANICS.iter().filter(is_called).map(|(call, better)| {
                format!("{} calls {call}…), which can panic; use {better}", shown(&file))
            }),
        );
        // A width that is not in the source can be larger than a format takes.
        let widths = text.lines().filter(|line| line.contains("$}"));
        found.extend(
            widths.map(|line| format!("{} has a format with a width from data: {line}", shown(&file))),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_circle_is_found_whichever_way_a_module_is_named() {
    let circle = |texts: [(&str, &str); 4]| {
        let split =
            |path: &str| path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        circles(&texts.map(|(path, text)| (split(path), text.to_owned())).into_iter().collect())
    };
    let lib = ("", "mod a; mod b; pub use b::Thing;");
    let below = ("a::c", "use super::super::b;");
    for (a, b) in [
        ("use crate::b::Thing;", "use crate::a::c::Other;"),
        ("use super::{b::{self, Thing}};", "fn f() { crate::a::g() }"),
        ("use super::Thing;", "use super::a;"),
        ("", "use super::a::c;"),
    ] {
        assert_eq!(circle([lib, ("a", a), ("b", b), below]), ["a <-> b"], "{a} {b}");
    }
    // A module and those below it are one thing, and a word that only looks like a module is none.
    assert!(
        circle([lib, ("a", "mod c; use c::X; fn f() { b() }"), ("b", "use self::y::Z;"), below]).is_empty()
    );
}

/// The folders with the sources of every crate of the workspace: libraries, and programs of tests.
fn crates() -> Vec<PathBuf> {
    let root = root();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = manifest.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    let mut folders = Vec::new();
    for member in members.split('"').skip(1).step_by(2) {
        folders.push(root.join(member).join("src"));
        let programs = fs::read_dir(root.join(member).join("tests")).into_iter().flatten();
        folders.extend(programs.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    }
    folders.retain(|folder| ["lib.rs", "main.rs"].iter().any(|name| folder.join(name).exists()));
    assert!(folders.len() > 5, "{folders:?}");
    folders
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The files of a crate; programs in `bin` are crates of their own.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("bin") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn modules(folder: &Path) -> Modules {
    let mut modules = Modules::new();
    for file in files(folder) {
        let below = file.strip_prefix(folder).unwrap().with_extension("");
        let mut path: ModulePath =
            below.iter().map(|part| part.to_str().unwrap().to_owned()).filter(|part| part != "mod").collect();
        path.retain(|part| part != "lib" && part != "main");
        if !path.iter().any(|part| part == "tests") {
            modules.insert(path, code(&fs::read_to_string(&file).unwrap()));
        }
    }
    modules
}

/// A file's text without its tests, comments and strings.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.map(|line| line.split('"').step_by(2).collect::<String>() + "\n").collect()
}

/// Pairs of siblings of which each uses the other, itself or by way of more siblings. What is below a module
/// counts as the module.
fn circles(modules: &Modules) -> Vec<String> {
    let mut uses: BTreeMap<&[String], BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    let known: BTreeSet<&ModulePath> = modules.keys().collect();
    let targets: Vec<(&ModulePath, ModulePath)> = modules
        .iter()
        .flat_map(|(module, text)| paths(module, text).into_iter().map(move |path| (module, path)))
        .map(|(module, path)| (module, resolve(modules, &path)))
        .collect();
    for (module, target) in &targets {
        let shared = module.iter().zip(target).take_while(|(one, other)| one == other).count();
        if let (Some(from), Some(to), Some(above)) =
            (module.get(shared), target.get(shared), module.get(..shared))
            && known.contains(target)
        {
            uses.entry(above).or_default().entry(from).or_default().insert(to);
        }
    }
    let mut found = Vec::new();
    for siblings in uses.values() {
        for from in siblings.keys() {
            let reached = reached(siblings, from);
            let back = |to: &&&str| *to > from && self::reached(siblings, to).contains(*from);
            found.extend(reached.iter().filter(back).map(|to| format!("{from} <-> {to}")));
        }
    }
    found
}

fn reached<'a>(uses: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = uses.get(from).into_iter().flatten().copied().collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(uses.get(module).into_iter().flatten());
        }
    }
    reached
}

/// The module in which what a path names is defined, as far as re-exports tell.
fn resolve(modules: &Modules, path: &[String]) -> ModulePath {
    let len =
        (0..=path.len()).rev().find(|len| path.get(..*len).is_some_and(|head| modules.contains_key(head)));
    let (module, rest) = path.split_at(len.unwrap_or(0));
    let exported = rest.first().and_then(|item| {
        let exports = modules
            .get(module)?
            .split("pub")
            .filter_map(|part| part.split_once("use "))
            .map(|(_, use_)| use_);
        let trees = exports.filter_map(|export| Some(flat(export.split(';').next()?)));
        trees.flatten().find(|export| export.last() == Some(item) && export.len() > 1)
    });
    match exported {
        Some(export) => {
            let inner = [module, &export].concat();
            let is_below = export
                .first()
                .is_some_and(|child| modules.contains_key(&[module, std::slice::from_ref(child)].concat()));
            if is_below { resolve(modules, &inner) } else { module.to_vec() }
        }
        None => module.to_vec(),
    }
}

/// Every path in a module's text that begins with `crate` or `super`, from the crate on.
fn paths(module: &[String], text: &str) -> Vec<ModulePath> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in text.match_indices(start) {
            // The first word of a path only; later ones were found with it.
            if text.get(..at).is_some_and(|before| before.ends_with("::") || before.ends_with("super::")) {
                continue;
            }
            let rest = text.get(at..).unwrap_or_default();
            for path in flat(rest.split([';', '(', ')', '<', '>', '=']).next().unwrap_or_default()) {
                let supers = path.iter().take_while(|part| *part == "super").count();
                let (above, rest) = match path.first().map(String::as_str) {
                    Some("crate") => (0, path.get(1..)),
                    _ => (module.len().saturating_sub(supers), path.get(supers..)),
                };
                paths.push([module.get(..above).unwrap_or_default(), rest.unwrap_or_default()].concat());
            }
        }
    }
    paths
}

/// The paths of one tree of a `use`, such as `a::{b, c::{self, D}}`.
fn flat(tree: &str) -> Vec<ModulePath> {
    let (mut paths, mut above, mut path) = (Vec::new(), Vec::new(), ModulePath::new());
    let mut word = String::new();
    for letter in tree.chars().chain([',']) {
        match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => word.push(letter),
            ' ' if word == "as" => word.clear(),
            ':' | '\n' | ' ' | '*' | ',' | '{' | '}' => {
                let word = std::mem::take(&mut word);
                if !word.is_empty() && word != "self" {
                    path.push(word);
                }
                match letter {
                    '{' => above.push(path.clone()),
                    ',' | '}' => {
                        paths.push(std::mem::take(&mut path));
                        if letter == '}' {
                            above.pop();
                        }
                        let Some(above) = above.last() else { break };
                        path.clone_from(above);
                    }
                    _ => {}
                }
            }
            _ => {
                path.push(std::mem::take(&mut word));
                break;
            }
        }
    }
    paths.push(path);
    paths.retain(|path| !path.is_empty());
    paths
}

/// The names of types that are defined in more than one file, and the files.
fn defined_twice(folder: &Path) -> Vec<(String, Vec<String>)> {
    let mut defined: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files(folder) {
        for name in fs::read_to_string(&file).unwrap().lines().filter_map(type_name) {
            defined.entry(name).or_default().insert(shown(&file));
        }
    }
    defined.retain(|_, files| files.len() > 1);
    defined.into_iter().map(|(name, files)| (name, files.into_iter().collect())).collect()
}

/// The type that a line begins to define.
fn type_name(line: &str) -> Option<String> {
    let is_outside = !line.starts_with(' ');
    let mut words =
        line.trim_start().split([' ', '<', '(', '{', ';', ':', '=']).filter(|word| !word.is_empty());
    let mut word = words.next()?;
    if word == "pub" {
        word = words.find(|word| !["crate)", "super)"].contains(word))?;
    }
    let defines = ["struct", "enum", "trait"].contains(&word) || (word == "type" && is_outside);
    let name = words.next()?;
    (defines && name.starts_with(|letter: char| letter.is_ascii_uppercase())).then(|| name.to_owned())
}
