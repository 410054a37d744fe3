//! What lies below a folder: hashes and modes, as expectations state them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use msgvault_verifier::format::id::BlobId;

/// Path and SHA-256, path and octal mode, of every file below a folder, sorted.
pub fn hashes_and_modes(root: &Path) -> io::Result<[Vec<(String, String)>; 2]> {
    let mut found = [Vec::new(), Vec::new()];
    collect(root, root, &mut found)?;
    for list in &mut found {
        list.sort();
    }
    Ok(found)
}

fn collect(root: &Path, folder: &Path, found: &mut [Vec<(String, String)>; 2]) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            collect(root, &path, found)?;
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        found[0].push((name.clone(), BlobId::of(&fs::read(&path)?).to_string()));
        found[1].push((name, format!("{:04o}", metadata.permissions().mode() & 0o7777)));
    }
    Ok(())
}
