//! What must be read, and whether all of it is there, before anything of the target changes.

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::manifest::{DOCUMENT_DERIVATIVES, DocumentDerivatives};
use msgvault_verifier::format::page_map::Run as PageRun;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::Snapshot;

use super::RestoreError;
use super::blobs::{PackWork, by_pack, each_blob};
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

/// Resolves every reference through the index and the packs' footers, and compares lengths.
pub(super) fn plan(
    context: &Context<'_>,
    repository: &Repository,
    snapshot: &Snapshot,
    workers: &Workers,
) -> Result<Plan, RestoreError> {
    let mut page_runs = snapshot.maps.pages.runs.clone();
    page_runs.sort_by_key(|run| (run.blob_index, run.blob_offset, run.start_page));
    let plan = Plan {
        pages: by_pack(repository, page_blobs(snapshot, &page_runs))?,
        page_runs,
        attachments: by_pack(
            repository,
            snapshot.attachments.iter(repository.index()).map(|a| a.id).zip(0..),
        )?,
        extras: by_pack(repository, (0..).zip(&snapshot.extras).map(|(n, extra)| (extra.blob, n)))?,
    };
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
            let number = usize::try_from(*n).unwrap_or(usize::MAX);
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

/// The blobs that runs point at, each with the positions of its first run and of the one after its last.
fn page_blobs<'a>(
    snapshot: &'a Snapshot,
    page_runs: &'a [PageRun],
) -> impl Iterator<Item = (BlobId, (usize, usize))> + 'a {
    let mut end = 0;
    page_runs.chunk_by(|a, b| a.blob_index == b.blob_index).filter_map(move |runs| {
        let start = end;
        end += runs.len();
        // Decoding has checked that every run's blob is in the table.
        let blob = snapshot.maps.pages.blob(runs.first()?)?;
        Some((*blob, (start, end)))
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

/// What the snapshot says about texts derived from documents.
pub(super) fn disclosures(
    repository: &Repository,
    snapshot: &Snapshot,
) -> Result<Vec<DocumentDerivatives>, RestoreError> {
    let mut found = Vec::new();
    for item in snapshot.manifest.auxiliary() {
        let content = repository.blob(&item.blob, item.bytes)?;
        check_length(
            "a disclosure",
            item.blob,
            item.bytes,
            content.len() as u64,
            content.len() as u64 == item.bytes,
        )?;
        if item.name == DOCUMENT_DERIVATIVES {
            let parsed = DocumentDerivatives::parse(&content);
            let broken = || RestoreError::Disclosure { name: item.name.clone(), blob: item.blob };
            found.push(parsed.ok_or_else(broken)?);
        }
    }
    Ok(found)
}
