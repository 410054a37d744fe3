//! Forgetting: manifests go to the trash, newest first.

use std::path::Path;

use msgvault_platform::context::Context;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::load_manifest;
use serde::Serialize;

use super::hold::Holds;
use super::record::{self, Action, Forgotten};
use super::rules::{Candidate, KeepRules, Reason, judge, judge_named};
use super::{RetentionError, facts, trash};
use crate::repo::lock::Lock;
use crate::repo::sums::{self, FileSums};

/// What is to be forgotten.
#[derive(Debug, Clone)]
pub enum What {
    /// What no rule keeps.
    Unkept(KeepRules),
    /// These, and only if each of them may go. `force` lets the newest go.
    Named {
        /// Which.
        ids: Vec<SnapshotId>,
        /// Whether the newest may go.
        force: bool,
    },
}

/// What is asked for.
#[derive(Clone)]
pub struct ForgetRequest<'a> {
    /// The repository.
    pub root: &'a Path,
    /// What goes.
    pub what: What,
    /// Who asks, for the record: a host.
    pub by: &'a str,
}

/// What stays, and what was or would be forgotten.
#[derive(Debug, Clone, Serialize)]
pub struct ForgetReport {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// All snapshots, oldest first.
    pub snapshots: Vec<JudgedSnapshot>,
    /// How many were forgotten, or would be.
    pub forgotten: usize,
    /// The record of it; empty when there is none.
    pub record: String,
}

/// A snapshot, and why it stays.
#[derive(Debug, Clone, Serialize)]
pub struct JudgedSnapshot {
    /// Its name.
    pub snapshot_id: SnapshotId,
    /// Its label.
    pub tag: String,
    /// Messages in it; none when it does not tell.
    pub messages: Option<u64>,
    /// Whether it stays.
    pub kept: bool,
    /// Why it stays: rules, guards, or the snapshot that needs it.
    pub reasons: Vec<Reason>,
}

/// Forgets, under the exclusive lock and in a repository that was opened under it; without a lock, says what
/// would be forgotten.
pub fn forget(
    context: &Context<'_>,
    request: &ForgetRequest<'_>,
    repository: &Repository,
    lock: Option<&Lock>,
) -> Result<ForgetReport, RetentionError> {
    let holds = Holds::read(request.root)?;
    let candidates = facts::candidates(repository, &holds, (context.now)())?;
    let reasons = match &request.what {
        What::Unkept(rules) if rules.is_empty() => vec![vec![Reason::NotNamed]; candidates.len()],
        What::Unkept(rules) => judge(&candidates, rules),
        What::Named { ids, force } => named(&candidates, ids, *force)?,
    };
    let gone: Vec<&SnapshotId> = candidates
        .iter()
        .zip(&reasons)
        .filter(|(_, reasons)| reasons.is_empty())
        .map(|(candidate, _)| &candidate.id)
        .collect();
    let record = match lock {
        Some(lock) if !gone.is_empty() => move_to_trash(context, request, repository, &gone, lock)?,
        _ => String::new(),
    };
    let forgotten = gone.len();
    let snapshots = candidates.into_iter().zip(reasons).map(|(candidate, reasons)| JudgedSnapshot {
        snapshot_id: candidate.id,
        tag: candidate.tag,
        messages: candidate.messages,
        kept: !reasons.is_empty(),
        reasons,
    });
    Ok(ForgetReport { dry_run: lock.is_none(), snapshots: snapshots.collect(), forgotten, record })
}

/// All of the named ones go, or none.
fn named(
    candidates: &[Candidate],
    ids: &[SnapshotId],
    force: bool,
) -> Result<Vec<Vec<Reason>>, RetentionError> {
    let is_named = |n: &usize| candidates.get(*n).is_some_and(|candidate| ids.contains(&candidate.id));
    let positions: Vec<usize> = (0..candidates.len()).filter(is_named).collect();
    let reasons = judge_named(candidates, &positions, force);
    for n in positions {
        if let (Some(candidate), Some(Some(reason))) =
            (candidates.get(n), reasons.get(n).map(|all| all.first()))
        {
            return Err(RetentionError::Kept { id: candidate.id.clone(), reason: advice(candidate, reason) });
        }
    }
    Ok(reasons)
}

fn advice(candidate: &Candidate, reason: &Reason) -> String {
    match reason {
        Reason::Newest => "it is the newest, which only --force forgets".to_owned(),
        Reason::Held(_) => {
            format!("it is {reason}; let it go with `msgvault backup unhold {}`", candidate.id)
        }
        Reason::NeededBy(id) => format!("snapshot {id} is built upon it; forget both, or neither"),
        other => other.to_string(),
    }
}

/// The record first, then the manifests: newest first, so that no listed snapshot ever lacks an ancestor.
fn move_to_trash(
    context: &Context<'_>,
    request: &ForgetRequest<'_>,
    repository: &Repository,
    gone: &[&SnapshotId],
    lock: &Lock,
) -> Result<String, RetentionError> {
    let removed = gone.iter().map(|id| Ok(Forgotten::of(&load_manifest(repository, id)?)));
    let removed = removed.collect::<Result<Vec<_>, RetentionError>>()?;
    let rules = match &request.what {
        What::Unkept(rules) => Some(rules.clone()),
        What::Named { .. } => None,
    };
    let record = record::write(context, request.root, request.by, &Action::Forget { rules, removed })?;
    lock.still_held()?;
    sums::restate(context, request.root, gone.iter().map(|id| id.path()), FileSums::new())?;
    for id in gone.iter().rev() {
        lock.still_held()?;
        trash::to_trash(context, request.root, id)?;
    }
    Ok(record)
}
