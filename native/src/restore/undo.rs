//! Taking back the renames of a restore that did not come to the last one, whether it failed or was killed.
//!
//! Before the first rename it is noted beside the staged files where each of them goes and what it holds.
//! From the note, and from which of the names are there, follows what was renamed.
//!
//! A note is believed only when it is sealed: an empty file beside it bears a date at which nothing was
//! written. A snapshot decides on names, bytes and permissions of what a restore writes, but never on dates,
//! so that no note can come out of a repository, not even by an earlier program that took such names. Whoever
//! may write to the target by other means could forge one; owner and bounds are looked at, and no more is
//! promised.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::time::{Duration, SystemTime};

use msgvault_platform::{Dir, Kind};
use msgvault_verifier::format::id::{BlobId, FileId};
use msgvault_verifier::format::path::{ExtraPath, RelativePath};

use super::content;
use super::names::{self, ATTACHMENTS, DATABASE, SIDECARS};

/// The note among the staged files.
const NOTE: &str = "paths";
/// What vouches for the note.
const SEAL: &str = "seal";
/// The date of a seal, in seconds since 1970: some day in 1987.
const SEAL_DATE: u64 = 550_000_000;
/// How far off the date may be read again: some file systems keep local times.
const SEAL_TOLERANCE: Duration = Duration::from_hours(24);
/// The most files that a note names.
const MAX_FILES: usize = 4_000_000;
/// The most bytes of a note.
const MAX_NOTE: u64 = 1 << 30;

/// Where a staged file goes, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) path: RelativePath,
    pub(super) blob: BlobId,
}

/// A note that is proven to be of a restore into this folder.
#[derive(Debug)]
struct Note {
    destinations: Vec<Destination>,
    written: SystemTime,
}

/// Notes where the staged files go, in order, and seals the note. Says whether the note will be believed: not
/// on a file system that keeps no dates.
pub(super) fn write_note<'a>(
    dir: &Dir,
    id: FileId,
    destinations: impl ExactSizeIterator<Item = &'a Destination>,
) -> io::Result<bool> {
    let count = destinations.len();
    if count > MAX_FILES {
        return Err(io::Error::other(format!(
            "{count} files are more than the {MAX_FILES} that can be replaced at once"
        )));
    }
    let mut note = BufWriter::new(dir.create_file(&staged(id, NOTE)?)?);
    for Destination { path, blob } in destinations {
        serde_json::to_writer(&mut note, &(path.as_str(), blob.to_string()))?;
        note.write_all(b"\n")?;
    }
    note.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    let seal = dir.create_file(&staged(id, SEAL)?)?;
    seal.set_modified(seal_date())?;
    seal.sync_all()?;
    Ok(read_note(dir, id)?.is_some_and(|note| note.destinations.len() == count))
}

/// Gives the old files and the old database's log their names back, as long as the staged database has not
/// taken the old one's place. What was written since the note belongs to somebody else and stays. One file
/// that cannot be taken back does not keep the others from it; the first reason is returned.
pub(super) fn take_back(dir: &Dir, id: FileId) -> io::Result<()> {
    let Some(Note { destinations, written }) = read_note(dir, id)? else { return Ok(()) };
    if modified(dir, &names::path(&names::staged_database(id))?)?.is_none() {
        return Ok(());
    }
    let files = destinations.iter().enumerate().map(|(n, destination)| {
        let (new, old) = (staged(id, &format!("e{n}"))?, staged(id, &format!("o{n}"))?);
        take_back_file(dir, destination, &new, &old, written)
    });
    let mut first = Ok(());
    for taken_back in files {
        first = first.and(taken_back);
    }
    // A log fits only the database that it was set aside from.
    let is_used = modified(dir, &names::path(DATABASE)?)?.is_some_and(|time| time > written);
    for sidecar in SIDECARS.iter().filter(|_| !is_used) {
        let aside = names::path(&names::aside(sidecar, id))?;
        first = first.and(put_back(dir, &aside, &names::path(&format!("{DATABASE}{sidecar}"))?));
    }
    first.and(dir.sync())
}

/// The names in the folder itself under which something of the noted files lies.
pub(super) fn noted_names(dir: &Dir, id: FileId) -> io::Result<Vec<String>> {
    let destinations = read_note(dir, id)?.map_or_else(Vec::new, |note| note.destinations);
    let first = |destination: &Destination| destination.path.components().next().map(str::to_owned);
    Ok(destinations.iter().filter_map(first).collect())
}

/// Moves the new file, if it got to its place, back to `new`, and then the old one from `old` to the place.
fn take_back_file(
    dir: &Dir,
    destination: &Destination,
    new: &RelativePath,
    old: &RelativePath,
    written: SystemTime,
) -> io::Result<()> {
    let Destination { path, blob } = destination;
    if modified(dir, new)?.is_none()
        && modified(dir, path)?.is_some_and(|time| time <= written)
        && content::is_at(dir, path, blob, None)?
    {
        dir.rename_new(path, new)?;
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

/// The note; none when there is no whole one that is proven, and so no rename was made.
fn read_note(dir: &Dir, id: FileId) -> io::Result<Option<Note>> {
    let Some(seal) = open_own(dir, &staged(id, SEAL)?)? else { return Ok(None) };
    let seal = seal.metadata()?;
    let date = seal.modified()?;
    let off = date.duration_since(seal_date()).unwrap_or_else(|early| early.duration());
    if seal.len() != 0 || off > SEAL_TOLERANCE {
        return Ok(None);
    }
    let Some(file) = open_own(dir, &staged(id, NOTE)?)? else { return Ok(None) };
    let metadata = file.metadata()?;
    if metadata.len() > MAX_NOTE {
        return Ok(None);
    }
    let lines = BufReader::new(file.take(MAX_NOTE)).lines();
    let mut destinations = Vec::new();
    for line in lines {
        let Some(destination) = parse(&line?).filter(|_| destinations.len() < MAX_FILES) else {
            return Ok(None);
        };
        destinations.push(destination);
    }
    Ok(Some(Note { destinations, written: metadata.modified()? }))
}

/// A regular file that belongs to whoever runs this or to whom the folder belongs.
pub(super) fn open_own(dir: &Dir, path: &RelativePath) -> io::Result<Option<File>> {
    if modified(dir, path)?.is_none() {
        return Ok(None);
    }
    let file = dir.open_file(path)?;
    Ok(dir.is_own(&file)?.then_some(file))
}

/// A line of a note, which names an attachment or another file and never the database.
fn parse(line: &str) -> Option<Destination> {
    let (text, blob): (String, String) = serde_json::from_str(line).ok()?;
    let path = RelativePath::parse(&text).ok().filter(|path| path.as_str() == text)?;
    let is_attachment = path.as_str().strip_prefix(ATTACHMENTS).is_some_and(|below| below.starts_with('/'));
    let is_allowed = is_attachment || ExtraPath::parse(&text).is_ok();
    is_allowed.then_some(Destination { path, blob: blob.parse().ok()? })
}

fn staged(id: FileId, name: &str) -> io::Result<RelativePath> {
    names::path(&format!("{}/{name}", names::files(id)))
}

fn seal_date() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(SEAL_DATE)
}
