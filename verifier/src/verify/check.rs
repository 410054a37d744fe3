//! Reading and hashing the wanted blobs of one pack.

use std::ops::{ControlFlow, Range};

use serde::{Deserialize, Serialize};

use crate::format::id::PageHash;
use crate::format::page_size::PageSize;
use crate::observer::Observer;
use crate::pack::{FrameError, Pack, PackReader, Unproven};
use crate::repository::{BlobFault, Location, Repository};

use self::page_hasher::PageHasher;
use super::fault::Fault;
use super::pages::WantedPages;
use super::plan::{PackJob, PackTask, Wanted};
use super::{Depth, ProblemCode};

mod four_at_once;
mod page_hasher;

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
pub fn check_pack(
    repository: &Repository,
    task: &PackTask,
    depth: Depth,
    observer: &dyn Observer,
) -> PackResult {
    check_job(repository.packs(), &task.job(repository.index()), depth, observer)
}

/// Checks the blobs of one job, which need not know the repository.
pub fn check_job(packs: &PackReader, job: &PackJob, depth: Depth, observer: &dyn Observer) -> PackResult {
    let mut check = PackCheck::begin(packs, job, depth, observer);
    while check.upcoming().is_some() {
        let _ = check.next(|_| false, &mut Vec::new());
    }
    check.finish()
}

/// The check of one job for a caller that has a faster SHA-256, and must wait for it.
///
/// Everything else about a blob was checked when its bytes are given to such a caller. It may go on to the
/// next blob before it settles one, in any order; a blob counts as good once it is settled with the hash it
/// is named after, and never before.
pub struct PackCheck<'a> {
    observer: &'a dyn Observer,
    depth: Depth,
    /// The opened pack and the blobs that are left in it.
    left: Option<(Pack<'a>, &'a [(Wanted, Location)])>,
    job: &'a PackJob,
    /// Blobs that were given out and not settled.
    unsettled: usize,
    result: PackResult,
}

/// A blob that is intact if its bytes have the hash that it is named after.
#[derive(Debug)]
#[must_use = "a blob that is not settled counts as not checked"]
pub struct UnprovenBlob {
    position: u32,
    facts: BlobFacts,
    unproven: Unproven,
}

impl<'a> PackCheck<'a> {
    /// Opens the pack.
    pub fn begin(packs: &'a PackReader, job: &'a PackJob, depth: Depth, observer: &'a dyn Observer) -> Self {
        let mut result = PackResult::default();
        let left = match packs.open(job.pack) {
            Ok(pack) => {
                result.blobs.reserve_exact(job.blobs.len());
                Some((pack, job.blobs.as_slice()))
            }
            Err(error) => {
                result.pack_fault = Some(Fault::of(&error.into()));
                observer.advance(job.bytes);
                None
            }
        };
        Self { observer, depth, left, job, unsettled: 0, result }
    }

    /// Where the stored bytes of the next blob should be in the pack; none at the end.
    pub fn upcoming(&self) -> Option<Range<u64>> {
        let (_, blobs) = self.left.as_ref()?;
        let (_, location) = blobs.first()?;
        Some(location.offset..location.offset.saturating_add(location.stored_len))
    }

    /// Checks the next blob; one that `is_mine` is given back unproven, with its bytes in `raw`.
    ///
    /// `is_mine` is told the length of the raw bytes. It must bound it: so much memory is taken.
    pub fn next(&mut self, is_mine: impl Fn(u64) -> bool, raw: &mut Vec<u8>) -> Option<UnprovenBlob> {
        let (pack, blobs) = self.left.as_mut()?;
        let ((wanted, location), rest) = blobs.split_first()?;
        *blobs = rest;
        let read = if self.observer.cancelled() {
            Err(FrameError::Stopped.into())
        } else {
            let reader = BlobReader { pack, observer: self.observer };
            reader.read(location, self.job.pages_of(wanted.position), self.depth, &is_mine, raw)
        };
        if matches!(read, Err(BlobFault::Frame(FrameError::Stopped))) {
            self.result.cancelled = true;
            self.left = None;
            return None;
        }
        if self.depth != Depth::Quick {
            self.result.bytes_read = self.result.bytes_read.saturating_add(location.stored_len);
        }
        self.observer.advance(location.stored_len);
        let position = wanted.position;
        match read {
            Ok((facts, Some(unproven))) => {
                self.unsettled += 1;
                return Some(UnprovenBlob { position, facts, unproven });
            }
            Ok((facts, None)) => self.record(position, Ok(facts)),
            Err(fault) => self.record(position, Err(fault)),
        }
        None
    }

    /// Takes the SHA-256 of the bytes that came with a blob.
    pub fn settle(&mut self, blob: UnprovenBlob, digest: &[u8; 32]) {
        self.unsettled = self.unsettled.saturating_sub(1);
        let outcome = blob.unproven.prove(digest).map(|()| blob.facts);
        self.record(blob.position, outcome.map_err(BlobFault::Frame));
    }

    /// What was found. With a blob that was not settled, or not looked at, the check counts as cut short.
    pub fn finish(mut self) -> PackResult {
        let is_left = self.left.is_some_and(|(_, blobs)| !blobs.is_empty());
        self.result.cancelled |= is_left || self.unsettled > 0;
        self.result
    }

    fn record(&mut self, position: u32, outcome: Result<BlobFacts, BlobFault>) {
        let outcome = outcome.map_err(|fault| Fault::of(&fault));
        self.result.blobs.push(BlobResult { position, outcome });
    }
}

/// What it takes to read one blob.
struct BlobReader<'a> {
    pack: &'a Pack<'a>,
    observer: &'a dyn Observer,
}

impl BlobReader<'_> {
    /// The facts of a blob, and what is still to be proven where the caller hashes it.
    fn read(
        &self,
        location: &Location,
        wanted: &[WantedPages],
        depth: Depth,
        is_mine: impl Fn(u64) -> bool,
        raw: &mut Vec<u8>,
    ) -> Result<(BlobFacts, Option<Unproven>), BlobFault> {
        let entry = location.check(self.pack.find(&location.id))?;
        let mut facts = BlobFacts { raw_len: entry.raw_len, pages: Vec::new() };
        if depth == Depth::Quick {
            return Ok((facts, None));
        }
        let hashers = wanted.iter().map(|pages| PageHasher::new(pages, entry.raw_len));
        let mut hashers: Vec<PageHasher<'_>> = hashers.collect();
        let mut take = |piece: &[u8]| {
            for hasher in &mut hashers {
                hasher.update(piece);
            }
            if self.observer.cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let unproven = if is_mine(entry.raw_len) {
            raw.clear();
            raw.reserve_exact(usize::try_from(entry.raw_len).unwrap_or(0));
            Some(self.pack.stream_unproven(entry, &mut |piece| {
                raw.extend_from_slice(piece);
                take(piece)
            })?)
        } else {
            self.pack.stream(entry, &mut take)?;
            None
        };
        facts.pages = hashers.into_iter().map(PageHasher::finish).collect();
        Ok((facts, unproven))
    }
}

#[cfg(test)]
mod tests;
