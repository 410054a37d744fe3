//! Whether what is to be restored has room, asked before anything is written.

use std::io;
use std::path::Path;

use msgvault_platform::{Dir, FileError};
use msgvault_verifier::snapshot::Snapshot;

const MEGABYTE: u64 = 1_000_000;

/// Bytes that a snapshot needs at least: all of it in an empty folder; else attachments can be there already.
pub(super) fn needed(snapshot: &Snapshot, is_empty: bool) -> u64 {
    let extras = snapshot.extras.iter().fold(0u64, |sum, extra| sum.saturating_add(extra.size));
    let attachments = if is_empty { snapshot.manifest.attachments.blob_bytes } else { 0 };
    snapshot.manifest.database_bytes().saturating_add(extras).saturating_add(attachments)
}

/// Asks the file system on which the folder is, or will be. One that does not say is tried.
pub(super) fn check(path: &Path, needed: u64) -> Result<(), FileError> {
    let from = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let nearest = from.ancestors().find_map(|ancestor| Dir::open(ancestor).ok());
    compare(path, needed, nearest.and_then(|dir| dir.free_bytes()))
}

fn compare(path: &Path, needed: u64, free: Option<u64>) -> Result<(), FileError> {
    match free {
        Some(free) if free < needed => {
            let (needed, free) = (needed.div_ceil(MEGABYTE), free / MEGABYTE);
            let text = format!("{needed} MB are needed and {free} MB are free");
            Err(FileError::new("restore into", path, io::Error::new(io::ErrorKind::StorageFull, text)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_space_is_told_with_numbers() {
        let path = Path::new("/home/of/mail");
        compare(path, 10, None).unwrap();
        compare(path, 10, Some(10)).unwrap();
        let error = compare(path, 5_000_000_001, Some(4_999_999_999)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot restore into /home/of/mail: 5001 MB are needed and 4999 MB are free"
        );
        assert!(error.advice().starts_with("; free some space there and run again"), "{}", error.advice());
        check(&std::env::temp_dir().join("not/there"), 1).unwrap();
    }
}
