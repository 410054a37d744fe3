//! Every command line in the documents is one that the programs understand, and the walk-throughs run as they are
//! written.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use msgvault_tests::programs::{Outcome, msgvault, program, run};
use msgvault_tests::sample::{self, Options};

/// Patterns of commands and no commands.
const PATTERNS: [&str; 2] = ["msgvault backup NAME", "msgvault backup restore ID --target /tmp/old"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All documents and examples, with their names.
fn documents() -> Vec<(String, String)> {
    let root = root();
    let mut found: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root.join(name)).into();
    for folder in ["docs", "docs/examples"] {
        let entries = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        found.extend(entries.filter(|path| path.is_file()));
    }
    found.sort();
    let named = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        (name, fs::read_to_string(path).unwrap())
    };
    found.into_iter().map(named).collect()
}

/// What a document says of a command.
enum Piece {
    /// A line to type.
    Line(String),
    /// A text between backticks, which may leave out what a command needs.
    Mention(String),
}

/// The lines of blocks and what is between backticks; all lines of an example.
fn pieces(name: &str, text: &str) -> Vec<Piece> {
    let line = |line: &str| Piece::Line(line.to_owned());
    if !name.ends_with(".md") {
        return text.lines().map(line).collect();
    }
    let (mut found, mut is_code) = (Vec::new(), false);
    for text in text.lines() {
        match text.trim_start().starts_with("```") {
            true => is_code = !is_code,
            false if is_code => found.push(line(text)),
            false => {
                let spans = text.split('`').skip(1).step_by(2);
                found.extend(spans.map(|text| Piece::Mention(text.to_owned())));
            }
        }
    }
    found
}

/// A piece of a document as a command of ours, if it is one: without prompt, comment and what a shell makes of its
/// output.
fn command(piece: &str) -> Option<Vec<String>> {
    let piece = piece.trim().trim_start_matches("$ ").trim_start_matches("sudo ");
    let piece = piece.split(" #").next()?.split(" | ").next()?.split(" > ").next()?.split(" || ").next()?;
    // A unit and a crontab name the program with its folder.
    let piece = match piece.split_once("/.local/bin/msgvault ") {
        Some((_, rest)) => format!("msgvault {rest}"),
        None => piece.split(" && ").next()?.to_owned(),
    };
    let words: Vec<String> = piece.split_whitespace().map(str::to_owned).collect();
    let first = words.first()?.as_str();
    let is_option = words.get(1).is_some_and(|word| word.starts_with("--"));
    let before: &[&str] = match first {
        "msgvault" | "msgvault-verify" => &[],
        "backup" | "serve" | "daemon" if is_option || words.len() > 1 => &["msgvault"],
        "init" | "create" | "list" | "verify" | "repair" | "restore" if is_option => &["msgvault", "backup"],
        _ => return None,
    };
    let words: Vec<String> = before.iter().map(|word| (*word).to_owned()).chain(words).collect();
    // Prose begins with the name too, and goes on with a word that is neither command nor option.
    let known = ["backup", "serve", "daemon", "completions", "man", "inspect"];
    let second = words.get(1)?;
    let is_command = second.starts_with('-') || known.contains(&second.as_str());
    let is_verifier =
        words.first()? == "msgvault-verify" && (second.starts_with('/') || second == "REPO" || second == ".");
    (is_command || is_verifier).then_some(words)
}

/// What stands for a value, and a value.
fn filled_in(word: &str) -> Option<String> {
    let word = word.trim_matches(|char| "[]".contains(char)).trim_end_matches([',', ';', ')']);
    Some(match word {
        "…" | "" => return None,
        "N" => "1".to_owned(),
        "DURATION" => "1h".to_owned(),
        "SHELL" => "bash".to_owned(),
        "HEX" => "0".repeat(64),
        _ => word.to_owned(),
    })
}

