//! Verification a part at a time: which packs are read first, and when all of them will have been read.
//!
//! What was read before is known from hints in the repository ([`Verified`]). They decide the order and nothing else:
//! whatever they say, a pack is intact when it was read, and damaged when it was found so.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::format::id::{PackId, SnapshotId};
use crate::format::verified::{FOLDER, MAX_LEN, PastRun, Verified, time_text, whole_milliseconds};
use crate::length::{to_u64, to_unsigned};
use crate::repository::BlobIndex;
use crate::store::{Store, read_file};

use super::freshness::{MaxAge, Rolling, SECONDS_A_DAY};
use super::{PackOutcome, PackTask, Plan, Report, Verdict};

/// So many hints are read, of so many hosts.
const MAX_HINTS: usize = 256;
/// So many bytes of hints are read.
const MAX_HINTED: u64 = 4 * MAX_LEN;
/// An estimate beyond so many days says nothing.
const MAX_DAYS: u64 = 36_500;

/// What the hints of all hosts say together. One that cannot be read, or is not one, is passed over, and so is what
/// would have been in the future.
pub fn last_verified(store: &dyn Store, now: Timestamp) -> Verified {
    let mut entries = store.list(FOLDER).unwrap_or_default();
    entries.retain(|entry| !entry.is_folder && entry.len <= MAX_LEN && Verified::is_name(&entry.name));
    entries.sort();
    let (mut known, mut left) = (Verified::default(), MAX_HINTED);
    for entry in entries.into_iter().take(MAX_HINTS) {
        let Ok(json) = read_file(store, &format!("{FOLDER}/{}", entry.name), MAX_LEN.min(left)) else {
            continue;
        };
        left = left.saturating_sub(to_u64(json.len()));
        if let Some(mut hint) = Verified::decode(&json) {
            hint.forget_future(now);
            known.join(hint);
        }
    }
    known
}

/// Puts those packs first that were never read, and then those that are longest unread.
pub fn oldest_first(tasks: &mut [PackTask], known: &Verified) {
    tasks.sort_by_key(|task| (known.last_read(task.pack), task.pack));
}

/// How many of the first packs can be read within so many bytes; always one, so that every run gets further.
pub fn within(tasks: &[PackTask], bytes: u64) -> usize {
    let mut sum = 0u64;
    let fits = |task: &&PackTask| {
        sum = sum.saturating_add(task.bytes);
        sum <= bytes
    };
    tasks.iter().take_while(fits).count().max(1).min(tasks.len())
}

/// What a run was to check, and which packs it read for that.
#[derive(Debug)]
pub struct Reading {
    /// Whether every snapshot was asked for.
    all: bool,
    /// Stored bytes that are needed of each pack.
    needed: BTreeMap<PackId, u64>,
    /// Packs whose needed content was read, good or not.
    read: BTreeSet<PackId>,
    /// Those in which nothing was found wrong while they were read.
    good: BTreeSet<PackId>,
    /// Those of them of which nobody needs more than was read.
    whole: BTreeSet<PackId>,
    /// The packs that each snapshot needs.
    needs: Vec<(SnapshotId, Vec<PackId>)>,
}

impl Reading {
    /// What is known before the findings are merged: the plan, and what became of the packs that were read.
    pub fn new(plan: &Plan, index: &BlobIndex, outcomes: &[(PackId, PackOutcome)]) -> Self {
        let needed = plan.tasks.iter().map(|task| (task.pack, task.bytes)).collect();
        let packs_with = |wanted: &dyn Fn(PackOutcome) -> bool| -> BTreeSet<PackId> {
            outcomes.iter().filter(|(_, outcome)| wanted(*outcome)).map(|(pack, _)| *pack).collect()
        };
        let read = packs_with(&|outcome| outcome != PackOutcome::NotChecked);
        let good = packs_with(&|outcome| outcome == PackOutcome::Good);
        let mut whole = good.clone();
        if !plan.all {
            let held = blobs_by_pack(index);
            let wanted: HashMap<PackId, usize> =
                plan.tasks.iter().map(|task| (task.pack, task.blobs.len())).collect();
            whole.retain(|pack| held.get(pack) == wanted.get(pack));
        }
        let needs = plan.needs.iter().map(|(id, packs)| (id.clone(), packs.packs(index).collect()));
        Self { all: plan.all, needed, read, good, whole, needs: needs.collect() }
    }

