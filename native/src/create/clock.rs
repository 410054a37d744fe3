//! Whether this machine's clock can be believed: it dates a snapshot, and every later one comes behind it.

use jiff::{SignedDuration, Timestamp};
use msgvault_platform::context::Context;
use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::repository::Repository;

use super::{CreateError, CreateRequest};
use crate::repo::medium_time;

/// No clock that is right showed less when this program was written; raised now and then.
const WRITTEN: Timestamp = Timestamp::constant(1_793_491_200, 0);
/// This program is hardly used for so long.
const IN_USE: SignedDuration = SignedDuration::from_hours(20 * 365 * 24);
/// No clock is so far ahead by itself, and few archives wait so long for a backup.
const YEARS: SignedDuration = SignedDuration::from_hours(2 * 365 * 24);
/// A longer time between two snapshots is told.
const LARGE: SignedDuration = SignedDuration::from_hours(183 * 24);
/// Clocks of two machines may be so far apart.
const SLACK: SignedDuration = SignedDuration::from_hours(1);

/// Stops at an implausible clock unless the user says that it is right, and warns of a large jump.
pub(super) fn check(
    context: &Context<'_>,
    request: &CreateRequest<'_>,
    repository: &Repository,
) -> Result<(), CreateError> {
    let listing = repository.listing().map_err(CreateError::Listing)?;
    let now = (context.now)();
    let newest = listing.snapshots.last().and_then(time_of);
    // A dry run makes no file, not even for a moment.
    let medium = if request.dry_run { None } else { medium_time::ask(context, request.repo).ok() };
    let medium = medium.and_then(|medium| Timestamp::try_from(medium).ok());
    if let Some(reason) = implausible(now, newest, medium).filter(|_| !request.accept_clock) {
        return Err(CreateError::ImplausibleClock { now: text(now), reason });
    }
    if let Some(warning) = newest.and_then(|newest| jump(now, newest)) {
        context.observer.warn(&warning);
    }
    Ok(())
}

/// What speaks against a clock; none when it can be right.
fn implausible(now: Timestamp, newest: Option<Timestamp>, medium: Option<Timestamp>) -> Option<String> {
    let is_ahead_of = |time: Timestamp, by: SignedDuration| now.duration_since(time) > by;
    if now < WRITTEN {
        return Some(format!("which is before this program was written ({})", text(WRITTEN)));
    }
    if newest.is_some_and(|newest| !is_ahead_of(newest, YEARS)) {
        return None;
    }
    let behind = newest.map(|newest| format!("years after the newest snapshot ({})", text(newest)));
    let other = match medium.filter(|medium| is_ahead_of(*medium, YEARS)) {
        Some(medium) => {
            format!("years after the time that the repository's disk or share tells ({})", text(medium))
        }
        // A disk of this machine has its time from the same clock.
        None if is_ahead_of(WRITTEN, IN_USE) => {
            format!("decades after this program was written ({})", text(WRITTEN))
        }
        None => return None,
    };
    let reasons: Vec<String> = behind.into_iter().chain([other]).collect();
    Some(format!("which is {}", reasons.join(" and ")))
}

/// What a person should know of a clock that can be right.
fn jump(now: Timestamp, newest: Timestamp) -> Option<String> {
    let (clock, dated) = (text(now), text(newest));
    if newest.duration_since(now) > SLACK {
        return Some(format!(
            "the newest snapshot is dated in the future ({dated}; the clock of this machine says {clock}), so this one \
             is dated right behind it; if the clock is right, see \"When snapshots are dated in the future\" in the guide"
        ));
    }
    (now.duration_since(newest) > LARGE).then(|| {
        format!(
            "the newest snapshot is of {dated}, and the clock of this machine says {clock}: all later snapshots will \
             be dated behind that, so check the clock"
        )
    })
}

fn text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The time in a snapshot's name.
pub(super) fn time_of(id: &SnapshotId) -> Option<Timestamp> {
    let digits: Vec<char> = id.as_str().chars().take(15).collect();
    let part = |from: usize, to: usize| digits.get(from..to).map(|part| part.iter().collect::<String>());
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(9, 11)?, part(11, 13)?, part(13, 15)?);
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// What speaks against a clock, with times by their years; 0 where there is none.
    fn doubt(now: i32, newest: i32, medium: i32) -> Option<String> {
        let time = |year: i32| (year != 0).then(|| at(&format!("{year}-12-01T00:00:00Z")));
        implausible(time(now).unwrap(), time(newest), time(medium))
    }

    #[test]
    fn a_clock_is_judged_by_snapshots_and_medium() {
        for (now, newest, medium, said) in [
            (2026, 0, 0, ""),
            (2026, 2025, 2026, ""),
            (1970, 0, 1970, "before this program was written"),
            (2015, 2026, 2026, "before this program was written"),
            // A first backup onto a share, or after a long time.
            (2031, 0, 2026, "the time that the repository's disk or share tells (2026-12-01T00:00:00Z)"),
            (
                2031,
                2026,
                2026,
                "years after the newest snapshot (2026-12-01T00:00:00Z) and years after the time",
            ),
            // One of the two agrees.
            (2031, 2026, 2031, ""),
            (2031, 2030, 2026, ""),
            // The medium has the same clock.
            (2096, 2026, 2096, "decades after this program was written"),
            (2096, 0, 2096, "decades after this program was written"),
            (2096, 0, 0, "decades after this program was written"),
            // Whoever accepted such a clock once is not asked again.
            (2096, 2095, 2096, ""),
        ] {
            let doubt = doubt(now, newest, medium).unwrap_or_default();
            assert!(
                doubt.contains(said) && said.is_empty() == doubt.is_empty(),
                "{now} {newest} {medium}: {doubt}"
            );
        }
        assert_eq!(text(WRITTEN), "2026-11-01T00:00:00Z");
    }

    #[test]
    fn a_large_jump_names_both_times() {
        let newest = at("2026-11-23T13:00:00Z");
        assert_eq!(jump(at("2026-11-23T12:30:00Z"), newest), None);
        assert_eq!(jump(at("2027-05-01T00:00:00Z"), newest), None);
        for now in ["2026-11-22T13:00:00Z", "2027-06-01T00:00:00Z"] {
            let told = jump(at(now), newest).unwrap();
            assert!(told.contains(now) && told.contains("2026-11-23T13:00:00Z"), "{told}");
        }
    }
}
