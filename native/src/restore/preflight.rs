//! What must be read, and whether all of it is there, before anything of the target changes.

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::manifest::{DOCUMENT_DERIVATIVES, DocumentDerivatives};
use msgvault_verifier::format::page_map::Run as PageRun;
use msgvault_verifier::length::{to_u64, to_usize};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::references::{self, Role};
use msgvault_verifier::snapshot::{ContentDigest, Snapshot};

use super::RestoreError;
use super::blobs::{ByPack, PackWork, each_blob};
use super::workers::Workers;

/// What must be read, grouped by pack.
pub(super) struct Plan {
    /// Positions in `page_runs` where the runs of a blob begin and end.
    pub(super) pages: Vec<PackWork<(usize, usize)>>,
    /// Runs of the page map by blob and place in the blob.
    pub(super) page_runs: Vec<PageRun>,
    /// Positions in the snapshot's attachments.
    pub(super) attachments: Vec<PackWork<u32>>,
    /// Positions in the snapshot's extras.
    pub(super) extras: Vec<PackWork<usize>>,
}

/// Whether the snapshot holds what somebody wrote down.
pub(super) fn compare_content(
    repository: &Repository,
    snapshot: &Snapshot,
    expected: ContentDigest,
) -> Result<(), RestoreError> {
    let found = ContentDigest::of(snapshot, repository.index());
    if found == expected { Ok(()) } else { Err(RestoreError::Content { expected, found }) }
}

/// Resolves every reference through the index and the packs' footers, and compares lengths.
pub(super) fn plan(
    context: &Context<'_>,
    repository: &Repository,
    snapshot: &Snapshot,
    workers: &Workers,
) -> Result<Plan, RestoreError> {
    let plan = group(repository, snapshot)?;
    let page_size = snapshot.maps.pages.page_size;
    workers.each(&plan.pages, |work| {
        each_blob(repository, context.observer, work, |(start, end), _, entry| {
            let runs = plan.page_runs.get(*start..*end).unwrap_or_default();
            let needed = runs.iter().map(|run| run.blob_end(page_size).unwrap_or(u64::MAX)).max();
            let needed = needed.unwrap_or(0);
            check_length("database pages", entry.id, needed, entry.raw_len, entry.raw_len >= needed)
        })
    })?;
    workers.each(&plan.attachments, |work| {
        each_blob(repository, context.observer, work, |n, _, entry| {
            let number = to_usize(*n);
            let attachment = snapshot.attachments.get(repository.index(), number);
            let size = attachment.map_or(0, |attachment| attachment.size);
            check_length("an attachment", entry.id, size, entry.raw_len, entry.raw_len == size)
        })
    })?;
    workers.each(&plan.extras, |work| {
        each_blob(repository, context.observer, work, |n, _, entry| {
            let size = snapshot.extras.get(*n).map_or(0, |extra| extra.size);
            check_length("another file", entry.id, size, entry.raw_len, entry.raw_len == size)
        })
    })?;
    Ok(plan)
}

/// Groups by pack all that the snapshot refers to; what describes it was read when it was loaded.
fn group(repository: &Repository, snapshot: &Snapshot) -> Result<Plan, RestoreError> {
    let index = repository.index();
    let (mut pages, mut attachments, mut extras) =
        (ByPack::new(index), ByPack::new(index), ByPack::new(index));
    let mut page_runs: Vec<PageRun> = Vec::with_capacity(snapshot.maps.pages.runs.len());
    let (mut attachment, mut extra) = (0, 0);
    references::each_content(snapshot, index, &mut |blob, role| match role {
        Role::Pages(_, runs) => {
            let start = page_runs.len();
            page_runs.extend_from_slice(runs);
            if let Some(of_blob) = page_runs.get_mut(start..) {
                of_blob.sort_by_key(|run| (run.blob_offset, run.start_page));
            }
            pages.add(blob, (start, page_runs.len()));
        }
        Role::Attachment(_) => {
            attachments.add(blob, attachment);
            attachment += 1;
        }
        Role::Extra(..) => {
            extras.add(blob, extra);
            extra += 1;
        }
        Role::Object(_) | Role::Artifact(..) => {}
    });
    Ok(Plan {
        pages: pages.finish()?,
        page_runs,
        attachments: attachments.finish()?,
        extras: extras.finish()?,
    })
}

fn check_length(
    what: &'static str,
    blob: BlobId,
    expected: u64,
    found: u64,
    fits: bool,
) -> Result<(), RestoreError> {
    if fits { Ok(()) } else { Err(RestoreError::WrongLength { blob, what, expected, found }) }
}

/// What the snapshot says about the texts in its database that are derived from documents.
pub(super) fn disclosures(
    repository: &Repository,
    snapshot: &Snapshot,
) -> Result<Vec<DocumentDerivatives>, RestoreError> {
    let mut found = Vec::new();
    for item in snapshot.manifest.auxiliary() {
        // What it is for is not known, so neither is whether the snapshot is whole without it.
        if item.name != DOCUMENT_DERIVATIVES {
            return Err(RestoreError::UnknownArtifact { name: item.name.clone() });
        }
        let content = repository.blob(&item.blob, item.bytes)?;
        check_length(
            "a disclosure",
            item.blob,
            item.bytes,
            to_u64(content.len()),
            to_u64(content.len()) == item.bytes,
        )?;
        let broken = || RestoreError::Disclosure { name: item.name.clone(), blob: item.blob };
        found.push(DocumentDerivatives::parse(&content).ok_or_else(broken)?);
    }
    Ok(found)
}
