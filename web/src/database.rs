//! A snapshot's database, piece by piece and every page checked.

use msgvault_verifier::length::to_usize;
use std::collections::VecDeque;
use std::rc::Rc;

use msgvault_verifier::format::id::{BlobId, PageHash, SnapshotId};
use msgvault_verifier::format::page_map::Run;
use msgvault_verifier::repository::{BlobError, Repository};
use msgvault_verifier::snapshot::{Maps, Snapshot, SnapshotError};

/// The largest blob that is held in memory, in bytes.
pub(crate) const MAX_BLOB: u64 = 256 << 20;
/// The least number of bytes in a piece, unless it is the last.
const PIECE: usize = 1 << 20;
/// How many bytes of blobs are kept, because runs alternate between the same few blobs.
const KEPT: usize = 64 << 20;

/// Reads a database from the first page to the last.
pub(crate) struct DatabaseReader {
    maps: Maps,
    next_run: usize,
    kept: VecDeque<(BlobId, Rc<Vec<u8>>)>,
}

impl DatabaseReader {
    /// Loads the maps of a snapshot.
    pub(crate) fn open(repository: &Repository, id: &SnapshotId) -> Result<Self, SnapshotError> {
        let maps = Snapshot::load(repository, id, &())?.maps;
        Ok(Self { maps, next_run: 0, kept: VecDeque::new() })
    }

    /// The size of the whole database in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.maps.pages.page_count.saturating_mul(self.maps.pages.page_size.bytes())
    }

    /// The next piece; empty at the end. Every page in it has the hash that the snapshot states.
    pub(crate) fn next(&mut self, repository: &Repository) -> Result<Vec<u8>, String> {
        let mut piece = Vec::new();
        while piece.len() < PIECE {
            let Some(run) = self.maps.pages.runs.get(self.next_run).copied() else { break };
            self.next_run += 1;
            let blob = self.maps.pages.blob(&run).copied().ok_or("the page map names no blob")?;
            let bytes = self.blob(repository, &blob).map_err(|error| error.to_string())?;
            let pages =
                slice(&bytes, &run, &self.maps).ok_or("the page map points past the end of a blob")?;
            self.check(&run, pages)?;
            piece.extend_from_slice(pages);
        }
        Ok(piece)
    }

    fn check(&self, run: &Run, pages: &[u8]) -> Result<(), String> {
        let first = to_usize(run.start_page);
        let stated = self.maps.hashes.hashes.iter().skip(first);
        let mut pages = pages.chunks(self.maps.pages.page_size.in_memory()).zip(stated).zip(run.start_page..);
        match pages.find(|((page, stated), _)| PageHash::of(page) != **stated) {
            Some((_, page)) => {
                Err(format!("page {page} of the database does not have the hash that the snapshot states"))
            }
            None => Ok(()),
        }
    }

    fn blob(&mut self, repository: &Repository, id: &BlobId) -> Result<Rc<Vec<u8>>, BlobError> {
        if let Some((_, bytes)) = self.kept.iter().find(|(kept, _)| kept == id) {
            return Ok(Rc::clone(bytes));
        }
        let bytes = Rc::new(repository.blob(id, MAX_BLOB)?);
        self.kept.push_back((*id, Rc::clone(&bytes)));
        while self.kept.len() > 1 && self.kept.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > KEPT {
            self.kept.pop_front();
        }
        Ok(bytes)
    }
}

fn slice<'b>(bytes: &'b [u8], run: &Run, maps: &Maps) -> Option<&'b [u8]> {
    let start = usize::try_from(run.blob_offset).ok()?;
    let end = usize::try_from(run.blob_end(maps.pages.page_size)?).ok()?;
    bytes.get(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use msgvault_verifier::Ruzstd;
    use msgvault_verifier::length::to_u64;
    use msgvault_verifier::store::DirectoryStore;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_database_of_every_fixture_is_read_back_unchanged() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");
        for fixture in ["plain", "chain", "no-attachments", "namespaced", "unchanged"] {
            let store = DirectoryStore::new(format!("{root}/{fixture}/repo"));
            let repository = Repository::open(store, Ruzstd).unwrap();
            for id in repository.listing().unwrap().snapshots {
                let mut reader = DatabaseReader::open(&repository, &id).unwrap();
                let mut hash = Sha256::new();
                let mut read = 0;
                loop {
                    let piece = reader.next(&repository).unwrap();
                    if piece.is_empty() {
                        break;
                    }
                    read += to_u64(piece.len());
                    hash.update(&piece);
                }
                let stated =
                    std::fs::read_to_string(format!("{root}/{fixture}/expected/{id}.db.sha256")).unwrap();
                let actual = BlobId::from_bytes(hash.finalize().into()).to_string();
                assert_eq!(read, reader.bytes());
                assert!(stated.starts_with(&actual), "{fixture} {id}");
            }
        }
    }
}
