//! Reading and hashing the wanted blobs of one pack.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::decompress::Decompressor;
use crate::format::id::PageHash;
use crate::format::page_size::PageSize;
use crate::observer::Observer;
use crate::pack_file::{FrameError, PackFile};
use crate::repository::{BlobFault, Location, Repository};
use crate::store::Store;

use super::fault::Fault;
use super::plan::{PackJob, PackTask, Wanted};
use super::{Depth, ProblemCode};

/// What was found in one pack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackResult {
    pub(super) blobs: Vec<BlobResult>,
    /// Why the pack as a whole is of no use.
    pub(super) pack_fault: Option<Fault>,
    /// Stored bytes that were read.
    pub(super) bytes_read: u64,
    /// Whether it was cut short; blobs without a result were not checked.
    pub(super) cancelled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BlobResult {
    pub(super) position: u32,
    pub(super) outcome: Result<BlobFacts, Fault>,
}

/// What is known of a blob after its check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BlobFacts {
    pub(super) raw_len: u64,
    #[serde(with = "super::transfer::pages")]
    pub(super) pages: Vec<(PageSize, Vec<PageHash>)>,
}

/// What the check of one pack amounts to, for whoever draws it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackOutcome {
    /// All that was asked for is intact.
    Good,
    /// Something in it is wrong.
    Bad,
    /// It is not there.
    Missing,
    /// Nothing wrong was found, and not everything was looked at.
    NotChecked,
}

impl PackResult {
    /// The result of a task that nobody began.
    pub fn cancelled() -> Self {
        Self { cancelled: true, ..Self::default() }
    }

    /// The result of a task that could not be done, for a reason that is not the pack's.
    pub fn not_checked(reason: impl Into<String>) -> Self {
        Self { pack_fault: Some(Fault::NotChecked(reason.into())), ..Self::default() }
    }

    /// What it amounts to.
    pub fn outcome(&self) -> PackOutcome {
        let blobs = self.blobs.iter().filter_map(|blob| blob.outcome.as_ref().err());
        let faults: Vec<&Fault> = self.pack_fault.iter().chain(blobs).collect();
        let is_missing = |fault: &&Fault| matches!(fault, Fault::Problem(ProblemCode::PackMissing, _));
        if faults.iter().any(is_missing) {
            PackOutcome::Missing
        } else if faults.iter().any(|fault| matches!(fault, Fault::Problem(..))) {
            PackOutcome::Bad
        } else if self.cancelled || !faults.is_empty() {
            PackOutcome::NotChecked
        } else {
            PackOutcome::Good
        }
    }
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
    check_job(repository.store(), repository.decompressor(), &task.job(repository.index()), depth, observer)
}

/// Checks the blobs of one job, which need not know the repository.
pub fn check_job(
    store: &dyn Store,
    decompressor: &dyn Decompressor,
    job: &PackJob,
    depth: Depth,
    observer: &dyn Observer,
) -> PackResult {
    let mut result = PackResult::default();
    let file = match PackFile::open(store, job.pack) {
        Ok(file) => file,
        Err(error) => {
            result.pack_fault = Some(Fault::of(&error.into()));
            observer.advance(job.bytes);
            return result;
        }
    };
    result.blobs.reserve_exact(job.blobs.len());
    for (wanted, location) in &job.blobs {
        if observer.cancelled() {
            result.cancelled = true;
            break;
        }
        let outcome = check_blob(&file, decompressor, location, *wanted, depth, observer);
        if matches!(outcome, Err(BlobFault::Frame(FrameError::Stopped))) {
            result.cancelled = true;
            break;
        }
        if depth == Depth::Full {
            result.bytes_read = result.bytes_read.saturating_add(location.stored_len);
        }
        observer.advance(location.stored_len);
        let outcome = outcome.map_err(|fault| Fault::of(&fault));
        result.blobs.push(BlobResult { position: wanted.position, outcome });
    }
    result
}

fn check_blob(
    file: &PackFile<'_>,
    decompressor: &dyn Decompressor,
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
    file.stream(entry, decompressor, &mut |piece| {
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
