//! What takes the space of a repository, and what letting go of snapshots would give back.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use msgvault_platform::context::Context;
use msgvault_verifier::format::id::{BlobId, SnapshotId};
use msgvault_verifier::inspect::{
    KindUsage, LargeAttachment, MonthUsage, PackUsage, SnapshotUsage, Usage, usage,
};
use msgvault_verifier::repository::Repository;
use serde::Serialize;

use super::forecast::{Forecast, Pace, forecast};
use super::hold::Holds;
use super::rules::{Candidate, KeepRules, judge_named};
use super::{RetentionError, facts};

/// The newest snapshots, whose additions tell what one adds.
const LATELY: usize = 14;

/// What takes the space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Bytes of all packs.
    pub pack_bytes: u64,
    /// Whether everything was found that snapshots need; else bytes of their own are no more than a guess.
    pub is_complete: bool,
    /// Snapshots, oldest first.
    pub snapshots: Vec<SnapshotStats>,
    /// What blobs are to snapshots.
    pub kinds: Vec<KindUsage>,
    /// Packs, those with the most bytes of no use first.
    pub packs: Vec<PackUsage>,
    /// The largest attachments, the largest first.
    pub largest: Vec<NamedAttachment>,
    /// Months in which snapshots were made, oldest first.
    pub months: Vec<MonthUsage>,
    /// What the rules would leave in a year; none without rules, or without two snapshots.
    pub forecast: Option<Forecast>,
}

/// A snapshot, and what forgetting it would give back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotStats {
    /// What it takes.
    #[serde(flatten)]
    pub usage: SnapshotUsage,
    /// Bytes that a prune gives back when it alone is forgotten; none when it cannot be.
    pub freed_bytes: Option<u64>,
    /// Why it cannot be forgotten alone; empty when it can.
    pub kept_by: String,
}

/// An attachment, and what it is called in the living archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedAttachment {
    /// The attachment.
    #[serde(flatten)]
    pub attachment: LargeAttachment,
    /// The first of its names; none where the archive does not know it any more.
    pub names: Vec<String>,
}

/// Counts what takes the space. `names` tells what attachments are called, as far as anybody knows.
pub fn stats(
    context: &Context<'_>,
    root: &Path,
    repository: &Repository,
    rules: &KeepRules,
    names: impl FnOnce(&[BlobId]) -> BTreeMap<BlobId, Vec<String>>,
) -> Result<Stats, RetentionError> {
    let candidates = facts::candidates(repository, &Holds::read(root)?, (context.now)())?;
    let usage = usage(repository, context.observer)?.ok_or(RetentionError::Cancelled)?;
    let forecast =
        if rules.is_empty() { None } else { forecast(&candidates, rules, pace(repository, &usage)) };
    let hashes: Vec<BlobId> = usage.largest.iter().map(|attachment| attachment.hash).collect();
    let mut names = names(&hashes);
    let largest = usage.largest.into_iter().map(|attachment| NamedAttachment {
        attachment,
        names: names.remove(&attachment.hash).unwrap_or_default(),
    });
    Ok(Stats {
        pack_bytes: usage.pack_bytes,
        is_complete: usage.is_complete,
        snapshots: usage.snapshots.into_iter().map(|usage| judged(&candidates, usage)).collect(),
        kinds: usage.kinds,
        packs: usage.packs,
        largest: largest.collect(),
        months: usage.months,
        forecast,
    })
}

/// What forgetting one snapshot would give back, as `forget` judges it when it is named.
fn judged(candidates: &[Candidate], usage: SnapshotUsage) -> SnapshotStats {
    let position = candidates.iter().position(|candidate| candidate.id == usage.snapshot_id);
    let reasons = position.map(|position| judge_named(candidates, &[position], false).swap_remove(position));
    let kept_by = reasons.unwrap_or_default().first().map(ToString::to_string).unwrap_or_default();
    let freed_bytes = kept_by.is_empty().then_some(usage.own_bytes);
    SnapshotStats { usage, freed_bytes, kept_by }
}

fn pace(repository: &Repository, usage: &Usage) -> Pace {
    let needed = |snapshot: &SnapshotUsage| snapshot.own_bytes.saturating_add(snapshot.shared_bytes);
    let newest_bytes = usage.snapshots.last().map_or(0, needed);
    let (first, last) = (usage.snapshots.first(), usage.snapshots.last());
    let days = first.zip(last).and_then(|(first, last)| days_between(first, last)).unwrap_or(1).max(1);
    let growth = newest_bytes.saturating_sub(first.map_or(0, needed));
    let added = |id: &SnapshotId| repository.manifest(id).map_or(0, |manifest| manifest.bytes_added);
    // What the first of all added is no measure.
    let lately = usage.snapshots.iter().skip(1).rev().take(LATELY);
    let mut lately: Vec<u64> = lately.map(|snapshot| added(&snapshot.snapshot_id)).collect();
    lately.sort_unstable();
    let added_bytes = lately.get(lately.len() / 2).copied().unwrap_or_default();
    Pace { newest_bytes, growth_per_day: growth / days, added_bytes }
}

fn days_between(first: &SnapshotUsage, last: &SnapshotUsage) -> Option<u64> {
    let time = |snapshot: &SnapshotUsage| snapshot.created_at.parse::<Timestamp>().ok();
    let between: SignedDuration = time(last)?.duration_since(time(first)?);
    u64::try_from(between.as_hours() / 24).ok()
}
