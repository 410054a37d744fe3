//! What forgetting asks about every snapshot, from its manifest.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use msgvault_verifier::format::id::{IndexId, SnapshotId};
use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::format::stats::ArchiveStats;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::snapshot::load_manifest;

use super::RetentionError;
use super::hold::Holds;
use super::rules::Candidate;

/// A clock may be ahead of another by so much.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);
/// A snapshot's time may differ by so much from those in the names of its packs and its index.
const APART: SignedDuration = SignedDuration::from_hours(24);

/// The candidates for forgetting, oldest first. A manifest that cannot be read stops it: nobody knows which
/// snapshots it needs.
pub(super) fn candidates(
    repository: &Repository,
    holds: &Holds,
    now: Timestamp,
) -> Result<Vec<Candidate>, RetentionError> {
    let listing = repository.listing()?;
    let of = |id: &SnapshotId| Ok(candidate(&load_manifest(repository, id)?, holds, now));
    listing.snapshots.iter().map(of).collect()
}

fn candidate(manifest: &Manifest, holds: &Holds, now: Timestamp) -> Candidate {
    let trusted = trusted_time(manifest, now);
    Candidate {
        id: manifest.snapshot_id.clone(),
        time: trusted.as_ref().ok().copied(),
        distrust: trusted.err().unwrap_or_default(),
        tag: manifest.options.tag.clone(),
        messages: ArchiveStats::from_json(&manifest.stats_json()).map(|stats| stats.messages),
        base: manifest.base().cloned(),
        held: holds.reason(&manifest.snapshot_id),
    }
}

/// When a snapshot was made, or why what it says of that cannot be trusted. Whoever can only add to a repository
/// could push good snapshots out by ones with other times.
fn trusted_time(manifest: &Manifest, now: Timestamp) -> Result<Timestamp, String> {
    let time: Timestamp =
        manifest.created_at.parse().map_err(|_| "it is no time that there is".to_owned())?;
    if time.duration_since(now) > AHEAD {
        return Err("it lies in the future".to_owned());
    }
    // What a long run writes last is named so much later.
    let run = Duration::try_from_secs_f64(manifest.duration_seconds).unwrap_or_default();
    let run = SignedDuration::try_from(run).unwrap_or_default();
    let packs = manifest.new_packs.iter().flatten().map(|pack| pack.unix_ms());
    for unix_ms in packs.chain(manifest.new_index.map(IndexId::unix_ms)) {
        let named = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let apart = named.map(|named| named.duration_since(time));
        if apart.is_none_or(|apart| apart > APART.saturating_add(run) || apart < -APART) {
            return Err("its packs and its index were named on another day".to_owned());
        }
    }
    Ok(time)
}
