//! One lock file: its record, and its name given back.

use std::fs::File;
use std::io::{self, Read, Write};

use msgvault_platform::Dir;
use msgvault_verifier::format::lock::LockRecord;
use msgvault_verifier::format::path::RelativePath;

/// No lock record is longer, in bytes.
const MAX_RECORD_LEN: u64 = 1 << 16;

/// What a lock file says of its holder; none when it is not a lock record.
pub(super) fn record_of(file: &File) -> io::Result<Option<LockRecord>> {
    let mut json = Vec::new();
    file.take(MAX_RECORD_LEN).read_to_end(&mut json)?;
    Ok(LockRecord::decode(&json))
}

/// Gives a claimed lock its name back unless the name is taken; then its holder has lost it, and will notice.
pub(super) fn put_back(dir: &Dir, claim: &RelativePath, path: &RelativePath) -> io::Result<()> {
    match dir.link(claim, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(_) => copy_back(dir, claim, path)?,
    }
    dir.remove_file(claim)
}

/// The way without hard links.
fn copy_back(dir: &Dir, claim: &RelativePath, path: &RelativePath) -> io::Result<()> {
    let claimed = dir.open_file(claim)?;
    let modified = claimed.metadata()?.modified()?;
    let mut bytes = Vec::new();
    claimed.take(MAX_RECORD_LEN).read_to_end(&mut bytes)?;
    match dir.create_file(path) {
        Ok(mut file) => {
            file.write_all(&bytes)?;
            file.set_modified(modified)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The name of a lock as a path in the folder.
pub(super) fn relative(name: &str) -> io::Result<RelativePath> {
    RelativePath::parse(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidFilename, error))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_lock_is_put_back_without_clobbering() {
        type PutBack = fn(&Dir, &RelativePath, &RelativePath) -> io::Result<()>;
        let ways: [PutBack; 2] = [put_back, copy_back];
        for way in ways {
            let folder = tempfile::tempdir().unwrap();
            let dir = Dir::open(folder.path()).unwrap();
            let (claim, path) = (relative("claim").unwrap(), relative("lock").unwrap());
            let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
            let write = |at: &RelativePath, text: &str| {
                let mut file = dir.create_file(at).unwrap();
                file.write_all(text.as_bytes()).unwrap();
                file.set_modified(old).unwrap();
            };
            let read = || std::fs::read_to_string(folder.path().join("lock")).unwrap();
            write(&claim, "first");
            way(&dir, &claim, &path).unwrap();
            assert_eq!((read().as_str(), dir.stat(&path).unwrap().modified), ("first", old));
            let _ = dir.remove_file(&claim);
            write(&claim, "second");
            way(&dir, &claim, &path).unwrap();
            assert_eq!(read(), "first");
        }
    }
}
