//! What the sums files of a repository say together (`docs/format.md` §13).

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::format::id::SnapshotId;
use crate::format::sums::{FOLDER, FileSum, MAX_SUMS_LEN, Sums, SumsName};
use crate::length::{to_u64, to_usize};
use crate::observer::Observer;
use crate::pack::ReadError;
use crate::store::{Store, StoreError, is_missing, read_file};

/// Bytes of a file that are read at once.
const PIECE_LEN: u64 = 1 << 20;

/// The sums files that count, and what they say. One that another says is gone does not count.
#[derive(Debug, Clone, Default)]
pub struct RecordedSums {
    /// Files and their sums, by path.
    pub files: BTreeMap<String, FileSum>,
    /// The sums files that count, by name.
    pub names: BTreeSet<SumsName>,
    /// The sums files that no longer count and are still there.
    pub replaced: BTreeSet<SumsName>,
    /// The sums files that no other one names, by path, with their own sums: the next one names them.
    pub heads: BTreeMap<String, FileSum>,
    /// Sums files that are of no use or could not be looked at, and why.
    pub unreadable: Vec<(String, ReadError)>,
    /// Sums files that state another sum of a file than one before: the sums file, and the file.
    pub contradictions: Vec<(String, String)>,
}

impl RecordedSums {
    /// Reads all sums files; none is there before the first.
    pub fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let entries = match store.list(FOLDER) {
            Err(StoreError::Missing { .. }) => Vec::new(),
            entries => entries?,
        };
        let files = entries.iter().filter(|entry| !entry.is_folder);
        let names: BTreeSet<SumsName> =
            files.filter_map(|entry| SumsName::of_path(&format!("{FOLDER}/{}", entry.name))).collect();
        let mut recorded = Self::default();
        let mut read: Vec<(SumsName, FileSum, Sums)> = Vec::new();
        for name in names {
            let path = name.path();
            let bytes = read_file(store, &path, MAX_SUMS_LEN).map_err(ReadError::from);
            match bytes.and_then(|bytes| Ok((FileSum::of(&bytes), Sums::decode(&bytes)?))) {
                Ok((sum, sums)) => read.push((name, sum, sums)),
                Err(error) => recorded.unreadable.push((path, error)),
            }
        }
        let gone: BTreeSet<String> = read.iter().flat_map(|(_, _, sums)| sums.gone.iter().cloned()).collect();
        for (name, sum, sums) in read {
            let path = name.path();
            if gone.contains(&path) {
                recorded.replaced.insert(name);
                continue;
            }
            recorded.add(&path, sums);
            recorded.names.insert(name);
            recorded.heads.insert(path, sum);
        }
        let files = &recorded.files;
        recorded.heads.retain(|path, _| !files.contains_key(path));
        Ok(recorded)
    }

    /// Whether there is nothing that counts.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Snapshots that only their own sums know: their runs ended between the sums and the manifest, or the newest
    /// manifest is lost.
    pub fn without_manifest(&self, store: &dyn Store) -> BTreeSet<SnapshotId> {
        let of_snapshots = self.heads.keys().filter_map(|path| match SumsName::of_path(path)? {
            SumsName::Snapshot(id) => Some(id),
            SumsName::Restated(_) => None,
        });
        of_snapshots.filter(|id| is_missing(store, &id.path())).collect()
    }

    fn add(&mut self, path: &str, sums: Sums) {
        for (file, sum) in sums.files {
            if self.files.get(&file).is_some_and(|stated| *stated != sum) {
                self.contradictions.push((path.to_owned(), file));
            } else {
                self.files.insert(file, sum);
            }
        }
    }
}

/// Reads a file once, and gives its sum and its length; none when the observer said to stop.
pub fn sum_file(
    store: &dyn Store,
    path: &str,
    observer: &dyn Observer,
) -> Result<Option<(FileSum, u64)>, StoreError> {
    let file = store.open(path)?;
    let mut hash = Sha256::new();
    let mut piece = Vec::new();
    let mut offset = 0u64;
    while offset < file.len() {
        if observer.cancelled() {
            return Ok(None);
        }
        piece.resize(to_usize(file.len().saturating_sub(offset).min(PIECE_LEN)), 0);
        file.read_at(offset, &mut piece)?;
        hash.update(&piece);
        offset = offset.saturating_add(to_u64(piece.len()));
        observer.advance(to_u64(piece.len()));
    }
    Ok(Some((FileSum::from_bytes(hash.finalize().into()), file.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::id::{FileId, IndexId, PackId};
    use crate::store::MemoryStore;

    fn store<const N: usize>(files: [(String, Vec<u8>); N]) -> MemoryStore {
        let mut store = MemoryStore::default();
        for (path, bytes) in files {
            store.insert(path, bytes);
        }
        store
    }

    fn file(number: u128) -> String {
        PackId::from_parts(1, number).path()
    }

    fn sums<const N: usize>(files: [(String, FileSum); N], gone: &[String]) -> Vec<u8> {
        Sums { files: files.into(), gone: gone.iter().cloned().collect() }.encode().into_bytes()
    }

    #[test]
    fn a_sums_file_that_was_replaced_no_longer_counts() {
        let (before, after) = (FileId::from_parts(1, 1), FileId::from_parts(2, 2));
        let [before, after] = [before, after].map(|id| SumsName::Restated(id).path());
        let (old, new) = (FileSum::of(b"old"), FileSum::of(b"new"));
        let store = store([
            (before.clone(), sums([(file(1), old), (file(2), old)], &[])),
            (after.clone(), sums([(file(1), new)], &[file(2), before.clone()])),
        ]);
        let recorded = RecordedSums::read(&store).unwrap();
        assert_eq!(recorded.files, [(file(1), new)].into());
        assert_eq!(recorded.replaced.iter().map(SumsName::path).collect::<Vec<_>>(), [before]);
        assert_eq!(recorded.heads.keys().collect::<Vec<_>>(), [&after]);
        assert!(recorded.contradictions.is_empty() && recorded.unreadable.is_empty());
    }

    #[test]
    fn sums_that_contradict_each_other_are_told_of() {
        let [first, second] = [1, 2].map(|n| SumsName::Restated(FileId::from_parts(n, 1)).path());
        let text = sums([(file(1), FileSum::of(b"old"))], &[]);
        let head = FileSum::of(&text);
        let index = (IndexId::from_parts(1, 1).path(), FileSum::of(b"index"));
        let store = store([
            (first.clone(), text),
            (second.clone(), sums([(file(1), FileSum::of(b"new")), (first, head), index], &[])),
            ("sums/prune-x.sha256".to_owned(), b"nobody's".to_vec()),
        ]);
        let recorded = RecordedSums::read(&store).unwrap();
        assert_eq!(recorded.contradictions, [(second.clone(), file(1))]);
        assert_eq!(recorded.heads.keys().collect::<Vec<_>>(), [&second]);
    }

    #[test]
    fn a_damaged_sums_file_is_told_of_and_the_others_count() {
        let [first, second] = [1, 2].map(|n| SumsName::Restated(FileId::from_parts(n, 1)).path());
        let store =
            store([(first, sums([(file(1), FileSum::of(b""))], &[])), (second.clone(), b"\0".to_vec())]);
        let recorded = RecordedSums::read(&store).unwrap();
        assert_eq!(recorded.files.len(), 1);
        assert_eq!(recorded.unreadable.iter().map(|(path, _)| path).collect::<Vec<_>>(), [&second]);
    }
}
