//! The folder that becomes the copy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use msgvault_platform::context::Context;
use msgvault_verifier::format::config::RepoConfig;
use msgvault_verifier::format::id::{PackId, SnapshotId};
use msgvault_verifier::repository::{OpenError, Repository, read_config};
use msgvault_verifier::store::DirectoryStore;

use super::CopyError;
use crate::decompress::Zstd;
use crate::repo::init::init_as;

/// A target that is this repository's copy, or nothing yet.
pub struct Prepared {
    root: PathBuf,
    exists: bool,
}

/// Looks whether the folder can hold the copy, and makes an empty repository with the source's name of a folder that
/// is empty or missing, unless it is only a rehearsal.
pub fn prepare(
    context: &Context<'_>,
    source: &Path,
    config: &RepoConfig,
    to: &Path,
    dry_run: bool,
) -> Result<Prepared, CopyError> {
    let is_same = source.canonicalize().is_ok_and(|source| to.canonicalize().is_ok_and(|to| to == source));
    if is_same {
        return Err(CopyError::Same { path: to.to_owned() });
    }
    match read_config(&DirectoryStore::new(to)) {
        Ok(found) if found.repo_id == config.repo_id => Ok(Prepared { root: to.to_owned(), exists: true }),
        Ok(found) => Err(CopyError::Another {
            path: to.to_owned(),
            found: found.repo_id.to_string(),
            expected: config.repo_id.to_string(),
        }),
        Err(OpenError::Missing(_) | OpenError::NotARepository) => {
            if !dry_run {
                // The page size comes once packs and indexes are there.
                init_as(to, context, RepoConfig { page_size: 0, ..config.clone() })?;
            }
            Ok(Prepared { root: to.to_owned(), exists: !dry_run })
        }
        Err(error) => Err(error.into()),
    }
}

impl Prepared {
    /// The packs that are there, and the bytes of their files.
    pub(super) fn packs(&self) -> Result<BTreeMap<PackId, u64>, CopyError> {
        let Some(repository) = self.open()? else { return Ok(BTreeMap::new()) };
        Ok(repository.pack_files()?.into_iter().collect())
    }

    /// The snapshots that are listed.
    pub(super) fn snapshots(&self) -> Result<BTreeSet<SnapshotId>, CopyError> {
        let Some(repository) = self.open()? else { return Ok(BTreeSet::new()) };
        Ok(repository.listing()?.snapshots.into_iter().collect())
    }

    fn open(&self) -> Result<Option<Repository>, CopyError> {
        if !self.exists {
            return Ok(None);
        }
        Ok(Some(Repository::open(DirectoryStore::new(&self.root), Zstd)?))
    }
}
