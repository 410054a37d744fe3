//! The mark of a restore into a folder that was empty: as long as it is there without a database, the folder
//! holds nothing but an unfinished restore, and the next one goes on in it.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use msgvault_platform::{Dir, Kind};
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::format::path::RelativePath;
use msgvault_verifier::system_names::is_of_a_system;

use super::names::{self, ATTACHMENTS, UNFINISHED};
use super::undo;

/// The longest text of a mark, in bytes.
const MAX_MARK: u64 = 256;
/// How deep empty folders are looked through.
const MAX_DEPTH: usize = 64;

/// Marks a folder as the target of an unfinished restore of this snapshot.
pub(super) fn mark(dir: &Dir, snapshot: &SnapshotId) -> io::Result<()> {
    clear(dir)?;
    let mut file = dir.create_file(&names::path(UNFINISHED)?)?;
    file.write_all(snapshot.to_string().as_bytes())?;
    file.sync_all()?;
    dir.sync()
}

/// Takes the mark away, if there is one; what is not a file is none.
pub(super) fn clear(dir: &Dir) -> io::Result<()> {
    let mark = names::path(UNFINISHED)?;
    match dir.stat(&mark) {
        Ok(stat) if stat.kind == Kind::File => dir.remove_file(&mark),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Takes the mark away when nothing else is there but what systems leave.
pub(super) fn clear_if_alone(dir: &Dir) -> io::Result<()> {
    let is_alone = |name: &str| name == UNFINISHED || is_of_a_system(name);
    let alone = dir.entries()?.iter().all(|entry| entry.text.as_deref().is_some_and(is_alone));
    if alone { clear(dir) } else { Ok(()) }
}

/// The snapshot of an unfinished restore; none when there is no mark, or something that such a restore did
/// not make.
pub(super) fn find(dir: &Dir) -> io::Result<Option<SnapshotId>> {
    let Some(snapshot) = read_mark(dir)? else { return Ok(None) };
    let entries = dir.entries()?;
    let names = || entries.iter().filter_map(|entry| entry.text.as_deref());
    let mut noted = BTreeSet::new();
    for id in names().filter_map(names::id_of).collect::<BTreeSet<_>>() {
        noted.extend(undo::noted_names(dir, id)?);
    }
    for entry in &entries {
        let Some(name) = &entry.text else { return Ok(None) };
        let is_its = names::is_leftover(name)
            || is_of_a_system(name)
            || noted.contains(name)
            || name == ATTACHMENTS
            || is_empty_folder(dir, name, MAX_DEPTH)?;
        if !is_its {
            return Ok(None);
        }
    }
    Ok(Some(snapshot))
}

fn read_mark(dir: &Dir) -> io::Result<Option<SnapshotId>> {
    let Some(file) = undo::open_own(dir, &names::path(UNFINISHED)?)? else { return Ok(None) };
    let mut text = String::new();
    let read = file.take(MAX_MARK).read_to_string(&mut text);
    Ok(read.ok().and_then(|_| text.parse().ok()))
}

/// Whether it is a folder with nothing in it but such folders.
fn is_empty_folder(dir: &Dir, name: &str, depth: usize) -> io::Result<bool> {
    let Ok(name) = RelativePath::parse(name) else { return Ok(false) };
    if depth == 0 || dir.stat(&name)?.kind != Kind::Folder {
        return Ok(false);
    }
    let folder = dir.open_dir(&name)?;
    for entry in folder.entries()? {
        let Some(name) = &entry.text else { return Ok(false) };
        if !is_empty_folder(&folder, name, depth - 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}
