//! Free space, asked for before anything is written.

use std::io;
use std::path::Path;

use msgvault_platform::{Dir, FileError};

const MEGABYTE: u64 = 1_000_000;

/// Bytes that may be written to the file system on which a folder is, or will be; none where it does not say.
pub(crate) fn of(path: &Path) -> Option<u64> {
    let from = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let nearest = from.ancestors().find_map(|ancestor| Dir::open(ancestor).ok());
    nearest.and_then(|dir| dir.free_bytes())
}

/// Fails with the numbers where so many bytes have no room. A file system that does not say is tried.
pub(crate) fn check(action: &'static str, path: &Path, needed: u64) -> Result<(), FileError> {
    compare(action, path, needed, of(path))
}

fn compare(action: &'static str, path: &Path, needed: u64, free: Option<u64>) -> Result<(), FileError> {
    match free {
        Some(free) if free < needed => Err(shortage(action, path, needed, free)),
        _ => Ok(()),
    }
}

/// That so many bytes are needed and so many are free.
pub(crate) fn shortage(action: &'static str, path: &Path, needed: u64, free: u64) -> FileError {
    let text = numbers(needed, free);
    FileError::new(action, path, io::Error::new(io::ErrorKind::StorageFull, text))
}

/// The two numbers in words.
pub(crate) fn numbers(needed: u64, free: u64) -> String {
    let (needed, free) = (needed.div_ceil(MEGABYTE), free / MEGABYTE);
    format!("{needed} MB are needed and {free} MB are free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_space_is_told_with_numbers() {
        let path = Path::new("/home/of/mail");
        compare("restore into", path, 10, None).unwrap();
        compare("restore into", path, 10, Some(10)).unwrap();
        let error = compare("restore into", path, 5_000_000_001, Some(4_999_999_999)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot restore into /home/of/mail: 5001 MB are needed and 4999 MB are free"
        );
        assert!(error.advice().starts_with("; free some space there and run again"), "{}", error.advice());
        check("restore into", &std::env::temp_dir().join("not/there"), 1).unwrap();
    }
}
