//! A blob that was found in its pack, and why it can be of no use.

use std::ops::ControlFlow;

use crate::format::id::{BlobId, PackId};
use crate::format::pack::PackEntry;
use crate::memory::Memory;
use crate::observer::Observer;
use crate::pack::{FrameError, Pack, ReadError};

/// A blob of which index and footer say the same.
pub struct StoredBlob<'r> {
    memory: &'r Memory,
    pack: Pack<'r>,
    at: PackId,
    entry: PackEntry,
}

impl<'r> StoredBlob<'r> {
    pub(super) fn new(memory: &'r Memory, pack: Pack<'r>, at: PackId, entry: PackEntry) -> Self {
        Self { memory, pack, at, entry }
    }

    /// Bytes that it says it has.
    pub fn raw_len(&self) -> u64 {
        self.entry.raw_len
    }

    /// Refuses it when what it becomes needs more memory than there may be.
    pub fn allow(&self, needed: u64) -> Result<(), BlobError> {
        self.memory.allow(needed).map_err(|error| self.failed(error.into()))
    }

    /// Reads it piece by piece, unless the observer stops that; the pieces are worth nothing unless this returns
    /// `Ok`.
    pub fn stream(&self, observer: &dyn Observer, sink: &mut dyn FnMut(&[u8])) -> Result<(), BlobError> {
        let mut each = |piece: &[u8]| {
            sink(piece);
            if observer.cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.pack.stream(&self.entry, &mut each).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: FrameError) -> BlobError {
        BlobError { blob: self.entry.id, pack: Some(self.at), fault: error.into() }
    }
}

/// A blob that cannot be had, and where it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("blob {blob}{}: {fault}", pack.map(|pack| format!(" in {}", pack.path())).unwrap_or_default())]
pub struct BlobError {
    /// The blob.
    pub blob: BlobId,
    /// The pack that should hold it, where an index names one.
    pub pack: Option<PackId>,
    /// What is wrong.
    pub fault: BlobFault,
}

/// What is wrong with a blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobFault {
    /// No index names it.
    #[error("no index file says where it is")]
    NotIndexed,
    /// Its pack cannot be used.
    #[error(transparent)]
    Pack(#[from] ReadError),
    /// The pack's footer does not have it.
    #[error("the index says that the pack holds it, and the pack's footer does not")]
    NotInPack,
    /// Index and footer describe it differently.
    #[error("the index and the pack's footer disagree about where it is")]
    Disagrees,
    /// Its bytes cannot be trusted.
    #[error(transparent)]
    Frame(#[from] FrameError),
}
