//! Which blobs need not be stored again.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use msgvault_verifier::format::id::{BlobId, PackId};
use msgvault_verifier::repository::{BlobSet, Repository};

/// The blobs that the repository really holds: an index names them, their pack is there, and its footer
/// agrees.
///
/// A pack's footer is read once, when the first of its blobs is asked for. One bit per blob is remembered.
/// What was found damaged is not held, whatever the footer says, so that it is stored again.
pub(super) struct KnownBlobs<'r> {
    repository: &'r Repository,
    state: Mutex<State>,
}

struct State {
    opened: HashSet<PackId>,
    confirmed: BlobSet,
    distrusted: HashSet<BlobId>,
    /// Lengths before compression of the blobs that they are wanted of; 0 for one that is not confirmed yet.
    raw_lens: HashMap<BlobId, u64>,
}

impl<'r> KnownBlobs<'r> {
    pub(super) fn of(repository: &'r Repository) -> Self {
        let confirmed = BlobSet::new(repository.index());
        let state =
            State { opened: HashSet::new(), confirmed, distrusted: HashSet::new(), raw_lens: HashMap::new() };
        Self { repository, state: Mutex::new(state) }
    }

    /// From now on the lengths of these blobs are noted when their packs' footers are read.
    pub(super) fn want_raw_lens(&self, ids: &[BlobId]) {
        let mut state = self.lock();
        state.raw_lens = ids.iter().map(|id| (*id, 0)).collect();
        // Those that were read before are read again when they are needed.
        state.opened.clear();
    }

    /// The length before compression of a blob that is held, if it was wanted.
    pub(super) fn raw_len(&self, id: &BlobId) -> Option<u64> {
        if !self.holds(id) {
            return None;
        }
        self.lock().raw_lens.get(id).copied().filter(|len| *len > 0)
    }

    /// From now on a blob is not held.
    pub(super) fn distrust(&self, id: BlobId) {
        self.lock().distrusted.insert(id);
    }

    /// Whether a blob is held. A pack that cannot be read holds nothing, so that its blobs are stored again.
    pub(super) fn holds(&self, id: &BlobId) -> bool {
        let index = self.repository.index();
        let Some(position) = index.position(id) else { return false };
        let Some(location) = index.at(position) else { return false };
        let mut state = self.lock();
        if state.distrusted.contains(id) {
            return false;
        }
        if state.opened.insert(location.pack) {
            self.confirm(location.pack, &mut state);
        }
        state.confirmed.contains(position)
    }

    /// Marks every blob for which the pack's footer says what the index says.
    fn confirm(&self, pack: PackId, state: &mut State) {
        let index = self.repository.index();
        let Ok(file) = self.repository.pack(pack) else { return };
        for entry in file.entries() {
            let Some(position) = index.position(&entry.id) else { continue };
            let agrees = index.at(position).is_some_and(|location| {
                location.pack == pack && location.check(std::slice::from_ref(entry)).is_ok()
            });
            if agrees {
                state.confirmed.insert(position);
                if let Some(raw_len) = state.raw_lens.get_mut(&entry.id) {
                    *raw_len = entry.raw_len;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
