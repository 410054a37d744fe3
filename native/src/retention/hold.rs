//! Snapshots that nothing forgets: a file for each in `retention/holds/`, named after it.

use std::collections::BTreeMap;
use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::store::{DirectoryStore, Store, StoreError, read_file};
use serde::{Deserialize, Serialize};

use super::RetentionError;
use super::record::{MAX_RECORD_LEN, VERSION};
use crate::repo::files;
use crate::repo::lock::Lock;
use crate::repo::publish::{FileKind, publish_bytes};

const FOLDER: &str = "retention/holds";
const SUFFIX: &str = ".json";

/// Which snapshots are held, and why.
#[derive(Debug, Default)]
pub(crate) struct Holds(BTreeMap<SnapshotId, String>);

#[derive(Serialize, Deserialize)]
struct HoldRecord {
    version: u64,
    at: String,
    by: String,
    reason: String,
}

impl Holds {
    /// Reads them. A hold that cannot be read still holds.
    pub(crate) fn read(root: &Path) -> Result<Self, RetentionError> {
        let store = DirectoryStore::new(root);
        let entries = match store.list(FOLDER) {
            Err(StoreError::Missing { .. }) => Vec::new(),
            entries => entries?,
        };
        let mut holds = BTreeMap::new();
        for entry in entries {
            let Some(id) = entry.name.strip_suffix(SUFFIX).and_then(|stem| stem.parse().ok()) else {
                continue;
            };
            let json = read_file(&store, &path(&id), MAX_RECORD_LEN);
            let record = json.ok().and_then(|json| serde_json::from_slice::<HoldRecord>(&json).ok());
            holds.insert(id, record.map_or_else(String::new, |record| record.reason));
        }
        Ok(Self(holds))
    }

    /// Why a snapshot is held; none when it is not.
    pub(crate) fn reason(&self, id: &SnapshotId) -> Option<String> {
        self.0.get(id).cloned()
    }
}

fn path(id: &SnapshotId) -> String {
    format!("{FOLDER}/{id}{SUFFIX}")
}

/// Holds a snapshot, under the exclusive lock; says whether it was not held before.
pub fn hold(
    context: &Context<'_>,
    root: &Path,
    id: &SnapshotId,
    by: &str,
    reason: &str,
    lock: &Lock,
) -> Result<bool, RetentionError> {
    if Holds::read(root)?.reason(id).is_some() {
        return Ok(false);
    }
    let record =
        HoldRecord { version: VERSION, at: context.now_text(), by: by.to_owned(), reason: reason.to_owned() };
    let json = serde_json::to_vec_pretty(&record).map_err(RetentionError::unwritable)?;
    lock.still_held()?;
    publish_bytes(*context, root, FileKind::Record, &path(id), &json)?;
    Ok(true)
}

/// Lets a snapshot go again, under the exclusive lock; says whether it was held.
pub fn unhold(
    context: &Context<'_>,
    root: &Path,
    id: &SnapshotId,
    lock: &Lock,
) -> Result<bool, RetentionError> {
    if Holds::read(root)?.reason(id).is_none() {
        return Ok(false);
    }
    lock.still_held()?;
    files::remove(context, root, &[path(id)])?;
    Ok(true)
}
