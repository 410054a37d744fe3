//! Every blob that a snapshot needs, and what for: the one list of it.
//!
//! Whoever reads, restores, compares, copies or removes blobs asks here. A new kind of object is added here,
//! and the compiler says where else it must be thought of.

use crate::format::extras::ExtraFile;
use crate::format::id::BlobId;
use crate::format::manifest::Manifest;
use crate::format::page_map::Run;
use crate::observer::Observer;
use crate::repository::{BlobIndex, Repository};

use super::attachments::AttachmentReader;
use super::chain::ChainReader;
use super::{Maps, Snapshot, SnapshotError, load_extras};

/// What a blob is to a snapshot.
#[derive(Debug, Clone, Copy)]
pub enum Role<'a> {
    /// A map, list or tree, by its name in a sentence; loading it checks it.
    Object(&'static str),
    /// Pages of the database, with the runs that point at them, by page.
    Pages(&'a Maps, &'a [Run]),
    /// An attachment, and its length in bytes.
    Attachment(u64),
    /// A file beside database and attachments: its path, and its length in bytes.
    Extra(&'a str, u64),
    /// An auxiliary artifact or a metadata blob: its name, and its length in bytes.
    Artifact(&'a str, u64),
}

impl Role<'_> {
    /// What the blob is, for a sentence.
    pub fn describe(&self) -> String {
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
}

/// Finds the references of one snapshot after another, which mostly have the same maps and lists.
#[derive(Default)]
pub struct ReferenceReader {
    chains: ChainReader,
    attachments: AttachmentReader,
    /// How many attachments of the last snapshot, from the first on, need no visit in the next.
    settled: usize,
}

impl ReferenceReader {
    /// Calls `visit` for every reference of a snapshot, in a fixed order, and `fail` for everything that
    /// keeps references from being known.
    ///
    /// `visit` says whether the same attachment needs no visit in the next snapshot: most attachments are in
    /// all of them.
    pub fn each(
        &mut self,
        repository: &Repository,
        manifest: &Manifest,
        observer: &dyn Observer,
        visit: &mut dyn FnMut(&BlobId, Role<'_>) -> bool,
        fail: &mut dyn FnMut(&SnapshotError),
    ) {
        if manifest.db.page_map.is_some() {
            let objects = self.chains.objects(repository, manifest);
            match &objects {
                Ok(objects) => {
                    for (_, map, hashes) in objects {
                        visit(map, Role::Object("the page map"));
                        visit(hashes, Role::Object("the page hashes"));
                    }
                }
                Err(error) => fail(error),
            }
            match self.chains.load_shared(repository, manifest, observer) {
                Ok(maps) => each_page_blob(maps, &mut |blob, role| {
                    visit(blob, role);
                }),
                // A chain that cannot be followed was reported above.
                Err(_) if objects.is_err() => {}
                Err(error) => fail(&error),
            }
        }
        for list in manifest.lists() {
            visit(list, Role::Object("the attachment list"));
        }
        match self.attachments.load_shared(repository, manifest, observer) {
            Ok((attachments, inherited)) => {
                let mut settled = self.settled.min(inherited);
                for (n, attachment) in attachments.iter(repository.index()).enumerate().skip(settled) {
                    if visit(&attachment.id, Role::Attachment(attachment.size)) && settled == n {
                        settled += 1;
                    }
                }
                self.settled = settled;
            }
            Err(error) => fail(&error),
        }
        if let Some(tree) = &manifest.extras.tree {
            visit(tree, Role::Object("the extras tree"));
        }
        match load_extras(repository, manifest, observer) {
            Ok(files) => each_extra(&files, &mut |blob, role| {
                visit(blob, role);
            }),
            Err(error) => fail(&error),
        }
        if let Some(metadata) = &manifest.metadata {
            visit(&metadata.blob, Role::Artifact("metadata", metadata.bytes));
        }
        for item in manifest.auxiliary() {
            visit(&item.blob, Role::Artifact(&item.name, item.bytes));
        }
    }
}

/// Calls `visit` for the content of a loaded snapshot: pages by blob, then attachments in first-seen order,
/// then other files in the order of the tree. What describes it was read already.
pub fn each_content(snapshot: &Snapshot, index: &BlobIndex, visit: &mut dyn FnMut(&BlobId, Role<'_>)) {
    each_page_blob(&snapshot.maps, visit);
    for attachment in snapshot.attachments.iter(index) {
        visit(&attachment.id, Role::Attachment(attachment.size));
    }
    each_extra(&snapshot.extras, visit);
}

/// A blob at a time: after many snapshots there are far more runs than blobs.
fn each_page_blob(maps: &Maps, visit: &mut dyn FnMut(&BlobId, Role<'_>)) {
    let mut runs = maps.pages.runs.clone();
    runs.sort_by_key(|run| run.blob_index);
    for runs in runs.chunk_by(|a, b| a.blob_index == b.blob_index) {
        // Decoding has checked that every run's blob is in the table.
        if let Some(blob) = runs.first().and_then(|run| maps.pages.blob(run)) {
            visit(blob, Role::Pages(maps, runs));
        }
    }
}

fn each_extra(files: &[ExtraFile], visit: &mut dyn FnMut(&BlobId, Role<'_>)) {
    for file in files {
        visit(&file.blob, Role::Extra(file.path.relative().as_str(), file.size));
    }
}
