//! Lock records: who works on a repository (`docs/format.md` §11).

use serde::Deserialize;

use super::canonical_json::Writer;
use super::id::FileId;

/// The exclusive lock.
pub const EXCLUSIVE: &str = "locks/exclusive.json";

/// Digits of a fraction of [`LockRecord::acquired_at`]: milliseconds, scope, start, token.
const FRACTION: [usize; 4] = [3, 15, 12, 9];

/// Who holds a lock. Two records are the same holder when all fields are equal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LockRecord {
    /// The holder's host.
    pub hostname: String,
    /// The holder's process.
    pub pid: u64,
    /// `create`, `verify` or `restore`.
    pub operation: String,
    /// RFC 3339.
    pub acquired_at: String,
}

/// Where a process number is valid, and which of the processes that have it one after another is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// A number for the boot and the namespaces that the process runs in.
    pub scope: u64,
    /// When the process began, in the ticks of its system.
    pub start: u64,
}

impl Origin {
    /// Scopes are below this number and above 0.
    pub const SCOPES: u64 = 10u64.pow(15);
    /// Starts are below this number.
    pub const STARTS: u64 = 10u64.pow(12);
}

impl LockRecord {
    /// A time for [`Self::acquired_at`] that also tells the process's origin, if it is known and fits, and a
    /// token that no other holder has. `seconds` is RFC 3339 in UTC, without fraction and `Z`.
    pub fn acquired_at(seconds: &str, milliseconds: u64, origin: Option<Origin>, token: u128) -> String {
        let fits = |origin: &Origin| origin.scope < Origin::SCOPES && origin.start < Origin::STARTS;
        let Origin { scope, start } = origin.filter(fits).unwrap_or(Origin { scope: 0, start: 0 });
        let (milliseconds, token) = (milliseconds % 1000, token % 1_000_000_000);
        format!("{seconds}.{milliseconds:03}{scope:015}{start:012}{token:09}Z")
    }

    /// The process's origin, where the record tells it.
    pub fn origin(&self) -> Option<Origin> {
        let (_, fraction) = self.acquired_at.split_once('.')?;
        let digits = fraction.strip_suffix('Z')?;
        if digits.len() != FRACTION.iter().sum::<usize>()
            || !digits.bytes().all(|digit| digit.is_ascii_digit())
        {
            return None;
        }
        let (scope, rest) = digits.get(FRACTION[0]..)?.split_at_checked(FRACTION[1])?;
        let origin = Origin { scope: scope.parse().ok()?, start: rest.get(..FRACTION[2])?.parse().ok()? };
        (origin.scope != 0).then_some(origin)
    }

    /// The time of [`Self::acquired_at`] in seconds, as people read it.
    pub fn since(&self) -> String {
        match self.acquired_at.split_once('.') {
            Some((seconds, rest)) => {
                format!("{seconds}{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()))
            }
            None => self.acquired_at.clone(),
        }
    }

    /// Reads a lock file; `None` when it is not a record.
    pub fn decode(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Writes compact JSON.
    pub fn encode(&self) -> String {
        let mut writer = Writer::default();
        writer.object(|w| {
            w.key("hostname").string(&self.hostname);
            w.key("pid").integer(self.pid);
            w.key("operation").string(&self.operation);
            w.key("acquired_at").string(&self.acquired_at);
        });
        writer.finish()
    }
}

/// The kinds of files in `locks/`, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockName {
    /// `exclusive.json`.
    Exclusive,
    /// `shared-<ulid>.json`.
    Shared,
    /// `releasing-<ulid>.json`.
    Releasing,
}

impl LockName {
    /// Classifies a file name in `locks/`; other names are no locks.
    pub fn of(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".json")?;
        let is_numbered = |prefix| stem.strip_prefix(prefix).is_some_and(|id| id.parse::<FileId>().is_ok());
        if stem == "exclusive" {
            Some(Self::Exclusive)
        } else if is_numbered("shared-") {
            Some(Self::Shared)
        } else if is_numbered("releasing-") {
            Some(Self::Releasing)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_compact_json() {
        let record = LockRecord {
            hostname: "host<1>".into(),
            pid: 42,
            operation: "create".into(),
            acquired_at: "2026-11-23T13:35:58Z".into(),
        };
        let text = record.encode();
        assert_eq!(
            text,
            r#"{"hostname":"host\u003c1\u003e","pid":42,"operation":"create","acquired_at":"2026-11-23T13:35:58Z"}"#
        );
        assert_eq!(LockRecord::decode(text.as_bytes()), Some(record));
        assert_eq!(LockRecord::decode(b""), None);
        assert_eq!(LockName::of("shared-01m849xq3wk3s4p8ybcf4313en.json"), Some(LockName::Shared));
        for stray in [
            ".gitkeep",
            "shared-.json",
            "shared-01m849xq3wk3s4p8ybcf4313en (1).json",
            "._shared-01m849xq3wk3s4p8ybcf4313en.json",
            "shared-01M849XQ3WK3S4P8YBCF4313EN.json",
            "exclusive (conflicted copy).json",
            "exclusive.json.tmp",
        ] {
            assert_eq!(LockName::of(stray), None, "{stray}");
        }
    }

    #[test]
    fn the_fraction_of_a_time_tells_the_origin_of_a_holder() {
        let record = |acquired_at: &str| LockRecord {
            hostname: "h".into(),
            pid: 1,
            operation: "create".into(),
            acquired_at: acquired_at.into(),
        };
        let origin = Some(Origin { scope: Origin::SCOPES - 1, start: 77 });
        let time = LockRecord::acquired_at("2026-11-23T13:35:58", 12, origin, 5);
        assert_eq!(time, "2026-11-23T13:35:58.012999999999999999000000000077000000005Z");
        assert_eq!(record(&time).origin(), origin);
        assert_eq!(record(&time).since(), "2026-11-23T13:35:58Z");

        let too_large = Some(Origin { scope: 1, start: Origin::STARTS });
        for unknown in [None, too_large] {
            let time = LockRecord::acquired_at("2026-11-23T13:35:58", 0, unknown, 5);
            assert_eq!(record(&time).origin(), None);
        }
        for (time, since) in [
            ("2026-11-23T13:35:58Z", "2026-11-23T13:35:58Z"),
            ("2026-11-23T13:35:58.5+02:00", "2026-11-23T13:35:58+02:00"),
            ("2026-11-23T13:35:58.01299999999999999900000000007700000000xZ", "2026-11-23T13:35:58xZ"),
            ("2026-11-23T13:35:58.012999999999999999000000000077000000005", "2026-11-23T13:35:58"),
            ("", ""),
            ("é.é", "éé"),
        ] {
            assert_eq!((record(time).origin(), &*record(time).since()), (None, since), "{time}");
        }
    }
}
