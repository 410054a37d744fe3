//! The page hashes of the last keyframe, kept beside the archive: a hint that saves reading them from the
//! repository. Without it, or with a wrong one, everything is the same and takes longer.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use msgvault_platform as platform;
use msgvault_verifier::format::config::RepoId;
use msgvault_verifier::format::id::{BlobId, SnapshotId};
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::format::page_hash::{self, PageHashObject, PageHashes};
use msgvault_verifier::length::to_u32;

fn path(folder: &Path, repo: &RepoId) -> PathBuf {
    folder.join(format!("{repo}.hashmap"))
}

/// The page hashes of a keyframe snapshot, if the cache holds exactly the object that its manifest names.
pub(super) fn read(folder: &Path, repo: &RepoId, manifest: &Manifest) -> Option<PageHashes> {
    if manifest.db.map_chain_depth != 0 {
        return None;
    }
    let bytes = fs::read(path(folder, repo)).ok()?;
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (id, object) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
    let is_parents = id == manifest.snapshot_id.as_str().as_bytes()
        && manifest.db.page_hash_map == Some(BlobId::of(object));
    match page_hash::decode(object) {
        Ok(PageHashObject::Keyframe(hashes)) if is_parents => Some(hashes),
        _ => None,
    }
}

/// Replaces the cache.
pub(super) fn write(
    folder: &Path,
    repo: &RepoId,
    snapshot: &SnapshotId,
    hashes: &PageHashes,
) -> io::Result<()> {
    match platform::create_folder(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let target = path(folder, repo);
    let unfinished = target.with_extension("hashmap.new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let id = snapshot.as_str().as_bytes();
    let mut file = platform::create_new(&unfinished)?;
    file.write_all(&to_u32(id.len()).to_le_bytes())?;
    file.write_all(id)?;
    file.write_all(&hashes.encode())?;
    drop(file);
    fs::rename(&unfinished, &target)
}
