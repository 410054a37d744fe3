//! Damage to a repository: what × how.

use msgvault_verifier::store::MemoryStore;

/// How a file is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// One bit is flipped, somewhere in the middle.
    BitFlipped,
    /// The second half is missing.
    Truncated,
    /// No byte is left.
    Emptied,
    /// The file is gone.
    Deleted,
    /// It holds the bytes of another file of its kind.
    Swapped,
}

impl Damage {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::BitFlipped, Self::Truncated, Self::Emptied, Self::Deleted, Self::Swapped];

    /// Damages `path`; false if there is no other file to swap it with.
    ///
    /// # Panics
    ///
    /// When there is no such file.
    pub fn apply(self, store: &mut MemoryStore, path: &str) -> bool {
        let bytes = store.file(path).expect("a file to damage").to_vec();
        let half = bytes.len() / 2;
        match self {
            Self::BitFlipped => {
                let mut changed = bytes;
                changed[half] ^= 0x20;
                store.insert(path, changed);
            }
            Self::Truncated => store.insert(path, &bytes[..half]),
            Self::Emptied => store.insert(path, []),
            Self::Deleted => {
                store.remove(path);
            }
            Self::Swapped => {
                let other = store.paths().find(|other| kind(other) == kind(path) && *other != path);
                let Some(other) = other.map(str::to_owned) else { return false };
                let swapped = store.file(&other).expect("listed").to_vec();
                store.insert(path, swapped);
                store.insert(other, bytes);
            }
        }
        true
    }
}

fn kind(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, suffix)| suffix)
}

/// The files of a repository that are not empty, sorted.
pub fn files(store: &MemoryStore) -> Vec<String> {
    store.paths().filter(|path| !path.ends_with(".gitkeep")).map(str::to_owned).collect()
}
