//! When scheduled work is due: the five fields of cron, in local time.
//!
//! A time that the clocks skip comes right after the gap; one that comes twice counts the first time.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Leap days can be eight years apart.
const DAYS_AHEAD: u32 = 9 * 366;

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: CronField,
    hours: CronField,
    days: CronField,
    months: CronField,
    weekdays: CronField,
}

/// Why a schedule is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a schedule: {reason}; five fields are needed, as in \"0 3 * * *\" for every night at three"
)]
pub struct CronError {
    text: String,
    reason: String,
}

/// The values of a field that match, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CronField {
    bits: u64,
    /// Whether it was written as `*`, which matters for days.
    any: bool,
}

struct CronRange {
    name: &'static str,
    first: u8,
    last: u8,
    names: &'static [&'static str],
}

const MINUTE: CronRange = CronRange { name: "minute", first: 0, last: 59, names: &[] };
const HOUR: CronRange = CronRange { name: "hour", first: 0, last: 23, names: &[] };
const DAY: CronRange = CronRange { name: "day", first: 1, last: 31, names: &[] };
const MONTH: CronRange = CronRange {
    name: "month",
    first: 1,
    last: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: CronRange = CronRange {
    name: "weekday",
    first: 0,
    last: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"],
};

impl Cron {
    /// Reads `minute hour day month weekday`, or `@hourly`, `@daily`, `@weekly`, `@monthly`.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let failed = |reason: String| CronError { text: text.to_owned(), reason };
        let written = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            other => other,
        };
        let fields: Vec<&str> = written.split_whitespace().collect();
        let &[minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(failed(format!("it has {} fields", fields.len())));
        };
        let mut weekdays = WEEKDAY.parse(weekday).map_err(failed)?;
        // Sunday is 0 and 7.
        weekdays.bits = (weekdays.bits | weekdays.bits >> 7) & 0x7f;
        let cron = Self {
            text: text.trim().to_owned(),
            minutes: MINUTE.parse(minute).map_err(failed)?,
            hours: HOUR.parse(hour).map_err(failed)?,
            days: DAY.parse(day).map_err(failed)?,
            months: MONTH.parse(month).map_err(failed)?,
            weekdays,
        };
        match cron.next_after(Timestamp::UNIX_EPOCH, &TimeZone::UTC) {
            Some(_) => Ok(cron),
            None => Err(failed("there is no such day".to_owned())),
        }
    }

    /// The schedule as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first time after `after`; none when time itself ends before.
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        // What the clocks skip is due later than it is written, so the search begins the day before.
        let mut date = after.to_zoned_datetime(zone.clone()).date().yesterday().ok()?;
        for _ in 0..DAYS_AHEAD {
            if self.has_day(date) {
                let due = self.times().filter_map(|time| instant(date, time, zone));
                if let Some(next) = due.filter(|due| *due > after).min() {
                    return Some(next);
                }
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }

    fn times(&self) -> impl Iterator<Item = Time> {
        let hours = (0..24).filter(|hour| self.hours.has(*hour));
        let minutes = self.minutes;
        hours.flat_map(move |hour| {
            let minutes = (0..60).filter(move |minute| minutes.has(*minute));
            minutes.filter_map(move |minute| Time::new(hour, minute, 0, 0).ok())
        })
    }

    /// Day and weekday must both match, or one of them where neither is `*`, as cron has it.
    fn has_day(&self, date: Date) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset());
        let fits = if self.days.any || self.weekdays.any { day && weekday } else { day || weekday };
        fits && self.months.has(date.month())
    }
}

fn instant(date: Date, time: Time, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_zoned_datetime(date.to_datetime(time)).compatible().ok().map(|zoned| zoned.timestamp())
}

impl CronField {
    fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| value < 64 && self.bits >> value & 1 == 1)
    }
}