/// Whether a command line is one that there is. It runs where it can do no harm, and where there is nothing that it
/// could succeed with.
fn is_understood(words: &[String]) -> Result<(), Outcome> {
    let nowhere = tempfile::tempdir().unwrap();
    let name = words.first().unwrap();
    let mut command = if name == "msgvault" { msgvault() } else { Command::new(program(name)) };
    command.current_dir(nowhere.path()).env("HOME", nowhere.path());
    let outcome = run(command.args(words.iter().skip(1).filter_map(|word| filled_in(word))));
    // What a command itself refuses has the program's name before it.
    if outcome.stderr.starts_with("error: ") { Err(outcome) } else { Ok(()) }
}

#[test]
fn every_command_in_the_documents_is_understood() {
    let mut seen = 0;
    for (name, text) in documents() {
        for piece in pieces(&name, &text) {
            let (Piece::Line(text) | Piece::Mention(text)) = &piece;
            let Some(words) = command(text) else { continue };
            if PATTERNS.contains(&words.join(" ").as_str()) {
                continue;
            }
            if let Err(outcome) = is_understood(&words) {
                let lacks_arguments = ["required arguments were not provided", "folder is missing"]
                    .iter()
                    .any(|lack| outcome.stderr.contains(lack));
                let is_mention = matches!(piece, Piece::Mention(_));
                assert!(is_mention && lacks_arguments, "{name}: {words:?}: {outcome:?}");
            }
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen} commands are not all");
}

#[test]
fn a_wrong_command_in_a_document_is_noticed() {
    let words = |piece| command(piece).unwrap();
    for piece in [
        "msgvault backup create --no-such-flag",
        "$ msgvault-verify /media/backup --no-such-flag",
        "0 3 * * *  $HOME/.local/bin/msgvault -q backup crate",
        "verify --retry-lock 90",
        "msgvault backup restore --overwrite latest",
    ] {
        assert!(is_understood(&words(piece)).is_err(), "{piece}");
    }
    assert_eq!(
        words("msgvault backup list --json | jq -r .repo_id  # a comment").join(" "),
        "msgvault backup list --json"
    );
    for prose in ["msgvault keeps mail", "create a folder", "msgvault"] {
        assert_eq!(command(prose), None, "{prose}");
    }
}

/// The code blocks of a language in a text.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<String> {
    let (mut found, mut open): (Vec<Vec<&'t str>>, _) = (Vec::new(), false);
    for line in text.lines() {
        let fence = line.trim_start();
        if open && fence.starts_with("```") {
            open = false;
        } else if fence == format!("```{language}") {
            found.push(Vec::new());
            open = true;
        } else if open {
            found.last_mut().unwrap().push(line.trim_start());
        }
    }
    found.into_iter().map(|lines| lines.join("\n")).collect()
}

#[test]
fn every_configuration_in_the_documents_is_understood() {
    let mut seen = 0;
    for (name, text) in documents() {
        for block in blocks(&text, "toml") {
            let home = tempfile::tempdir().unwrap();
            let in_section = if block.contains('[') { block } else { format!("[backup]\n{block}") };
            if in_section.contains("repo_id") {
                continue;
            }
            fs::write(home.path().join("config.toml"), &in_section).unwrap();
            let outcome = run(msgvault().args(["daemon", "status", "--home"]).arg(home.path()));
            assert_eq!(outcome.stdout, "no daemon runs\n", "{name}: {in_section}: {outcome:?}");
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen} configurations are not all");
}

/// A user with an archive, an empty disk, and our programs.
struct User {
    folder: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let user = Self { folder };
        sample::make(
            &user.path("home/.msgvault"),
            &Options { secrets: true, size: 300 << 10, ..Options::default() },
        )
        .unwrap();
        user
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Does what a document says, on this user's folders instead of those that it names.
    fn follow(&self, script: &str) -> Outcome {
        let mut script = script.to_owned();
        for (named, own) in [
            ("/media/backup/mail", "repo"),
            ("/media/second/mail", "second"),
            ("/srv/mail", "repo"),
            ("/tmp/look", "look"),
            ("~/.msgvault", "home/restored"),
        ] {
            script = script.replace(named, &self.path(own).display().to_string());
        }
        let programs = program("msgvault").parent().unwrap().to_owned();
        let path =
            env::join_paths([programs].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap())))
                .unwrap();
        let mut shell = Command::new("sh");
        shell.arg("-euc").arg(&script).current_dir(self.folder.path());
        for name in ["MSGVAULT_HOME", "MSGVAULT_REPO"] {
            shell.env_remove(name);
        }
        run(shell.env("PATH", path).env("HOME", self.path("home")))
    }
}

