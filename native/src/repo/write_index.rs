//! Index files: named above all that there are, and written piece by piece (`docs/format.md` §4).

use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{IndexId, PackId};
use msgvault_verifier::format::index::{IndexEncoder, IndexEntry};
use msgvault_verifier::format::pack::PackEntry;
use msgvault_verifier::length::to_u32;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::{Store, StoreError};

use super::publish::{FileKind, PublishError, Staged};

/// Bytes of an index that are written at once.
const PIECE: usize = 1 << 20;

/// An ID behind those of all index files, since of two entries for a blob the later file's counts.
pub fn next_index_id(context: &Context<'_>, store: &dyn Store) -> IndexId {
    let (unix_ms, random) = context.ulid_parts();
    let id = IndexId::from_parts(unix_ms, random);
    let names = store.list("indexes").unwrap_or_default();
    let ids = names.iter().filter_map(|entry| IndexId::of_path(&format!("indexes/{}", entry.name)));
    match ids.max() {
        Some(last) if last >= id => {
            let next = u128::from_be_bytes(last.to_bytes()).saturating_add(1);
            IndexId::from_bytes(next.to_be_bytes())
        }
        _ => id,
    }
}

/// Publishes an index of `count` entries, which ascend by blob ID.
pub fn write_index(
    context: &Context<'_>,
    root: &Path,
    kind: FileKind,
    id: IndexId,
    count: usize,
    entries: impl IntoIterator<Item = IndexEntry>,
) -> Result<(), PublishError> {
    let mut file = Staged::create(*context, root, kind)?;
    // More blobs than an index has room for do not fit into memory either.
    let mut encoder = IndexEncoder::new(to_u32(count));
    for entry in entries {
        encoder.push(&entry);
        if encoder.pending() >= PIECE {
            file.write(&encoder.take())?;
        }
    }
    file.write(&encoder.finish())?;
    file.publish(&id.path())
}

/// What an index says of a blob in a pack.
pub fn index_entry(pack: PackId, entry: &PackEntry) -> IndexEntry {
    let PackEntry { id, offset, stored_len, encoding, .. } = *entry;
    IndexEntry { id, pack, offset, stored_len, encoding }
}

/// Every pack that lies where packs lie, in the order of their names.
pub fn all_packs(repository: &Repository) -> Result<Vec<PackId>, StoreError> {
    Ok(repository.pack_files()?.into_iter().map(|(pack, _)| pack).collect())
}
