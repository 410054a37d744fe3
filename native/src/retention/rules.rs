//! Which snapshots stay: rules, the guards around them, and the chains that drag ancestors along.
//!
//! Rules are a union. Snapshots are put into buckets in UTC, newest first, and the newest of a bucket stays for
//! it. Two kinds of snapshots push no good one out: those whose time cannot be trusted belong to no bucket, and
//! those that lost much of the archive take nobody's place.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{Span, Timestamp};
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::shrink::Tolerance;
use serde::{Deserialize, Deserializer, Serialize};

/// What a user wants to keep. The default keeps nothing, so that it forgets nothing either.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeepRules {
    /// So many of the newest.
    pub last: u32,
    /// The newest of each of so many hours that have one.
    pub hourly: u32,
    /// The newest of each of so many days that have one.
    pub daily: u32,
    /// The newest of each of so many weeks that have one; weeks begin on Monday.
    pub weekly: u32,
    /// The newest of each of so many months that have one.
    pub monthly: u32,
    /// The newest of each of so many years that have one.
    pub yearly: u32,
    /// Everything that is so much older than the newest, and what is younger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Within>,
    /// Everything with one of these labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// A length of time in calendar units, such as `30d` or `1y6mo`.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(transparent)]
pub struct Within(Span);

impl PartialEq for Within {
    fn eq(&self, other: &Self) -> bool {
        self.0.fieldwise() == other.0.fieldwise()
    }
}

impl Eq for Within {}

impl std::str::FromStr for Within {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.parse::<Span>().ok().filter(Span::is_positive);
        parsed.map(Self).ok_or("give numbers with units, such as 12h, 30d, 8w or 1y6mo")
    }
}

