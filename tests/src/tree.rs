//! What is below a folder: contents, and hashes and modes in the form in which expectations state them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use msgvault_verifier::format::id::BlobId;

/// Files by path, each with its mode and its content.
pub type Files = BTreeMap<String, (u32, Vec<u8>)>;

/// Every file below a folder.
pub fn files(root: &Path) -> io::Result<Files> {
    let mut found = BTreeMap::new();
    visit(root, root, &mut |path, mode, bytes| drop(found.insert(path, (mode, bytes))))?;
    Ok(found)
}

/// Path and SHA-256, path and octal mode, of every file below a folder, sorted.
pub fn hashes_and_modes(root: &Path) -> io::Result<[Vec<(String, String)>; 2]> {
    let mut found = [Vec::new(), Vec::new()];
    visit(root, root, &mut |path, mode, bytes| {
        found[0].push((path.clone(), BlobId::of(&bytes).to_string()));
        found[1].push((path, format!("{mode:04o}")));
    })?;
    for list in &mut found {
        list.sort();
    }
    Ok(found)
}

fn visit(root: &Path, folder: &Path, found: &mut impl FnMut(String, u32, Vec<u8>)) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            visit(root, &path, found)?;
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        found(name, metadata.permissions().mode() & 0o7777, fs::read(&path)?);
    }
    Ok(())
}
