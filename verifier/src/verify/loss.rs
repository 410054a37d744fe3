//! What a snapshot loses with a pack.

use std::collections::HashSet;

use crate::format::id::BlobId;
use crate::snapshot::references::Role;
use crate::text::count;

/// The blobs that a snapshot needs of one pack, by what they are to it.
pub(super) struct Loss {
    /// The first one.
    pub(super) first: BlobId,
    blobs: HashSet<BlobId>,
    /// Maps, lists and the tree, without which other blobs are not known.
    descriptions: usize,
    pages: usize,
    attachments: usize,
    files: usize,
    artifacts: usize,
}

impl Loss {
    /// Nothing yet; `first` is added like all others.
    pub(super) fn new(first: BlobId) -> Self {
        let blobs = HashSet::new();
        Self { first, blobs, descriptions: 0, pages: 0, attachments: 0, files: 0, artifacts: 0 }
    }

    /// Adds a blob, once.
    pub(super) fn add(&mut self, blob: &BlobId, role: &Role<'_>) {
        if self.blobs.insert(*blob) {
            *match role {
                Role::Object(_) => &mut self.descriptions,
                Role::Pages(..) => &mut self.pages,
                Role::Attachment(_) => &mut self.attachments,
                Role::Extra(..) => &mut self.files,
                Role::Artifact(..) => &mut self.artifacts,
            } += 1;
        }
    }

    /// What is lost, for a sentence.
    pub(super) fn describe(&self) -> String {
        let some = |number: usize, noun| (number > 0).then(|| count(number, noun));
        let parts = [
            (self.pages > 0).then(|| "pages of the database".to_owned()),
            some(self.attachments, "attachment"),
            some(self.files, "other file"),
            some(self.artifacts, "artifact"),
            (self.descriptions > 0).then(|| "maps or lists that tell what else it needs".to_owned()),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        format!("the snapshot needs {} of it ({})", count(self.blobs.len(), "blob"), parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_counts_once_and_by_what_it_is() {
        let id = |fill| BlobId::from_bytes([fill; 32]);
        let mut loss = Loss::new(id(1));
        loss.add(&id(1), &Role::Attachment(5));
        loss.add(&id(1), &Role::Extra("config.toml", 5));
        assert_eq!(loss.describe(), "the snapshot needs 1 blob of it (1 attachment)");
        loss.add(&id(2), &Role::Object("the page map"));
        loss.add(&id(3), &Role::Extra("config.toml", 5));
        loss.add(&id(4), &Role::Extra("deletions/1.json", 5));
        assert_eq!(
            loss.describe(),
            "the snapshot needs 4 blobs of it (1 attachment, 2 other files, maps or lists that tell what else it needs)"
        );
    }
}
