//! What a snapshot refers to, in a fixed order.

use crate::decompress::Decompressor;
use crate::format::id::BlobId;
use crate::format::manifest::Manifest;
use crate::format::page_map::Run;
use crate::format::page_size::PageSize;
use crate::repository::Repository;
use crate::snapshot::{ChainReader, Maps, SnapshotError, chain_objects, load_attachments, load_extras};
use crate::store::Store;

/// What a blob is to a snapshot.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role<'a> {
    /// A map, list or tree; loading it has checked it already.
    Object(&'static str),
    /// Pages of the database, with the run that points at them.
    Pages(&'a Maps, &'a Run),
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
            Self::Pages(_, run) => format!("pages of the database from {} on", run.start_page),
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

/// Calls `visit` for every reference of a snapshot, and `fail` for everything that keeps references from being known.
pub(super) fn walk<S: Store, D: Decompressor>(
    repository: &Repository<S, D>,
    manifest: &Manifest,
    chains: &mut ChainReader,
    visit: &mut dyn FnMut(&BlobId, Role<'_>),
    fail: &mut dyn FnMut(&SnapshotError),
) {
    if manifest.db.page_map.is_some() {
        let objects = chain_objects(repository, manifest);
        match &objects {
            Ok(objects) => {
                for (_, map, hashes) in objects {
                    visit(map, Role::Object("the page map"));
                    visit(hashes, Role::Object("the page hashes"));
                }
            }
            Err(error) => fail(error),
        }
        match chains.load_shared(repository, manifest) {
            Ok(maps) => {
                for run in &maps.pages.runs {
                    if let Some(blob) = maps.pages.blob(run) {
                        visit(blob, Role::Pages(maps, run));
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
    match load_attachments(repository, manifest) {
        Ok(attachments) => {
            for attachment in &attachments {
                visit(&attachment.id, Role::Attachment(attachment.size));
            }
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
