//! The names of what a restore puts into its target, for good or for a while.

use std::io;

use msgvault_verifier::format::id::FileId;
use msgvault_verifier::format::path::{RESTORE_MARK, RelativePath};

/// The database.
pub(super) const DATABASE: &str = "msgvault.db";
/// The folder of attachments.
pub(super) const ATTACHMENTS: &str = "attachments";
/// What SQLite keeps beside a database.
pub(super) const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// The mark of an unfinished restore into a folder that was empty.
pub(super) const UNFINISHED: &str = "target.restore-unfinished";
/// The folder of files that have no place yet.
const FILES: &str = "files";

/// The name of the staged database.
pub(super) fn staged_database(id: FileId) -> String {
    format!("{DATABASE}{RESTORE_MARK}{id}")
}

/// The name of an old sidecar that was set aside.
pub(super) fn aside(sidecar: &str, id: FileId) -> String {
    format!("{DATABASE}{sidecar}{RESTORE_MARK}{id}")
}

/// The name of the folder of staged files.
pub(super) fn files(id: FileId) -> String {
    format!("{FILES}{RESTORE_MARK}{id}")
}

/// Whether a restore made this name.
pub(super) fn is_leftover(name: &str) -> bool {
    name == UNFINISHED || id_of(name).is_some()
}

/// The ID in a name that a restore made.
pub(super) fn id_of(name: &str) -> Option<FileId> {
    let (stem, mut tail) = name.split_once(RESTORE_MARK)?;
    if stem == DATABASE {
        // SQLite's own files beside the staged database.
        tail = SIDECARS.iter().find_map(|sidecar| tail.strip_suffix(sidecar)).unwrap_or(tail);
    } else if stem != FILES && !SIDECARS.iter().any(|sidecar| stem.strip_prefix(DATABASE) == Some(sidecar)) {
        return None;
    }
    tail.parse().ok()
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
        assert!(is_leftover(UNFINISHED) && UNFINISHED.contains(RESTORE_MARK));
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
}
