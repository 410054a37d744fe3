//! Lock records: who works on a repository (`docs/format.md` §11).

use serde::Deserialize;

use super::canonical_json::Writer;

/// The exclusive lock.
pub const EXCLUSIVE: &str = "locks/exclusive.json";

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

impl LockRecord {
    /// Reads a lock file; `None` when it is no record.
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
        if stem == "exclusive" {
            Some(Self::Exclusive)
        } else if stem.starts_with("shared-") {
            Some(Self::Shared)
        } else if stem.starts_with("releasing-") {
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
        assert_eq!(LockName::of(".gitkeep"), None);
    }
}
