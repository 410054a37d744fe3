//! Reading and hashing the wanted blobs of one pack.

use std::ops::ControlFlow;

use sha2::{Digest, Sha256};

use crate::decompress::Decompressor;
use crate::format::id::PageHash;
use crate::format::page_size::PageSize;
use crate::observer::Observer;
use crate::pack_file::{FrameError, PackFile};
use crate::repository::{BlobFault, Location, Repository};
use crate::store::Store;

use super::Depth;
use super::plan::{PackTask, Wanted};

/// What was found in one pack.
#[derive(Debug)]
pub struct PackResult {
    pub(super) blobs: Vec<BlobResult>,
    /// Why the pack as a whole is of no use.
    pub(super) pack_fault: Option<BlobFault>,
    /// Stored bytes that were read.
    pub(super) bytes_read: u64,
    /// Whether it was cut short; blobs without a result were not checked.
    pub(super) cancelled: bool,
}

#[derive(Debug)]
pub(super) struct BlobResult {
    pub(super) position: u32,
    pub(super) outcome: Result<BlobFacts, BlobFault>,
}

/// What is known of a blob after its check.
#[derive(Debug, Default)]
pub(super) struct BlobFacts {
    pub(super) raw_len: u64,
    pub(super) pages: Vec<(PageSize, Vec<PageHash>)>,
}

/// Checks the blobs of one task.
///
/// Quick looks at the footer alone; full reads every blob once, and computes the hashes of the pages in it.
pub fn check_pack<S: Store, D: Decompressor>(
    repository: &Repository<S, D>,
    task: &PackTask,
    depth: Depth,
    observer: &dyn Observer,
) -> PackResult {
    let mut result = PackResult { blobs: Vec::new(), pack_fault: None, bytes_read: 0, cancelled: false };
    let file = match PackFile::open(repository.store(), task.pack) {
        Ok(file) => file,
        Err(error) => {
            result.pack_fault = Some(error.into());
            observer.advance(task.bytes);
            return result;
        }
    };
    result.blobs.reserve_exact(task.blobs.len());
    for wanted in &task.blobs {
        if observer.cancelled() {
            result.cancelled = true;
            break;
        }
        let location = usize::try_from(wanted.position).ok().and_then(|at| repository.index().at(at));
        let Some(location) = location else { continue };
        let outcome = check_blob(repository, &file, &location, *wanted, depth, observer);
        if matches!(outcome, Err(BlobFault::Frame(FrameError::Stopped))) {
            result.cancelled = true;
            break;
        }
        if depth == Depth::Full {
            result.bytes_read = result.bytes_read.saturating_add(location.stored_len);
        }
        observer.advance(location.stored_len);
        result.blobs.push(BlobResult { position: wanted.position, outcome });
    }
    result
}

fn check_blob<S: Store, D: Decompressor>(
    repository: &Repository<S, D>,
    file: &PackFile<'_>,
    location: &Location,
    wanted: Wanted,
    depth: Depth,
    observer: &dyn Observer,
) -> Result<BlobFacts, BlobFault> {
    let entry = location.check(file.find(&location.id))?;
    let mut facts = BlobFacts { raw_len: entry.raw_len, pages: Vec::new() };
    if depth == Depth::Quick {
        return Ok(facts);
    }
    let mut hashers: Vec<PageHasher> = wanted.page_sizes().map(PageHasher::new).collect();
    file.stream(entry, repository.decompressor(), &mut |piece| {
        for hasher in &mut hashers {
            hasher.update(piece);
        }
        if observer.cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    facts.pages = hashers.into_iter().map(|hasher| (hasher.page_size, hasher.hashes)).collect();
    Ok(facts)
}

/// Hashes a stream page by page; a last part that is no whole page has no hash.
struct PageHasher {
    page_size: PageSize,
    hash: Sha256,
    filled: usize,
    hashes: Vec<PageHash>,
}

impl PageHasher {
    fn new(page_size: PageSize) -> Self {
        Self { page_size, hash: Sha256::new(), filled: 0, hashes: Vec::new() }
    }

    fn update(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let room = self.page_size.in_memory() - self.filled;
            let (head, tail) = piece.split_at(room.min(piece.len()));
            self.hash.update(head);
            self.filled += head.len();
            if self.filled == self.page_size.in_memory() {
                self.hashes.push(PageHash::from_digest(&self.hash.finalize_reset().into()));
                self.filled = 0;
            }
            piece = tail;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_hashed_whatever_the_pieces() {
        let bytes: Vec<u8> = (0..2000u32).flat_map(u32::to_le_bytes).collect();
        let size = PageSize::new(512).unwrap();
        let expected: Vec<PageHash> = bytes.chunks_exact(512).map(PageHash::of).collect();
        for piece_len in [1, 511, 512, 513, 8000] {
            let mut hasher = PageHasher::new(size);
            bytes.chunks(piece_len).for_each(|piece| hasher.update(piece));
            assert_eq!(hasher.hashes, expected, "{piece_len}");
        }
    }
}
