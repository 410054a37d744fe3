//! Problems in words for a person: those of one cause in one file are told together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::format::id::{BlobId, PackId, SnapshotId};
use crate::repository::ForeignFile;
use crate::text::{count, escape};

use super::not_checked::NotChecked;
use super::problem::{Problem, ProblemCode};

/// So many problems of one cause and file are told one by one.
const ONE_BY_ONE: usize = 3;
/// So many snapshots of a group are named.
const NAMED: usize = 3;
/// So many foreign files are named.
const FOREIGN_NAMED: usize = 20;

/// What makes problems one: their cause and the file that is to blame.
type Cause<'p> = (ProblemCode, Option<&'p str>, Option<PackId>);

/// Tells problems, each cause where its first problem stands, up to so many of them.
pub(super) fn problems(out: &mut String, problems: &[Problem], most: usize) {
    let mut groups: BTreeMap<Cause<'_>, usize> = BTreeMap::new();
    let mut told: Vec<Vec<&Problem>> = Vec::new();
    for problem in problems {
        // A problem that blames neither blob nor file says all that there is to say in its own sentence.
        if problem.blob.is_none() && problem.file.is_none() {
            told.push(vec![problem]);
            continue;
        }
        let cause = (problem.code, problem.file.as_deref(), problem.pack);
        let position = *groups.entry(cause).or_insert_with(|| {
            told.push(Vec::new());
            told.len() - 1
        });
        if let Some(group) = told.get_mut(position) {
            group.push(problem);
        }
    }
    for (number, group) in told.iter().enumerate() {
        if number >= most {
            let left = told.iter().skip(most).map(Vec::len).sum();
            let _ = writeln!(out, "and {}", count(left, "other problem"));
            break;
        }
        match group.as_slice() {
            [first, ..] if group.len() > ONE_BY_ONE => together(out, first, group),
            few => few.iter().for_each(|problem| alone(out, problem)),
        }
    }
}

fn alone(out: &mut String, problem: &Problem) {
    let _ = write!(out, "{}: {}", problem.code.as_str(), escape(&problem.detail));
    if let Some(snapshot) = &problem.snapshot {
        let _ = write!(out, "\n    snapshot {snapshot}");
    }
    if let Some(blob) = &problem.blob {
        let _ = write!(out, "\n    blob {blob}");
    }
    blame(out, problem);
}

fn together(out: &mut String, first: &Problem, group: &[&Problem]) {
    let (code, problems) = (first.code.as_str(), count(group.len(), "problem"));
    let _ = write!(out, "{code}: {problems} of one cause, such as {}", escape(&first.detail));
    whose(out, group.iter().map(|one| (one.snapshot.as_ref(), one.blob.as_ref())));
    blame(out, first);
}

/// Names the snapshots and blobs of a group, as many as a person reads.
fn whose<'p>(out: &mut String, group: impl Iterator<Item = (Option<&'p SnapshotId>, Option<&'p BlobId>)>) {
    let (snapshots, blobs): (Vec<_>, Vec<_>) = group.unzip();
    let snapshots: BTreeSet<&SnapshotId> = snapshots.into_iter().flatten().collect();
    let blobs: BTreeSet<&BlobId> = blobs.into_iter().flatten().collect();
    for snapshot in snapshots.iter().take(NAMED) {
        let _ = write!(out, "\n    snapshot {snapshot}");
    }
    if let Some(more) = snapshots.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let _ = write!(out, "\n    and {}", count(more, "other snapshot"));
    }
    let _ = match (blobs.first(), blobs.len()) {
        (None, _) => Ok(()),
        (Some(blob), 1) => write!(out, "\n    blob {blob}"),
        (Some(blob), blobs) => write!(out, "\n    blob {blob} and {}", count(blobs - 1, "other")),
    };
}

fn blame(out: &mut String, problem: &Problem) {
    if let Some(file) = &problem.file {
        let _ = write!(out, "\n    file {}", escape(file));
    } else if let Some(pack) = &problem.pack {
        let _ = write!(out, "\n    pack {}", pack.path());
    }
    out.push('\n');
}

/// Tells what could not be looked at.
pub(super) fn not_checked(out: &mut String, not_checked: &[NotChecked]) {
    let mut groups: BTreeMap<(&str, &str), Vec<&NotChecked>> = BTreeMap::new();
    for left in not_checked {
        groups.entry((&left.file, &left.detail)).or_default().push(left);
    }
    for ((file, detail), group) in groups {
        let _ = write!(out, "{}", escape(detail));
        whose(out, group.iter().map(|left| (left.snapshot.as_ref(), left.blob.as_ref())));
        let _ = writeln!(out, "\n    file {}", escape(file));
    }
}

/// Tells which files are not the repository's own.
pub(super) fn foreign(out: &mut String, foreign: &[ForeignFile]) {
    if foreign.is_empty() {
        return;
    }
    let files = count(foreign.len(), "file");
    let _ = writeln!(out, "not part of the repository, and left alone: {files}");
    for ForeignFile { file, detail } in foreign.iter().take(FOREIGN_NAMED) {
        let _ = writeln!(out, "    {}: {}", escape(file), escape(detail));
    }
    if let Some(more) = foreign.len().checked_sub(FOREIGN_NAMED).filter(|more| *more > 0) {
        let _ = writeln!(out, "    and {} more", count(more, "file"));
    }
}
