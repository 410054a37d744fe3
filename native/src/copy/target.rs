//! The folder that becomes the copy.

use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_verifier::format::config::RepoConfig;
use msgvault_verifier::repository::{OpenError, read_config};
use msgvault_verifier::store::DirectoryStore;

use super::CopyError;
use crate::repo::init::init_as;

/// Looks whether the folder can hold the copy, and makes an empty repository with the source's name of a folder that
/// is empty or missing, unless it is only a rehearsal.
pub fn prepare(
    context: &Context<'_>,
    source: &Path,
    config: &RepoConfig,
    to: &Path,
    dry_run: bool,
) -> Result<(), CopyError> {
    let is_same = source.canonicalize().is_ok_and(|source| to.canonicalize().is_ok_and(|to| to == source));
    if is_same {
        return Err(CopyError::Same { path: to.to_owned() });
    }
    match read_config(&DirectoryStore::new(to)) {
        Ok(found) if found.repo_id == config.repo_id => Ok(()),
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
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
