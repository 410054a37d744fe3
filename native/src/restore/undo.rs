//! Taking back the renames of a restore that did not come to the last one, whether it failed or was killed.
//!
//! Before the first rename the paths of the other files are noted beside the staged ones. From the note, and
//! from which of the names are there, follows what was renamed.

use std::io::{self, Read};
use std::time::SystemTime;

use msgvault_platform::{Dir, Kind};
use msgvault_verifier::format::extras::ExtraFile;
use msgvault_verifier::format::id::FileId;
use msgvault_verifier::format::path::RelativePath;

use super::names::{self, DATABASE, SIDECARS};

/// The note among the staged files.
const NOTE: &str = "paths";

/// The name and the content of the note: where the staged files go, in order.
pub(super) fn note(id: FileId, extras: &[ExtraFile]) -> io::Result<(RelativePath, Vec<u8>)> {
    let paths: Vec<&str> = extras.iter().map(|extra| extra.path.relative().as_str()).collect();
    Ok((note_name(id)?, serde_json::to_vec(&paths)?))
}

/// Gives the old files and the old database's log their names back, as long as the staged database has not
/// taken the old one's place. What was written since the note belongs to somebody else and stays.
pub(super) fn take_back(dir: &Dir, id: FileId) -> io::Result<()> {
    let staged_database = names::path(&names::staged_database(id))?;
    let Some((paths, noted)) = read_note(dir, id)? else { return Ok(()) };
    if modified(dir, &staged_database)?.is_none() {
        return Ok(());
    }
    for (n, path) in paths.iter().enumerate() {
        let staged = |kind: char| names::path(&format!("{}/{kind}{n}", names::files(id)));
        take_back_file(dir, path, &staged('e')?, &staged('o')?, noted)?;
    }
    // A log fits only the database that it was set aside from.
    let is_used = modified(dir, &names::path(DATABASE)?)?.is_some_and(|time| time > noted);
    for sidecar in SIDECARS.iter().filter(|_| !is_used) {
        let aside = names::path(&names::aside(sidecar, id))?;
        put_back(dir, &aside, &names::path(&format!("{DATABASE}{sidecar}"))?)?;
    }
    dir.sync()
}

/// Moves the new file at `path`, if it got there, back to `new`, and then the old one from `old` to `path`.
fn take_back_file(
    dir: &Dir,
    path: &RelativePath,
    new: &RelativePath,
    old: &RelativePath,
    noted: SystemTime,
) -> io::Result<()> {
    if modified(dir, new)?.is_none() {
        match modified(dir, path)? {
            Some(time) if time <= noted => dir.rename(path, new)?,
            _ => {}
        }
    }
    put_back(dir, old, path)
}

fn put_back(dir: &Dir, from: &RelativePath, to: &RelativePath) -> io::Result<()> {
    match dir.rename_new(from, to) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
            Ok(())
        }
        renamed => renamed,
    }
}

/// When a file or link was written; none when there is neither.
fn modified(dir: &Dir, path: &RelativePath) -> io::Result<Option<SystemTime>> {
    match dir.stat(path) {
        Ok(stat) => Ok(matches!(stat.kind, Kind::File | Kind::Link).then_some(stat.modified)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The noted paths and when they were noted; none when there is not a whole note, and so no rename was made.
fn read_note(dir: &Dir, id: FileId) -> io::Result<Option<(Vec<RelativePath>, SystemTime)>> {
    let mut file = match dir.open_file(&note_name(id)?) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let noted = file.metadata()?.modified()?;
    let mut json = Vec::new();
    file.read_to_end(&mut json)?;
    let Ok(paths) = serde_json::from_slice::<Vec<String>>(&json) else { return Ok(None) };
    let paths = paths.iter().map(|path| names::path(path)).collect::<io::Result<Vec<_>>>();
    Ok(paths.ok().map(|paths| (paths, noted)))
}

fn note_name(id: FileId) -> io::Result<RelativePath> {
    names::path(&format!("{}/{NOTE}", names::files(id)))
}
