//! What this host read of a repository, kept for the next run in `verified/<host>.json` (`docs/format.md` §14).

use std::collections::HashSet;
use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::PackId;
use msgvault_verifier::format::verified::{MAX_LEN, Verified};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::read_file;
use msgvault_verifier::verify::rolling::Update;

use super::publish::{FileKind, PublishError, publish_bytes};

/// Adds what a run found to this host's hint, and drops packs from it that are gone.
///
/// The hint is read again for that: another run on this host may have written it meanwhile. Of two that end at the
/// same moment one can be lost, and its packs are read once more.
pub fn remember(
    context: &Context<'_>,
    root: &Path,
    host: &str,
    repository: &Repository,
    update: &Update,
) -> Result<(), PublishError> {
    let path = Verified::path(host);
    let known = read_file(repository.store(), &path, MAX_LEN).ok();
    let mut hint = known.and_then(|json| Verified::decode(&json)).unwrap_or_default();
    update.apply(&mut hint);
    let packs: HashSet<PackId> = repository.index().packs().iter().copied().collect();
    hint.packs.retain(|pack, _| packs.contains(pack));
    hint.failed.retain(|pack, _| packs.contains(pack));
    if let Ok(listing) = repository.listing() {
        hint.snapshots.retain(|id, _| listing.snapshots.binary_search(id).is_ok());
    }
    publish_bytes(*context, root, FileKind::Hint, &path, hint.encode().as_bytes())
}
