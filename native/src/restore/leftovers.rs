//! The names of what a restore puts into its target for a while, and what an interrupted one left there.

use std::collections::BTreeSet;
use std::io;

use msgvault_platform::{Dir, Kind};
use msgvault_verifier::format::id::FileId;
use msgvault_verifier::format::path::{RESTORE_MARK as MARK, RelativePath};

use super::undo;

/// The database.
pub(super) const DATABASE: &str = "msgvault.db";
/// The folder of attachments.
pub(super) const ATTACHMENTS: &str = "attachments";
/// What SQLite keeps beside a database.
pub(super) const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// The folder of files that have no place yet.
const FILES: &str = "files";

/// The name of the staged database.
pub(super) fn staged_database(id: FileId) -> String {
    format!("{DATABASE}{MARK}{id}")
}

/// The name of an old sidecar that was set aside.
pub(super) fn aside(sidecar: &str, id: FileId) -> String {
    format!("{DATABASE}{sidecar}{MARK}{id}")
}

/// The name of the folder of staged files.
pub(super) fn files(id: FileId) -> String {
    format!("{FILES}{MARK}{id}")
}

/// Whether a restore made this name.
pub(super) fn is_leftover(name: &str) -> bool {
    id_of(name).is_some()
}

fn id_of(name: &str) -> Option<FileId> {
    let (stem, mut tail) = name.split_once(MARK)?;
    if stem == DATABASE {
        // SQLite's own files beside the staged database.
        tail = SIDECARS.iter().find_map(|sidecar| tail.strip_suffix(sidecar)).unwrap_or(tail);
    } else if stem != FILES && !SIDECARS.iter().any(|sidecar| stem.strip_prefix(DATABASE) == Some(sidecar)) {
        return None;
    }
    tail.parse().ok()
}

/// Takes back and removes what interrupted restores left, and says how many names that were.
pub(super) fn sweep(dir: &Dir) -> io::Result<usize> {
    let names = dir.entries()?.into_iter().filter_map(|entry| entry.text);
    let ids: BTreeSet<FileId> = names.filter_map(|name| id_of(&name)).collect();
    ids.into_iter().try_fold(0, |swept, id| {
        undo::take_back(dir, id)?;
        Ok(swept + remove_all(dir, id)?)
    })
}

/// Removes all that a restore put under names of its own, and says how many names that were.
pub(super) fn remove_all(dir: &Dir, id: FileId) -> io::Result<usize> {
    let database = staged_database(id);
    let mut swept = usize::from(remove(dir, &path(&database)?)?);
    // Without the database nothing is taken back any more, for which the files would have to be whole.
    dir.sync()?;
    let beside = SIDECARS.iter().flat_map(|sidecar| [format!("{database}{sidecar}"), aside(sidecar, id)]);
    for name in beside.chain([files(id)]) {
        swept += usize::from(remove(dir, &path(&name)?)?);
    }
    Ok(swept)
}

/// Removes a file, or a folder with the files in it; anything else is not a restore's and stays.
fn remove(dir: &Dir, name: &RelativePath) -> io::Result<bool> {
    let kind = match dir.stat(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        stat => stat?.kind,
    };
    match kind {
        Kind::File => dir.remove_file(name)?,
        Kind::Folder => {
            for entry in dir.open_dir(name)?.entries()? {
                if let Some(text) = entry.text {
                    dir.remove_file(&path(&format!("{name}/{text}"))?)?;
                }
            }
            dir.remove_dir(name)?;
        }
        Kind::Link | Kind::Other => return Ok(false),
    }
    Ok(true)
}

/// A name that this program made up.
pub(super) fn path(name: &str) -> io::Result<RelativePath> {
    RelativePath::parse(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidFilename, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01m849xq3wk3s4p8ybcf4313en";

    #[test]
    fn only_exactly_these_names_are_leftovers() {
        for name in ["msgvault.db", "msgvault.db-wal", "msgvault.db-shm", "msgvault.db-journal", "files"] {
            assert!(is_leftover(&format!("{name}.restore-{ID}")), "{name}");
        }
        assert!(is_leftover(&format!("msgvault.db.restore-{ID}-wal")));
        for name in [
            "msgvault.db".to_owned(),
            "msgvault.db.restore-".to_owned(),
            format!("notes.restore-{ID}"),
            format!("msgvault.db-x.restore-{ID}"),
            format!("msgvault.db.restore-{}", ID.to_uppercase()),
            format!("msgvault.db.restore-{ID}.txt"),
            format!("files.restore-{ID}-wal"),
        ] {
            assert!(!is_leftover(&name), "{name}");
        }
    }

    #[test]
    fn leftovers_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(folder.path().join(name), name).unwrap();
        write("msgvault.db");
        write(&format!("msgvault.db.restore-{ID}"));
        write(&format!("msgvault.db.restore-{ID}-wal"));
        write("msgvault.db-shm.restore-01m849xq3wk3s4p8ybcf4313em");
        std::fs::create_dir(folder.path().join(format!("files.restore-{ID}"))).unwrap();
        write(&format!("files.restore-{ID}/a1"));
        let dir = Dir::open(folder.path()).unwrap();
        assert_eq!(sweep(&dir).unwrap(), 4);
        let names = dir.entries().unwrap();
        assert_eq!(names.iter().map(|name| name.text.as_deref()).collect::<Vec<_>>(), [Some("msgvault.db")]);
    }
}
