//! What a snapshot refers to, in a fixed order.

use crate::format::id::BlobId;
use crate::format::manifest::Manifest;
use crate::format::page_map::Run;
use crate::format::page_size::PageSize;
use crate::repository::Repository;
use crate::snapshot::{AttachmentReader, ChainReader, Maps, SnapshotError, load_extras};

/// What a blob is to a snapshot.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role<'a> {
    /// A map, list or tree; loading it has checked it already.
    Object(&'static str),
    /// Pages of the database, with the runs that point at them, by page.
    Pages(&'a Maps, &'a [Run]),
    /// An attachment of so many bytes.
    Attachment(u64),
    /// A file of so many bytes.
    Extra(&'a str, u64),
    /// An auxiliary artifact or a metadata blob of so many bytes.
    Artifact(&'a str, u64),
}

impl Role<'_> {
    /// What the blob is, for a sentence.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Object(what) => (*what).to_owned(),
            Self::Pages(_, runs) => {
                let first = runs.first().map_or(0, |run| run.start_page);
                format!("pages of the database from {first} on")
            }
            Self::Attachment(_) => "an attachment".to_owned(),
            Self::Extra(path, _) => format!("the file {path:?}"),
            Self::Artifact(name, _) => format!("the artifact {name:?}"),
        }
    }

    /// The page size, when the blob holds pages.
    pub(super) fn page_size(&self) -> Option<PageSize> {
        match self {
            Self::Pages(maps, _) => Some(maps.pages.page_size),
            _ => None,
        }
    }
}

/// What one snapshot leaves to the next, which mostly has the same maps and lists.
#[derive(Default)]
pub(super) struct Readers {
    chains: ChainReader,
    attachments: AttachmentReader,
    /// How many attachments of the last snapshot, from the first on, need no visit in the next.
    settled: usize,
}

/// Calls `visit` for every reference of a snapshot, and `fail` for everything that keeps references from being known.
///
/// `visit` says whether the same attachment needs no visit in the next snapshot: most attachments are in all of them.
pub(super) fn walk(
    repository: &Repository,
    manifest: &Manifest,
    readers: &mut Readers,
    visit: &mut dyn FnMut(&BlobId, Role<'_>) -> bool,
    fail: &mut dyn FnMut(&SnapshotError),
) {
    if manifest.db.page_map.is_some() {
        let objects = readers.chains.objects(repository, manifest);
        match &objects {
            Ok(objects) => {
                for (_, map, hashes) in objects {
                    visit(map, Role::Object("the page map"));
                    visit(hashes, Role::Object("the page hashes"));
                }
            }
            Err(error) => fail(error),
        }
        match readers.chains.load_shared(repository, manifest) {
            Ok(maps) => {
                // A blob at a time: after many snapshots there are far more runs than blobs.
                let mut runs = maps.pages.runs.clone();
                runs.sort_by_key(|run| run.blob_index);
                for runs in runs.chunk_by(|a, b| a.blob_index == b.blob_index) {
                    if let Some(blob) = runs.first().and_then(|run| maps.pages.blob(run)) {
                        visit(blob, Role::Pages(maps, runs));
                    }
                }
            }
            // A chain that cannot be followed was reported above.
            Err(_) if objects.is_err() => {}
            Err(error) => fail(&error),
        }
    }
    for list in manifest.lists() {
        visit(list, Role::Object("the attachment list"));
    }
    match readers.attachments.load_shared(repository, manifest) {
        Ok((attachments, inherited)) => {
            let mut settled = readers.settled.min(inherited);
            for (n, attachment) in attachments.iter(repository.index()).enumerate().skip(settled) {
                if visit(&attachment.id, Role::Attachment(attachment.size)) && settled == n {
                    settled += 1;
                }
            }
            readers.settled = settled;
        }
        Err(error) => fail(&error),
    }
    if let Some(tree) = &manifest.extras.tree {
        visit(tree, Role::Object("the extras tree"));
    }
    match load_extras(repository, manifest) {
        Ok(files) => {
            for file in &files {
                visit(&file.blob, Role::Extra(file.path.relative().as_str(), file.size));
            }
        }
        Err(error) => fail(&error),
    }
    if let Some(metadata) = &manifest.metadata {
        visit(&metadata.blob, Role::Artifact("metadata", metadata.bytes));
    }
    for item in manifest.auxiliary() {
        visit(&item.blob, Role::Artifact(&item.name, item.bytes));
    }
}