impl CronRange {
    /// Reads a list of `*`, `a`, `a-b`, each with `/step` or without.
    fn parse(&self, text: &str) -> Result<CronField, String> {
        let mut bits = 0;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(self.step(step)?)),
                None => (part, None),
            };
            let (first, last) = match (range, range.split_once('-')) {
                ("*", _) => (self.first, self.last),
                (_, Some((first, last))) => (self.value(first)?, self.value(last)?),
                (single, None) => {
                    let value = self.value(single)?;
                    (value, if step.is_some() { self.last } else { value })
                }
            };
            // Sunday is 0 and 7, and ends a range as the latter.
            let last = if self.name == WEEKDAY.name && last == 0 && first > 0 { self.last } else { last };
            if first > last {
                return Err(format!("the {} {range} runs backwards", self.name));
            }
            for value in (first..=last).step_by(step.unwrap_or(1)) {
                bits |= 1_u64 << value;
            }
        }
        Ok(CronField { bits, any: text.starts_with('*') })
    }

    fn step(&self, text: &str) -> Result<usize, String> {
        let step = text.parse().ok().filter(|step| *step > 0);
        step.ok_or_else(|| format!("the {} has the step {text:?}", self.name))
    }

    fn value(&self, text: &str) -> Result<u8, String> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named.and_then(|at| u8::try_from(at).ok()) {
            Some(at) => Some(at + self.first),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            None => None,
        };
        let value = value.filter(|value| (self.first..=self.last).contains(value));
        value.ok_or_else(|| format!("{text:?} is no {}, which is {} to {}", self.name, self.first, self.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Berlin without a database of time zones.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn next(cron: &str, after: &str, zone: &TimeZone) -> String {
        let next = Cron::parse(cron).unwrap().next_after(after.parse().unwrap(), zone).unwrap();
        next.to_string()
    }

    #[test]
    fn fields_say_when() {
        let table = [
            ("0 3 * * *", "2026-11-23T02:59:59Z", "2026-11-23T03:00:00Z"),
            ("0 3 * * *", "2026-11-23T03:00:00Z", "2026-11-24T03:00:00Z"),
            ("*/15 * * * *", "2026-11-23T03:00:01Z", "2026-11-23T03:15:00Z"),
            ("5/20 * * * *", "2026-11-23T03:26:00Z", "2026-11-23T03:45:00Z"),
            ("0 9-17/4,22 * * *", "2026-11-23T13:00:00Z", "2026-11-23T17:00:00Z"),
            ("0 9-17/4,22 * * *", "2026-11-23T17:00:00Z", "2026-11-23T22:00:00Z"),
            ("0 0 1 jan *", "2026-11-23T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("0 0 * * Mon-Fri", "2026-11-27T12:00:00Z", "2026-11-30T00:00:00Z"),
            ("0 0 * * 7", "2026-11-23T00:00:00Z", "2026-11-29T00:00:00Z"),
            ("0 0 * * fri-sun", "2026-11-27T12:00:00Z", "2026-11-28T00:00:00Z"),
            ("0 0 * * sat-sun", "2026-11-28T12:00:00Z", "2026-11-29T00:00:00Z"),
            ("0 0 * * sun-tue", "2026-11-24T12:00:00Z", "2026-11-29T00:00:00Z"),
            ("0 0 29 2 *", "2026-11-23T00:00:00Z", "2028-02-29T00:00:00Z"),
            // Either the 13th or a Friday; with a star, both must fit.
            ("0 0 13 * 5", "2026-11-23T00:00:00Z", "2026-11-27T00:00:00Z"),
            ("0 0 */2 * 5", "2026-11-23T00:00:00Z", "2026-11-27T00:00:00Z"),
            ("0 0 */2 * 5", "2026-11-27T00:00:00Z", "2026-12-11T00:00:00Z"),
            ("@weekly", "2026-11-23T00:00:00Z", "2026-11-29T00:00:00Z"),
        ];
        for (cron, after, expected) in table {
            assert_eq!(next(cron, after, &TimeZone::UTC), expected, "{cron} after {after}");
        }
    }

    #[test]
    fn a_time_that_the_clocks_skip_comes_after_the_gap() {
        let zone = berlin();
        // On 2026-03-29 the clocks go from 2:00 to 3:00, which is 1:00 in UTC.
        assert_eq!(next("30 2 * * *", "2026-03-28T12:00:00Z", &zone), "2026-03-29T01:30:00Z");
        assert_eq!(next("30 2 * * *", "2026-03-29T01:30:00Z", &zone), "2026-03-30T00:30:00Z");
        assert_eq!(next("30 2 * * *", "2026-03-29T01:10:00Z", &zone), "2026-03-29T01:30:00Z");
        assert_eq!(next("*/30 * * * *", "2026-03-29T00:30:00Z", &zone), "2026-03-29T01:00:00Z");
        assert_eq!(next("*/30 * * * *", "2026-03-29T01:00:00Z", &zone), "2026-03-29T01:30:00Z");
    }

    #[test]
    fn a_time_that_comes_twice_counts_once() {
        let zone = berlin();
        // On 2026-10-25 the clocks go from 3:00 back to 2:00, which is 1:00 in UTC.
        assert_eq!(next("30 2 * * *", "2026-10-24T12:00:00Z", &zone), "2026-10-25T00:30:00Z");
        assert_eq!(next("30 2 * * *", "2026-10-25T00:30:00Z", &zone), "2026-10-26T01:30:00Z");
        assert_eq!(next("0 3 * * *", "2026-10-24T12:00:00Z", &zone), "2026-10-25T02:00:00Z");
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_reason() {
        let table = [
            ("", "0 fields"),
            ("0 3 * *", "4 fields"),
            ("0 3 * * * *", "6 fields"),
            ("60 3 * * *", "minute"),
            ("0 24 * * *", "hour"),
            ("0 0 0 * *", "day"),
            ("0 0 * 13 *", "month"),
            ("0 0 * * 8", "weekday"),
            ("0 0 * * frog", "frog"),
            ("*/0 * * * *", "step"),
            ("*/x * * * *", "step"),
            ("5-1 * * * *", "backwards"),
            ("5-0 * * * *", "backwards"),
            ("0 0 * * sat-mon", "backwards"),
            ("+5 * * * *", "minute"),
            ("1,,2 * * * *", "minute"),
            ("0 0 31 2 *", "no such day"),
            ("@yearling", "1 fields"),
        ];
        for (text, reason) in table {
            let error = Cron::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