impl<'de> Deserialize<'de> for Within {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl KeepRules {
    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What rules and guards ask about a snapshot.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its name.
    pub id: SnapshotId,
    /// When it was made; none when its time cannot be trusted.
    pub time: Option<Timestamp>,
    /// Why its time cannot be trusted; empty when it can.
    pub distrust: String,
    /// Its label.
    pub tag: String,
    /// Messages in it; none when it does not tell.
    pub messages: Option<u64>,
    /// The snapshot that its maps build upon; none for a keyframe.
    pub base: Option<SnapshotId>,
    /// Why it is held; none when it is not.
    pub held: Option<String>,
}

/// Why a snapshot stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is the newest, the newest whose time can be trusted, or the newest that lost nothing.
    Newest,
    /// It is held, for this reason.
    Held(String),
    /// Its time cannot be trusted, so that no rule can judge it.
    Distrusted(String),
    /// A rule keeps it.
    Rule(&'static str),
    /// It is the oldest, and a rule has places left.
    Oldest,
    /// It is young enough.
    Within,
    /// It has a label that is kept.
    Tag(String),
    /// It was not asked for.
    NotNamed,
    /// The maps of this one, which stays, build upon it.
    NeededBy(SnapshotId),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("newest"),
            Self::Held(reason) if reason.is_empty() => f.write_str("held"),
            Self::Held(reason) => write!(f, "held: {reason}"),
            Self::Distrusted(why) => write!(f, "its time cannot be trusted: {why}"),
            Self::Rule(name) => f.write_str(name),
            Self::Oldest => f.write_str("oldest"),
            Self::Within => f.write_str("within"),
            Self::Tag(tag) => write!(f, "tag {tag}"),
            Self::NotNamed => f.write_str("not named"),
            Self::NeededBy(id) => write!(f, "needed by {id}"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why each snapshot stays, in the order of `candidates`, which is by name; those without a reason may go.
pub fn judge(candidates: &[Candidate], rules: &KeepRules) -> Vec<Vec<Reason>> {
    let is_healthy = healthy(candidates);
    let mut judged = Judged::guarded(candidates, &is_healthy);
    // Beside the healthy ones alone, so that those that lost much take nobody's place.
    let everyone: Vec<usize> = judged.trusted();
    let alone: Vec<usize> = everyone.iter().copied().filter(|n| is_healthy[*n]).collect();
    for selected in [&everyone, &alone] {
        judged.apply(rules, selected, &is_healthy);
    }
    judged.keep_ancestors();
    judged.reasons
}

/// Why each snapshot stays when those at the positions `named` are to go. `force` lets the newest go.
pub fn judge_named(candidates: &[Candidate], named: &[usize], force: bool) -> Vec<Vec<Reason>> {
    let mut judged = Judged { candidates, reasons: vec![Vec::new(); candidates.len()] };
    for (n, (candidate, reasons)) in candidates.iter().zip(&mut judged.reasons).enumerate() {
        if !named.contains(&n) {
            reasons.push(Reason::NotNamed);
        }
        if let Some(reason) = &candidate.held {
            reasons.push(Reason::Held(reason.clone()));
        }
        if n + 1 == candidates.len() && !force {
            reasons.push(Reason::Newest);
        }
    }
    judged.keep_ancestors();
    judged.reasons
}

/// Which snapshots hold at least nine tenths of the messages of every one before them. Those whose time cannot
/// be trusted say nothing about others.
fn healthy(candidates: &[Candidate]) -> Vec<bool> {
    let mut most = 0u64;
    let judge = |candidate: &Candidate| {
        let Some(messages) = candidate.messages else { return true };
        let is_healthy = !Tolerance::OF_KEEPERS.is_exceeded(most, messages);
        if candidate.time.is_some() {
            most = most.max(messages);
        }
        is_healthy
    };
    candidates.iter().map(judge).collect()
}

struct Judged<'c> {
    candidates: &'c [Candidate],
    reasons: Vec<Vec<Reason>>,
}

impl<'c> Judged<'c> {
    /// What stays whatever the rules are.
    fn guarded(candidates: &'c [Candidate], is_healthy: &[bool]) -> Self {
        let mut reasons: Vec<Vec<Reason>> = vec![Vec::new(); candidates.len()];
        for (candidate, reasons) in candidates.iter().zip(&mut reasons) {
            if let Some(reason) = &candidate.held {
                reasons.push(Reason::Held(reason.clone()));
            }
            if candidate.time.is_none() {
                reasons.push(Reason::Distrusted(candidate.distrust.clone()));
            }
        }
        let mut judged = Self { candidates, reasons };
        let trusted = judged.trusted();
        let healthy = trusted.iter().rfind(|n| is_healthy[**n]);
        let newest = [candidates.len().checked_sub(1), trusted.last().copied(), healthy.copied()];
        for newest in newest.into_iter().flatten() {
            judged.keep(newest, Reason::Newest);
        }
        judged
    }

    /// Positions of those that rules may judge, oldest first.
    fn trusted(&self) -> Vec<usize> {
        (0..self.candidates.len()).filter(|n| self.candidates[*n].time.is_some()).collect()
    }

    fn keep(&mut self, position: usize, reason: Reason) {
        let reasons = &mut self.reasons[position];
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }

    fn apply(&mut self, rules: &KeepRules, selected: &[usize], is_healthy: &[bool]) {
        for n in selected.iter().rev().take(usize::try_from(rules.last).unwrap_or(usize::MAX)) {
            self.keep(*n, Reason::Rule("last"));
        }
        for (name, count, bucket) in [
            ("hourly", rules.hourly, hour as Bucket),
            ("daily", rules.daily, day),
            ("weekly", rules.weekly, week),
            ("monthly", rules.monthly, month),
            ("yearly", rules.yearly, year),
        ] {
            self.fill(name, count, bucket, selected, is_healthy);
        }
        let newest = selected.last().and_then(|n| self.candidates[*n].time);
        if let Some((within, newest)) = rules.within.zip(newest) {
            // A span that reaches back behind the beginning of time keeps everything.
            let from = utc(newest).checked_sub(within.0);
            for n in selected {
                if from.as_ref().map_or(true, |from| self.candidates[*n].time.map(utc) >= Some(*from)) {
                    self.keep(*n, Reason::Within);
                }
            }
        }
        for n in selected {
            let tag = &self.candidates[*n].tag;
            if rules.tags.contains(tag) {
                self.keep(*n, Reason::Tag(tag.clone()));
            }
        }
    }

    /// Keeps the newest healthy snapshot of each of the newest `count` buckets, or the newest where none is
    /// healthy.
    fn fill(
        &mut self,
        name: &'static str,
        count: u32,
        bucket: Bucket,
        selected: &[usize],
        is_healthy: &[bool],
    ) {
        let bucket_of = |n: &usize| self.candidates[*n].time.map(bucket);
        let newest_first: Vec<usize> = selected.iter().rev().copied().collect();
        let mut left = count;
        let mut keepers = Vec::new();
        for group in newest_first.chunk_by(|a, b| bucket_of(a) == bucket_of(b)) {
            if left == 0 {
                break;
            }
            left -= 1;
            keepers.extend(group.iter().find(|n| is_healthy[**n]).or(group.first()));
        }
        for keeper in keepers {
            self.keep(keeper, Reason::Rule(name));
        }
        if let Some(oldest) = selected.first().filter(|_| left > 0) {
            self.keep(*oldest, Reason::Oldest);
        }
    }

    /// What a snapshot that stays is made of stays too.
    fn keep_ancestors(&mut self) {
        for n in (0..self.candidates.len()).rev() {
            let candidate = &self.candidates[n];
            let Some(base) = candidate.base.as_ref().filter(|_| !self.reasons[n].is_empty()) else {
                continue;
            };
            let position = self.candidates.binary_search_by(|other| other.id.cmp(base));
            if let Ok(position) = position.as_ref()
                && self.reasons[*position].is_empty()
            {
                let by = match self.reasons[n].first() {
                    Some(Reason::NeededBy(descendant)) => descendant.clone(),
                    _ => candidate.id.clone(),
                };
                self.keep(*position, Reason::NeededBy(by));
            }
        }
    }
}

/// The number of the hour, day, week, month or year that a time belongs to, in UTC.
type Bucket = fn(Timestamp) -> i64;

fn utc(time: Timestamp) -> DateTime {
    Offset::UTC.to_datetime(time)
}

fn hour(time: Timestamp) -> i64 {
    time.as_second().div_euclid(3600)
}

fn day(time: Timestamp) -> i64 {
    time.as_second().div_euclid(24 * 3600)
}

fn week(time: Timestamp) -> i64 {
    // The first day of 1970 was a Thursday.
    (day(time) + 3).div_euclid(7)
}

pub(super) fn month(time: Timestamp) -> i64 {
    let date = utc(time);
    i64::from(date.year()) * 12 + i64::from(date.month())
}

fn year(time: Timestamp) -> i64 {
    utc(time).year().into()
}

#[cfg(test)]
mod tests;
