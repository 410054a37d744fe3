//! Whether what was just published is there for whoever reads the repository: listed in its folder under its own name,
//! and readable by that name.

use std::collections::BTreeMap;
use std::path::Path;

use msgvault_platform::{Dir, Name};
use msgvault_verifier::PackReader;
use msgvault_verifier::format::id::{IndexId, PackId, SnapshotId};
use msgvault_verifier::format::sums::{MAX_SUMS_LEN, Sums, SumsName};
use msgvault_verifier::format::verified;
use msgvault_verifier::repository::{check_index, read_config, read_manifest};
use msgvault_verifier::store::{DirectoryStore, read_file};

use super::PublishError;
use crate::decompress::Zstd;

/// Looks for files by their names in the repository, each folder through one new listing, and reads as much of each as
/// its readers do to open it.
pub(crate) fn confirm<'n>(root: &Path, names: impl Iterator<Item = &'n str>) -> Result<(), PublishError> {
    let mut folders: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for name in names {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        folders.entry(folder).or_default().push((file, name));
    }
    for (folder, files) in folders {
        let path = root.join(folder);
        let listed = Dir::open(&path).and_then(|dir| dir.entries());
        let listed = listed.map_err(PublishError::io("list", &path))?;
        for (file, name) in files {
            is_listed(&listed, file, &root.join(name))?;
            read_back(root, name)?;
        }
    }
    Ok(())
}

fn is_listed(listed: &[Name], file: &str, path: &Path) -> Result<(), PublishError> {
    let texts = || listed.iter().filter_map(|name| name.text.as_deref());
    if texts().any(|text| text == file) {
        return Ok(());
    }
    let shown = texts().find(|text| text.eq_ignore_ascii_case(file)).map(str::to_owned);
    Err(PublishError::NotListed { path: path.to_owned(), shown })
}

fn read_back(root: &Path, name: &str) -> Result<(), PublishError> {
    let store = DirectoryStore::new(root);
    let read = if let Some(id) = PackId::of_path(name) {
        PackReader::new(store, Zstd).open(id).map(drop).map_err(|error| error.to_string())
    } else if IndexId::of_path(name).is_some() {
        check_index(&store, name).map_err(|error| error.to_string())
    } else if let Some(id) = SnapshotId::of_path(name) {
        read_manifest(&store, &id).map(drop).map_err(|error| error.to_string())
    } else if SumsName::of_path(name).is_some() {
        let decode = |bytes: Vec<u8>| Sums::decode(&bytes).map(drop).map_err(|error| error.to_string());
        read_file(&store, name, MAX_SUMS_LEN).map_err(|error| error.to_string()).and_then(decode)
    } else if name.starts_with(verified::FOLDER) {
        read_file(&store, name, verified::MAX_LEN).map(drop).map_err(|error| error.to_string())
    } else {
        read_config(&store).map(drop).map_err(|error| error.to_string())
    };
    read.map_err(|reason| PublishError::NotReadBack { path: root.join(name), reason })
}
