//! What an interrupted restore left in its target.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use msgvault_platform::{Dir, Kind};
use msgvault_verifier::format::id::FileId;

use super::names::{SIDECARS, aside, files, id_of, path, staged_database};
use super::undo;

/// How many names a warning holds.
const SHOWN: usize = 3;

/// What a sweep did.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// How many names were removed.
    pub(super) removed: usize,
    /// What is still there, and why.
    pub(super) left: Vec<(String, io::Error)>,
}

impl Swept {
    fn note(&mut self, name: &str, removed: io::Result<bool>) {
        match removed {
            Ok(removed) => self.removed += usize::from(removed),
            Err(error) => self.left.push((name.to_owned(), error)),
        }
    }

    /// What a person should know; none when everything is gone.
    pub(super) fn warning(&self, target: &Path) -> Option<String> {
        let (_, reason) = self.left.first()?;
        let names: Vec<String> = self.left.iter().map(|(name, _)| format!("{name:?}")).collect();
        let shown = names.get(..SHOWN).unwrap_or(&names).join(", ");
        let more = names.len().checked_sub(SHOWN).filter(|more| *more > 0);
        let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
        Some(format!(
            "an earlier restore into {} was interrupted, and of what it left {shown}{more} could not be cleared away \
             ({reason}); the restore goes on, and you may remove them",
            target.display()
        ))
    }
}

/// Takes back and removes what interrupted restores left. What cannot be cleared away is left and named; what
/// could not be taken back is not removed either.
pub(super) fn sweep(dir: &Dir) -> io::Result<Swept> {
    let names = dir.entries()?.into_iter().filter_map(|entry| entry.text);
    let ids: BTreeSet<FileId> = names.filter_map(|name| id_of(&name)).collect();
    let mut swept = Swept::default();
    for id in ids {
        match undo::take_back(dir, id) {
            Ok(()) => remove_all(dir, id, &mut swept),
            Err(error) => swept.left.push((files(id), error)),
        }
    }
    Ok(swept)
}

/// Removes all that a restore put under names of its own.
pub(super) fn remove_all(dir: &Dir, id: FileId, swept: &mut Swept) {
    let database = staged_database(id);
    let removed = remove(dir, &database, swept);
    let is_gone = removed.is_ok();
    swept.note(&database, removed);
    if !is_gone {
        // As long as it is there everything is taken back, for which the files have to be whole.
        return;
    }
    // Without the database nothing is taken back any more.
    if let Err(error) = dir.sync() {
        swept.left.push((files(id), error));
        return;
    }
    let beside = SIDECARS.iter().flat_map(|sidecar| [format!("{database}{sidecar}"), aside(sidecar, id)]);
    for name in beside.chain([files(id)]) {
        let removed = remove(dir, &name, swept);
        swept.note(&name, removed);
    }
}

/// Removes a file, or a folder with the files in it. Folders in that are not a restore's, and it stays with
/// them.
fn remove(dir: &Dir, name: &str, swept: &mut Swept) -> io::Result<bool> {
    let name = path(name)?;
    let kind = match dir.stat(&name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        stat => stat?.kind,
    };
    match kind {
        Kind::File => dir.remove_file(&name)?,
        Kind::Folder => {
            for entry in dir.open_dir(&name)?.entries()? {
                let within = format!("{name}/{}", entry.name.display());
                let removed = match entry.text {
                    Some(_) => path(&within).and_then(|path| dir.remove_file(&path)),
                    None => Err(io::Error::other("its name is not UTF-8")),
                };
                if let Err(error) = removed {
                    swept.left.push((within, error));
                }
            }
            dir.remove_dir(&name)?;
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
        let swept = sweep(&dir).unwrap();
        assert_eq!((swept.removed, swept.left.len()), (4, 0));
        let names = dir.entries().unwrap();
        assert_eq!(names.iter().map(|name| name.text.as_deref()).collect::<Vec<_>>(), [Some("msgvault.db")]);
    }
}
