//! The attachments, each written and hashed once and then put at every path that the database records for it.

use std::fs::File;
use std::io::{self, Seek};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use msgvault_verifier::Phase;
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::format::path::RelativePath;

use crate::archive::schema;

use super::blobs::{each_blob, stage};
use super::error::{RestoreError, reached};
use super::preflight::Plan;
use super::{Run, leftovers, proof};

/// The paths recorded for one attachment.
#[derive(Default)]
struct Paths {
    /// Whether the canonical one is among them; it need not be kept.
    canonical: bool,
    others: Vec<RelativePath>,
}

/// Writes all attachments and says how many files that are.
pub(super) fn write(run: &Run<'_>, plan: &Plan) -> Result<u64, RestoreError> {
    let observer = run.context.observer;
    let paths = recorded(run)?;
    observer.begin(Phase::Attachments, run.snapshot.manifest.attachments.blob_bytes);
    let (files, next) = (AtomicU64::new(0), AtomicUsize::new(0));
    run.workers.each(&plan.attachments, |work| {
        each_blob(run.repository, observer, work, |n, pack, entry| {
            let Some(paths) = paths.get(*n) else { return Ok(()) };
            let name = run.staging.file('a', next.fetch_add(1, Ordering::Relaxed))?;
            let file = stage(run, &name, pack, entry)?;
            run.staging.sync_file(&name, &file)?;
            let copy = || run.staging.file('a', next.fetch_add(1, Ordering::Relaxed));
            let count = place(run, &name, file, &paths.all(&entry.id)?, copy)?;
            files.fetch_add(count, Ordering::Relaxed);
            reached(run.context, "restore.attachment.written")
        })
    })?;
    reached(run.context, "restore.attachments.written")?;
    Ok(files.into_inner())
}

/// Checks the recorded paths and that the database refers to exactly the attachments of the snapshot.
pub(super) fn check(run: &Run<'_>) -> Result<(), RestoreError> {
    recorded(run).map(drop)
}

/// The paths of every attachment, in the order of the snapshot's.
fn recorded(run: &Run<'_>) -> Result<Vec<Paths>, RestoreError> {
    let attachments = &run.snapshot.attachments;
    let mut order: Vec<usize> = (0..attachments.len()).collect();
    let id = |n: usize| attachments.get(n).map(|attachment| attachment.id);
    order.sort_unstable_by_key(|n| id(*n));
    let mut paths: Vec<Paths> = std::iter::repeat_with(Paths::default).take(attachments.len()).collect();
    schema::recorded_paths(&proof::open(run)?, |wanted, path| {
        let position = order.binary_search_by_key(&Some(wanted), |n| id(*n)).ok();
        let position = position.and_then(|position| order.get(position));
        match position.and_then(|n| paths.get_mut(*n)) {
            Some(paths) => {
                paths.add(&wanted, path);
                Ok(())
            }
            None => Err(RestoreError::NotListed { id: wanted }),
        }
    })?;
    match paths.iter().position(Paths::is_empty).and_then(id) {
        Some(id) => Err(RestoreError::NotReferenced { id }),
        None => Ok(paths),
    }
}

impl Paths {
    fn add(&mut self, id: &BlobId, path: RelativePath) {
        if path.as_str() == schema::canonical_path(id) {
            self.canonical = true;
        } else if self.others.last() != Some(&path) {
            self.others.push(path);
        }
    }

    fn is_empty(&self) -> bool {
        !self.canonical && self.others.is_empty()
    }

    /// The paths in the target.
    fn all(&self, id: &BlobId) -> Result<Vec<RelativePath>, RestoreError> {
        let canonical = self.canonical.then(|| schema::canonical_path(id));
        let paths = canonical.iter().map(String::as_str).chain(self.others.iter().map(RelativePath::as_str));
        let below = |path: &str| {
            let path = format!("{}/{path}", leftovers::ATTACHMENTS);
            leftovers::path(&path)
                .map_err(|source| super::WriteError::new("name", std::path::Path::new(&path), source).into())
        };
        paths.map(below).collect()
    }
}

/// Puts a staged file at all of its paths: copies first, then the file itself.
fn place(
    run: &Run<'_>,
    staged: &RelativePath,
    mut file: File,
    paths: &[RelativePath],
    copy_name: impl Fn() -> Result<RelativePath, super::WriteError>,
) -> Result<u64, RestoreError> {
    let Some((first, others)) = paths.split_first() else { return Ok(0) };
    for path in others {
        let name = copy_name()?;
        let mut copy = run.staging.create_file(&name)?;
        let copied = file.rewind().and_then(|()| io::copy(&mut file, &mut copy));
        copied.map_err(|source| run.staging.failed("write", path, source))?;
        run.staging.sync_file(&name, &copy)?;
        run.staging.place(&name, path)?;
    }
    run.staging.place(staged, first)?;
    Ok(paths.len() as u64)
}
