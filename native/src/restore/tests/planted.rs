//! What looks like the traces of an interrupted restore and is not, or cannot be cleared away.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use msgvault_verifier::format::id::BlobId;

use super::tiny::Tiny;
use super::*;

const ID: &str = "01m849xq3wk3s4p8ybcf4313en";
const MINE: [(&str, &str); 3] =
    [("msgvault.db", "old"), ("notes/mine.txt", "precious"), ("attachments/a.jpg", "picture")];

/// A home with files of its own, and beside them a staged database, a note with this content, and what the
/// note would put in the place of the files.
fn home_with_note(folder: &Path, note: &str) -> PathBuf {
    let home = folder.join("home");
    let staged = format!("files.restore-{ID}");
    for name in ["notes", "attachments", &staged] {
        fs::create_dir_all(home.join(name)).unwrap();
    }
    for (name, content) in MINE {
        fs::write(home.join(name), content).unwrap();
    }
    for n in 0..3 {
        fs::write(home.join(format!("{staged}/o{n}")), "planted").unwrap();
    }
    fs::write(home.join(format!("{staged}/paths")), note).unwrap();
    fs::write(home.join(format!("{staged}/seal")), "").unwrap();
    fs::write(home.join(format!("msgvault.db.restore-{ID}")), "planted").unwrap();
    home
}

/// Gives the seal the date of a seal.
fn date_the_seal(home: &Path) {
    let seal = fs::File::options().write(true).open(home.join(format!("files.restore-{ID}/seal"))).unwrap();
    seal.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(550_000_000)).unwrap();
}

/// A note that says that these files came from the restore that wrote it.
fn note(files: &[(&str, &str)]) -> String {
    let line =
        |(path, content): &(&str, &str)| format!("[{path:?},\"{}\"]\n", BlobId::of(content.as_bytes()));
    files.iter().map(line).collect()
}

fn is_swept_without_harm(note: &str, is_sealed: bool) {
    let folder = tempfile::tempdir().unwrap();
    let home = home_with_note(folder.path(), note);
    if is_sealed {
        date_the_seal(&home);
    }
    leftovers::sweep(&Dir::open(&home).unwrap()).unwrap();
    let left: Vec<_> = tree(&home).into_iter().map(|(name, (_, content))| (name, content)).collect();
    let mut mine = MINE.map(|(name, content)| (name.to_owned(), content.as_bytes().to_vec())).to_vec();
    mine.sort();
    assert_eq!(left, mine, "{note}");
}

#[test]
fn a_note_that_a_snapshot_brought_does_nothing() {
    is_swept_without_harm(r#"["notes/mine.txt","notes/other.txt"]"#, false);
    is_swept_without_harm(&note(&MINE[1..]), false);
    is_swept_without_harm("", false);
}

#[test]
fn a_sealed_note_with_a_bad_path_does_nothing() {
    let long = "x".repeat(256);
    for bad in ["msgvault.db", "attachments", "../mine", "notes/../notes/mine.txt", "daemon.lock", &long] {
        is_swept_without_harm(&note(&[MINE[1], (bad, "old")]), true);
    }
    is_swept_without_harm(r#"["notes/mine.txt"]"#, true);
}

#[test]
fn a_sealed_note_touches_only_files_that_hold_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let home = home_with_note(
        folder.path(),
        &note(&[("notes/mine.txt", "other"), ("attachments/a.jpg", "picture")]),
    );
    date_the_seal(&home);
    leftovers::sweep(&Dir::open(&home).unwrap()).unwrap();
    assert_eq!(fs::read(home.join("notes/mine.txt")).unwrap(), b"precious");
    assert_eq!(fs::read(home.join("attachments/a.jpg")).unwrap(), b"planted");
}

/// Collects warnings.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Observer for Warnings {
    fn warn(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

#[test]
fn leftovers_that_cannot_be_removed_are_named_and_block_no_restore() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    let snapshot = Tiny::sample().write(&root);
    let home = home_with_note(folder.path(), &format!("[{:?}]", "x".repeat(256)));
    let staged = home.join(format!("files.restore-{ID}"));
    fs::create_dir_all(staged.join("deep/er")).unwrap();
    fs::write(staged.join("ends in a dot."), "").unwrap();
    for _ in 0..2 {
        let warnings = Warnings::default();
        restore(&warnings, &root, &snapshot, &home, |request| request.overwrite = true).unwrap();
        let warnings = warnings.0.into_inner().unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        for name in ["/deep\"", "/ends in a dot.\""] {
            assert!(warnings[0].contains(name), "{warnings:?}");
        }
        let names: Vec<_> = fs::read_dir(&staged).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}

#[test]
fn a_folder_in_the_place_of_the_mark_blocks_no_restore() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    let snapshot = Tiny::sample().write(&root);
    let home = folder.path().join("home");
    fs::create_dir_all(home.join("target.restore-unfinished/x")).unwrap();
    let warnings = Warnings::default();
    restore(&warnings, &root, &snapshot, &home, |_| ()).unwrap();
    assert_eq!(warnings.0.into_inner().unwrap().len(), 1);
}
