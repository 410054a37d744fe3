//! A file of one repository into another: proven while it is in `staging/`, before it gets its name.

use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{BlobId, IndexId, PackId, SnapshotId};
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::format::sums::{FileSum, MAX_SUMS_LEN, Sums, SumsName};
use msgvault_verifier::length::{to_u64, to_usize};
use msgvault_verifier::repository::{Location, MAX_MANIFEST_LEN, check_index};
use msgvault_verifier::store::{DirectoryStore, Store, StoreError, read_file};
use msgvault_verifier::{FrameError, Memory, Pack, ReadError};
use sha2::{Digest, Sha256};
use std::ops::ControlFlow;

use super::publish::{FileKind, PublishError, Staged};
use crate::decompress::Zstd;

/// Bytes that are copied at once.
const PIECE_LEN: u64 = 1 << 20;

/// Why a file was not fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// It cannot be read where it comes from.
    #[error(transparent)]
    Source(#[from] StoreError),
    /// It was read, and is not what its name promises.
    #[error("{file} is damaged: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The repository cannot be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The user stopped it.
    #[error("stopped")]
    Cancelled,
}

/// A file that was fetched and proven, and has no name yet.
pub(crate) struct Fetched<'a> {
    path: String,
    staged: Staged<'a>,
    /// The sum of its bytes.
    pub(crate) sum: FileSum,
    /// How many there are.
    pub(crate) len: u64,
}

impl Fetched<'_> {
    /// The first of these blobs that this pack does not hold where it should; none if it holds them all.
    pub(crate) fn lacks(
        &self,
        root: &Path,
        blobs: impl IntoIterator<Item = Location>,
    ) -> Result<Option<BlobId>, ReadError> {
        let store = DirectoryStore::new(root);
        let pack = Pack::new(store.open(self.staged.name())?, &Zstd)?;
        let is_lacking = |blob: &Location| blob.check(pack.find(&blob.id)).is_err();
        Ok(blobs.into_iter().find(is_lacking).map(|blob| blob.id))
    }

    /// Gives it its name, which nothing has.
    pub(crate) fn publish(self) -> Result<FileSum, PublishError> {
        self.staged.publish(&self.path)?;
        Ok(self.sum)
    }
}

/// Copies the pack, index, manifest or sums file at `path` from `from`, and proves the copy: of a pack, every blob.
/// `expected` is the sum that it has to have.
pub(crate) fn fetch<'a>(
    context: &Context<'a>,
    (from, memory): (&dyn Store, &Memory),
    root: &Path,
    path: &str,
    expected: Option<FileSum>,
) -> Result<Fetched<'a>, FetchError> {
    let damaged = |reason: String| FetchError::Damaged { file: path.to_owned(), reason };
    let kind = kind_of(path).ok_or_else(|| damaged("its name is not one of the format's".to_owned()))?;
    let file = from.open(path)?;
    let mut staged = Staged::create(*context, root, kind)?;
    let (mut hash, mut piece, mut offset) = (Sha256::new(), Vec::new(), 0u64);
    while offset < file.len() {
        if context.observer.cancelled() {
            return Err(FetchError::Cancelled);
        }
        piece.resize(to_usize((file.len() - offset).min(PIECE_LEN)), 0);
        file.read_at(offset, &mut piece)?;
        hash.update(&piece);
        staged.write(&piece)?;
        offset += to_u64(piece.len());
        context.observer.advance(to_u64(piece.len()));
    }
    let sum = FileSum::from_bytes(hash.finalize().into());
    if let Some(expected) = expected.filter(|expected| *expected != sum) {
        return Err(damaged(format!("its SHA-256 is {sum}, and the sums state {expected}")));
    }
    prove(context, &DirectoryStore::new(root), staged.name(), path, memory)?;
    Ok(Fetched { path: path.to_owned(), staged, sum, len: offset })
}

fn kind_of(path: &str) -> Option<FileKind> {
    if PackId::of_path(path).is_some() {
        Some(FileKind::Pack)
    } else if IndexId::of_path(path).is_some() {
        Some(FileKind::Index)
    } else if SnapshotId::of_path(path).is_some() {
        Some(FileKind::Manifest)
    } else {
        SumsName::of_path(path).map(|_| FileKind::Sums)
    }
}

/// Whether the file at `staged` is what the name `path` promises.
fn prove(
    context: &Context<'_>,
    store: &DirectoryStore,
    staged: &str,
    path: &str,
    memory: &Memory,
) -> Result<(), FetchError> {
    let damaged = |reason: String| FetchError::Damaged { file: path.to_owned(), reason };
    if PackId::of_path(path).is_some() {
        let pack = Pack::new(store.open(staged)?, &Zstd).map_err(|error| damaged(error.to_string()))?;
        let pack = pack.within(memory);
        for entry in pack.entries() {
            if context.observer.cancelled() {
                return Err(FetchError::Cancelled);
            }
            let proven = pack.stream(entry, &mut |_| ControlFlow::Continue(()));
            proven.map_err(|error| match error {
                // It may be good: there is not the memory to find out.
                FrameError::TooLargeHere(error) => {
                    StoreError::Unavailable { path: path.to_owned(), reason: error.to_string() }.into()
                }
                error => damaged(format!("blob {}: {error}", entry.id)),
            })?;
        }
    } else if IndexId::of_path(path).is_some() {
        check_index(store, staged).map_err(|error| damaged(error.to_string()))?;
    } else if let Some(id) = SnapshotId::of_path(path) {
        let json = read_file(store, staged, MAX_MANIFEST_LEN)?;
        Manifest::decode(&id, &json).map_err(|error| damaged(error.to_string()))?;
    } else {
        let bytes = read_file(store, staged, MAX_SUMS_LEN)?;
        Sums::decode(&bytes).map_err(|error| damaged(error.to_string()))?;
    }
    Ok(())
}