#[test]
fn ten_years_of_commands_run_as_written() {
    let text = fs::read_to_string(root().join("docs/ten-years.md")).unwrap();
    let user = User::new();
    let config = blocks(&text, "toml").remove(0);
    let repo = user.path("repo").display().to_string();
    fs::write(user.path("home/.msgvault/config.toml"), config.replace("/media/backup/mail", &repo)).unwrap();
    let _ = user.follow("msgvault backup init").done();
    let blocks = blocks(&text, "sh");
    let [nightly, stats, copy, coreutils, repair] = blocks.as_slice() else {
        panic!("{} blocks", blocks.len())
    };
    for _ in 0..2 {
        let _ = user.follow(nightly).done();
        assert!(user.follow(stats).done().stdout.contains("in a year"));
        let copied = user.follow(copy).done();
        assert!(copied.stdout.contains("Intact: "), "{copied:?}");
        let _ = user.follow(coreutils).done();
    }
    let pack = user.follow("find /media/backup/mail/packs -name '*.mvpack' | sort | head -n 1").done().stdout;
    let whole = fs::read(pack.trim()).unwrap();
    let mut bad = whole.clone();
    bad[whole.len() / 2] ^= 1;
    fs::write(pack.trim(), bad).unwrap();
    let repaired = user.follow(repair).done();
    assert!(repaired.stdout.ends_with("Nothing is wrong any more.\n"), "{repaired:?}");
    assert_eq!(fs::read(pack.trim()).unwrap(), whole);
    let _ = user
        .follow("msgvault backup hold latest --reason tax; msgvault backup restore --target /tmp/look")
        .done();
}

/// The shell block of a document that contains this.
fn block_with(document: &str, part: &str) -> String {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let found = blocks(&text, "sh").into_iter().find(|block| block.contains(part));
    found.unwrap_or_else(|| panic!("{document} has no block with {part}"))
}

#[test]
fn the_walk_throughs_of_readme_and_guide_run_as_written() {
    let readme = block_with("README.md", "backup init");
    let (build, rest) = readme.split_once('\n').unwrap();
    assert!(build.starts_with("cargo build"), "{build}");
    let _ = User::new().follow(rest).done();

    let user = User::new();
    let quick_start = user.follow(&block_with("docs/guide.md", "backup init")).done();
    assert!(quick_start.stdout.contains("Intact: "), "{quick_start:?}");
    let with_repo = |script: String| format!("export MSGVAULT_REPO=/media/backup/mail\n{script}");
    let _ = user.follow(&with_repo(block_with("docs/guide.md", "--restore-check"))).done();
    let _ = user.follow(&with_repo(block_with("docs/guide.md", "--allow-plaintext-secrets"))).done();
    let _ = user.follow(&block_with("docs/guide.md", "msgvault-verify inspect /srv/mail")).done();
    let _ = user.follow(&block_with("docs/guide.md", "--repo /srv/mail --target ~/.msgvault")).done();
    assert!(user.path("home/restored/msgvault.db").is_file());
    let _ = user
        .follow(
            &block_with("README.md", "msgvault-verify inspect").replace("scripts/build-static.sh", "true"),
        )
        .done();

    let pinning = block_with("docs/guide.md", "jq -r .snapshot_id");
    if user.follow("jq --version").code == 0 {
        let id = user.follow(&pinning).done().stdout;
        let later = block_with("docs/guide.md", "msgvault-verify /srv/mail 2026");
        let named = later.split_whitespace().find(|word| word.starts_with("2026")).unwrap().to_owned();
        fs::remove_dir_all(user.path("home/restored")).unwrap();
        let _ = user.follow(&with_repo(later.replace(&named, id.trim()))).done();
    } else {
        eprintln!("SKIPPED: the pinning of a snapshot's ID, which takes jq");
    }
}
