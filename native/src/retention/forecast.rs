//! What rules would leave in a year, if everything goes on as it did.

use jiff::{SignedDuration, Timestamp};
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::snapshot::MAX_CHAIN_DELTAS;
use serde::Serialize;

use super::rules::{Candidate, KeepRules, judge, month};

/// How far it looks.
const DAYS: i64 = 365;
/// The newest intervals between snapshots, which tell how often there is one.
const INTERVALS: usize = 14;
/// More snapshots than that are not simulated: one an hour for a year are fewer.
const MOST: i64 = 10_000;

/// How a repository went on so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Bytes that the newest snapshot needs.
    pub(super) newest_bytes: u64,
    /// Bytes by which that grew a day.
    pub(super) growth_per_day: u64,
    /// Bytes that a snapshot adds.
    pub(super) added_bytes: u64,
}

/// What rules would leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// The rules.
    pub rules: KeepRules,
    /// In so many days.
    pub days: i64,
    /// Seconds between snapshots, as it was lately.
    pub interval_seconds: i64,
    /// Snapshots that there would be.
    pub snapshots: u64,
    /// Bytes of packs, roughly: what the newest needs by then, and what each of the others adds.
    pub bytes: u64,
}

/// Makes snapshots for a year as often as lately, and forgets after each. None without two snapshots whose times can be
/// trusted.
pub(super) fn forecast(candidates: &[Candidate], rules: &KeepRules, pace: Pace) -> Option<Forecast> {
    let times: Vec<Timestamp> = candidates.iter().filter_map(|candidate| candidate.time).collect();
    let interval = interval(&times)?;
    let newest = *times.last()?;
    let end = newest.checked_add(SignedDuration::from_hours(24 * DAYS)).ok()?;
    let interval = interval.max(SignedDuration::from_secs(DAYS * 24 * 3600 / MOST));
    let mut there = candidates.to_vec();
    let mut depth = there.iter().rev().take_while(|candidate| candidate.base.is_some()).count();
    let mut time = newest;
    let mut number = 0u128;
    loop {
        time = time.checked_add(interval).ok()?;
        if time > end {
            break;
        }
        number += 1;
        let is_keyframe = depth >= MAX_CHAIN_DELTAS - 1 || there.last()?.time.map(month) != Some(month(time));
        depth = if is_keyframe { 0 } else { depth + 1 };
        let base = there.last().filter(|_| !is_keyframe).map(|newest| newest.id.clone());
        let messages = there.last()?.messages;
        there.push(Candidate {
            id: made_up(time, number)?,
            time: Some(time),
            distrust: String::new(),
            tag: String::new(),
            messages,
            base,
            held: None,
        });
        let reasons = judge(&there, rules);
        let mut stays = reasons.iter().map(|reasons| !reasons.is_empty());
        there.retain(|_| stays.next().unwrap_or(true));
    }
    let snapshots = u64::try_from(there.len()).ok()?;
    let grown = pace.growth_per_day.saturating_mul(DAYS.unsigned_abs());
    let others = snapshots.saturating_sub(1).saturating_mul(pace.added_bytes);
    let bytes = pace.newest_bytes.saturating_add(grown).saturating_add(others);
    let interval_seconds = interval.as_secs();
    Some(Forecast { rules: rules.clone(), days: DAYS, interval_seconds, snapshots, bytes })
}

/// The median of the newest intervals.
fn interval(times: &[Timestamp]) -> Option<SignedDuration> {
    let mut newest: Vec<SignedDuration> =
        times.windows(2).rev().take(INTERVALS).map(|pair| pair[1].duration_since(pair[0])).collect();
    newest.sort();
    newest.get(newest.len() / 2).copied().filter(SignedDuration::is_positive)
}

fn made_up(time: Timestamp, number: u128) -> Option<SnapshotId> {
    format!("{}-{number:032x}", time.strftime("%Y%m%dT%H%M%SZ")).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { newest_bytes: 1_000_000, growth_per_day: 100, added_bytes: 1_000 };

    /// One snapshot a day at noon.
    fn days(count: i64) -> Vec<Candidate> {
        let of = |day: i64| {
            let time = Timestamp::from_second(1_767_268_800 + day * 24 * 3600).unwrap();
            Candidate {
                id: made_up(time, 0).unwrap(),
                time: Some(time),
                distrust: String::new(),
                tag: String::new(),
                messages: Some(100),
                base: None,
                held: None,
            }
        };
        (0..count).map(of).collect()
    }

    #[test]
    fn a_year_of_days_fills_every_rule() {
        let rules = KeepRules { last: 3, ..KeepRules::default() };
        let told = forecast(&days(5), &rules, PACE).unwrap();
        assert_eq!((told.days, told.interval_seconds), (365, 24 * 3600));
        // The newest is of the fifth of the month, and what it is built upon stays.
        assert_eq!(told.snapshots, 5);
        assert_eq!(told.bytes, 1_000_000 + 365 * 100 + 4 * 1_000);
        let everything = forecast(&days(5), &KeepRules { last: 9999, ..rules }, PACE).unwrap();
        assert_eq!(everything.snapshots, 5 + 365);
    }

    #[test]
    fn one_snapshot_tells_nothing_of_a_year() {
        assert_eq!(forecast(&days(1), &KeepRules::default(), PACE), None);
        let mut untrusted = days(3);
        for candidate in &mut untrusted {
            candidate.time = None;
        }
        assert_eq!(forecast(&untrusted, &KeepRules::default(), PACE), None);
    }

    #[test]
    fn snapshots_in_the_same_second_do_not_go_on_for_ever() {
        let mut hasty = days(3);
        for (n, candidate) in (0u32..).zip(&mut hasty) {
            let time = Timestamp::from_second(1_767_268_800 + i64::from(n)).unwrap();
            (candidate.time, candidate.id) = (Some(time), made_up(time, 0).unwrap());
        }
        let told = forecast(&hasty, &KeepRules { last: 2, ..KeepRules::default() }, PACE).unwrap();
        assert!(told.snapshots < 40 && told.interval_seconds > 3_000, "{told:?}");
    }
}
