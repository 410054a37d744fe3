//! What an interrupted restore left in its target.

use std::collections::BTreeSet;
use std::io;

use msgvault_platform::{Dir, Kind};
use msgvault_verifier::format::id::FileId;
use msgvault_verifier::format::path::RelativePath;

use super::names::{SIDECARS, aside, files, id_of, path, staged_database};
use super::undo;

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

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01m849xq3wk3s4p8ybcf4313en";

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
