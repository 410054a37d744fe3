//! Blobs that no index names, and the index files that should have.

use std::cell::OnceCell;

use crate::format::id::{BlobId, SnapshotId};
use crate::repository::{BlobError, BlobFault, LostIndex, Repository};

use super::problem::Problem;

/// So many lost files are named in a sentence.
const NAMED: usize = 3;

/// Which index files are lost, found out when the first blob is missed in all of them.
pub(super) struct LostIndexes<'r> {
    repository: &'r Repository,
    found: OnceCell<Vec<LostIndex>>,
}

impl<'r> LostIndexes<'r> {
    pub(super) fn of(repository: &'r Repository) -> Self {
        Self { repository, found: OnceCell::new() }
    }

    pub(super) fn repository(&self) -> &'r Repository {
        self.repository
    }

    /// A blob that a snapshot needs and no index names; the file is the lost one, where there is only one.
    pub(super) fn problem(&self, id: &SnapshotId, role: &str, blob: BlobId) -> Problem {
        let error = BlobError { blob, pack: None, fault: BlobFault::NotIndexed };
        let problem = Problem::of_blob(id, role, &error);
        let found = self.found.get_or_init(|| self.repository.lost_indexes());
        // What a snapshot needs was named by its own index or by an older one.
        let lost: Vec<String> =
            found.iter().filter(|lost| lost.snapshot <= *id).map(|lost| lost.index.path()).collect();
        match lost.as_slice() {
            [] => problem,
            [only] => Problem { file: Some(only.clone()), ..problem },
            [.., newest] => {
                let named = lost.iter().rev().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
                let more = if lost.len() > NAMED { " and older ones" } else { "" };
                let detail = format!("{}; lost are {named}{more}", problem.detail);
                Problem { file: Some(newest.clone()), detail, ..problem }
            }
        }
    }
}
