//! What the Go program needs to be able to read a repository, held against one: it stops at the first thing that
//! does not hold, for every snapshot.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use msgvault_verifier::format::id::{IndexId, PackId, SnapshotId};
use msgvault_verifier::format::{index, manifest::Manifest};

use crate::tree;

/// Checks that no index names a pack that is not there, that every manifest has its strict form and is under its own
/// name, that each has all that it is built upon, and that only the format's own files have its suffixes in its
/// folders. That all content is there is for a verification to say.
///
/// # Panics
///
/// If something does not hold, or there is no index at all.
pub fn can_read(repo: &Path) {
    let files = |folder: &str| -> BTreeSet<String> {
        let below = tree::files(&repo.join(folder)).unwrap_or_default().into_keys();
        below.map(|file| format!("{folder}/{file}")).collect()
    };
    let (packs, indexes, snapshots) = (files("packs"), files("indexes"), files("snapshots"));
    let indexes: BTreeSet<String> =
        indexes.into_iter().filter(|path| has_suffix(path, IndexId::of_path(path).is_some())).collect();
    assert!(!indexes.is_empty(), "{} has no index", repo.display());
    for path in &indexes {
        let bytes = fs::read(repo.join(path)).expect("an index");
        for entry in index::decode(&bytes).unwrap_or_else(|error| panic!("{path}: {error}")) {
            assert!(packs.contains(&entry.pack.path()), "{path} names {}, which is not there", entry.pack);
        }
    }
    for path in &packs {
        has_suffix(path, PackId::of_path(path).is_some());
    }
    for path in snapshots {
        let Some(id) = SnapshotId::of_path(&path).filter(|_| has_suffix(&path, true)) else {
            has_suffix(&path, false);
            continue;
        };
        let bytes = fs::read(repo.join(&path)).expect("a manifest");
        let manifest = Manifest::decode(&id, &bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(manifest.encode().as_bytes(), bytes, "{path}");
        assert_eq!(manifest.computed_id(), id.to_string());
        if let Some(base) = manifest.base() {
            assert!(repo.join(base.path()).exists(), "{id} is built upon {base}, which is not there");
        }
    }
}

/// A file with a suffix of the format must be one of the format's; says whether it is.
fn has_suffix(path: &str, is_of_the_format: bool) -> bool {
    let has_suffix = [".mvidx", ".mvpack", ".mvmanifest"].iter().any(|suffix| path.ends_with(suffix));
    assert_eq!(has_suffix, is_of_the_format, "{path}");
    is_of_the_format
}
