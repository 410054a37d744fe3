//! Which blobs need not be stored again.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

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
}

impl<'r> KnownBlobs<'r> {
    pub(super) fn of(repository: &'r Repository) -> Self {
        let confirmed = BlobSet::new(repository.index());
        let state = State { opened: HashSet::new(), confirmed, distrusted: HashSet::new() };
        Self { repository, state: Mutex::new(state) }
    }

    /// From now on a blob is not held.
    pub(super) fn distrust(&self, id: BlobId) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).distrusted.insert(id);
    }

    /// Whether a blob is held. A pack that cannot be read holds nothing, so that its blobs are stored again.
    pub(super) fn holds(&self, id: &BlobId) -> bool {
        let index = self.repository.index();
        let Some(position) = index.position(id) else { return false };
        let Some(location) = index.at(position) else { return false };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.distrusted.contains(id) {
            return false;
        }
        if state.opened.insert(location.pack) {
            self.confirm(location.pack, &mut state.confirmed);
        }
        state.confirmed.contains(position)
    }

    /// Marks every blob for which the pack's footer says what the index says.
    fn confirm(&self, pack: PackId, confirmed: &mut BlobSet) {
        let index = self.repository.index();
        let Ok(file) = self.repository.pack(pack) else { return };
        for entry in file.entries() {
            let Some(position) = index.position(&entry.id) else { continue };
            let agrees = index.at(position).is_some_and(|location| {
                location.pack == pack && location.check(std::slice::from_ref(entry)).is_ok()
            });
            if agrees {
                confirmed.insert(position);
            }
        }
    }
}
