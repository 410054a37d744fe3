//! Whether a file of the target holds certain bytes already.

use std::io::{self, Read};

use msgvault_platform::{Dir, Kind};
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::path::RelativePath;
use sha2::{Digest, Sha256};

const BUFFER: usize = 1 << 16;

/// Whether a regular file is at `path` whose bytes are those of the blob; a link is none, wherever it leads.
pub(super) fn is_at(dir: &Dir, path: &RelativePath, blob: &BlobId, len: Option<u64>) -> io::Result<bool> {
    let stat = dir.stat(path)?;
    if stat.kind != Kind::File || len.is_some_and(|len| len != stat.len) {
        return Ok(false);
    }
    let mut file = dir.open_file(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(BlobId::from_bytes(hash.finalize().into()) == *blob),
            Ok(read) => hash.update(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