    /// What is to be remembered, once the report says what is wrong. `known` is what was known before.
    pub fn update(&self, report: &Report, known: &Verified, now: Timestamp) -> Update {
        let now = whole_milliseconds(now);
        let left: HashSet<&str> = report.not_checked.iter().map(|left| left.file.as_str()).collect();
        let is_good =
            |pack: &&PackId| !report.suspects.contains(pack) && !left.contains(pack.path().as_str());
        let good: BTreeSet<PackId> = self.good.iter().filter(is_good).copied().collect();
        let time = |pack: &PackId| if good.contains(pack) { Some(now) } else { known.last_read(*pack) };
        let verdicts: HashMap<&SnapshotId, Verdict> =
            report.snapshots.iter().map(|snapshot| (&snapshot.id, snapshot.verdict)).collect();
        let mut snapshots = BTreeMap::new();
        for (id, packs) in &self.needs {
            match verdicts.get(id) {
                Some(Verdict::Intact | Verdict::ArchiveDamaged) => {
                    let oldest = packs.iter().map(time).min().unwrap_or(Some(now));
                    snapshots.insert(id.clone(), oldest);
                }
                Some(Verdict::Damaged) => drop(snapshots.insert(id.clone(), None)),
                Some(Verdict::SumsMatch | Verdict::Unchecked) | None => {}
            }
        }
        let bytes = self
            .read
            .iter()
            .filter_map(|pack| self.needed.get(pack))
            .fold(0, |a, b| u64::saturating_add(a, *b));
        let run = PastRun { at: now, packs: to_u64(self.read.len()), bytes };
        Update {
            now,
            whole: self.whole.intersection(&good).copied().collect(),
            good,
            bad: report.suspects.clone(),
            snapshots,
            run: (self.all && !self.read.is_empty()).then_some(run),
        }
    }

    /// What the report says about it: how much was read, and how long the rest takes.
    ///
    /// `known` is what is known now, `max_age` how long ago a pack may have been read.
    pub fn tell(&self, update: &Update, known: &Verified, max_age: Option<SignedDuration>) -> Rolling {
        let last = |pack: &PackId| {
            if update.good.contains(pack) { Some(update.now) } else { known.last_read(*pack) }
        };
        let times: Vec<Option<Timestamp>> = self.needed.keys().map(last).collect();
        let rest = self.needed.iter().filter(|(pack, _)| !self.read.contains(pack));
        let rest = rest.fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        let is_overdue = |limit: SignedDuration| {
            move |time: &&Option<Timestamp>| time.is_none_or(|at| update.now.duration_since(at) > limit)
        };
        Rolling {
            packs: self.needed.len(),
            packs_read: self.read.len(),
            never_read: times.iter().filter(|time| time.is_none()).count(),
            oldest_read_at: times.iter().flatten().min().map(|at| time_text(*at)),
            rest_days: if self.read.len() == self.needed.len() { Some(0) } else { days(rest, &known.runs) },
            max_age: max_age.map(|limit| MaxAge {
                seconds: to_unsigned(limit.as_secs()),
                overdue: times.iter().filter(is_overdue(limit)).count(),
            }),
        }
    }
}

fn blobs_by_pack(index: &BlobIndex) -> HashMap<PackId, usize> {
    let mut held: HashMap<PackId, usize> = HashMap::new();
    for location in (0..index.len()).filter_map(|position| index.at(position)) {
        let count = held.entry(location.pack).or_default();
        *count = count.saturating_add(1);
    }
    held
}

/// Within how many days so many bytes are read, if it goes on as in these runs; none when they do not tell.
fn days(rest: u64, runs: &[PastRun]) -> Option<u64> {
    let (first, later) = runs.split_first()?;
    let seconds = to_unsigned(later.last()?.at.duration_since(first.at).as_secs());
    let bytes = later.iter().fold(0u64, |sum, run| sum.saturating_add(run.bytes));
    let (rest, seconds, bytes) = (u128::from(rest), u128::from(seconds), u128::from(bytes));
    let a_day = bytes.checked_mul(u128::from(SECONDS_A_DAY)).filter(|bytes| *bytes > 0 && seconds > 0)?;
    let days = u64::try_from(rest.checked_mul(seconds)?.div_ceil(a_day)).ok()?;
    (days <= MAX_DAYS).then(|| days.max(1))
}

/// What is to be remembered of a run.
#[derive(Debug, Clone)]
pub struct Update {
    now: Timestamp,
    good: BTreeSet<PackId>,
    whole: BTreeSet<PackId>,
    bad: BTreeSet<PackId>,
    /// Snapshots that were judged, and the oldest reading that their verdict rests upon.
    snapshots: BTreeMap<SnapshotId, Option<Timestamp>>,
    run: Option<PastRun>,
}

impl Update {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.good.is_empty() && self.bad.is_empty()
    }

    /// Remembers it.
    pub fn apply(&self, verified: &mut Verified) {
        for pack in &self.whole {
            verified.packs.insert(*pack, self.now);
            verified.failed.remove(pack);
        }
        for pack in &self.bad {
            verified.packs.remove(pack);
            verified.failed.insert(*pack, self.now);
        }
        for (id, at) in &self.snapshots {
            match at {
                Some(at) => drop(verified.snapshots.insert(id.clone(), *at)),
                None => drop(verified.snapshots.remove(id)),
            }
        }
        verified.runs.retain(|run| run.at <= self.now);
        verified.runs.extend(self.run);
        verified.bound_runs();
    }
}

#[cfg(test)]
mod tests;
