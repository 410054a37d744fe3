//! Who holds a lock, and what can be told of that process from here.

use std::fmt;

use msgvault_platform::{self as platform, ProcessState};
use msgvault_verifier::format::lock::{LockRecord, Origin};
use sha2::{Digest, Sha256};

/// The operation that only adds to a repository, so that its readers need not wait for it.
pub(super) const ADDS: &str = "create";

/// What is known of a holder's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It runs on this machine.
    Alive,
    /// It ran on this machine and ended.
    Dead,
    /// It cannot be told from here.
    Unknown,
}

/// Who holds a lock, as far as its file tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What the file says; `None` when it is not a lock record.
    pub record: Option<LockRecord>,
    /// What became of it.
    pub liveness: Liveness,
}

impl Holder {
    /// Whether it only adds to the repository.
    pub(super) fn only_adds(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.operation == ADDS)
    }

    /// What is known of its process, to follow its name.
    pub(super) fn state(&self) -> &'static str {
        match self.liveness {
            Liveness::Alive => ", which is running on this machine",
            Liveness::Dead => ", whose process is no longer running on this machine",
            Liveness::Unknown => "",
        }
    }

    /// What somebody can do whose operation cannot begin.
    pub(super) fn advice(&self, operation: &str) -> String {
        let break_it = format!("break the lock with `msgvault backup {operation} --force-unlock`");
        match self.liveness {
            Liveness::Alive => "wait for it to finish (`--retry-lock 10m` does so)".to_owned(),
            Liveness::Dead => break_it,
            Liveness::Unknown => format!(
                "wait for it to finish (`--retry-lock 10m` does so), or {break_it} if you are sure that it is gone, which cannot be told from here"
            ),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.record {
            Some(record) => {
                let LockRecord { hostname, pid, operation, .. } = record;
                write!(f, "{operation} (process {pid} on {hostname}, since {})", record.since())
            }
            None => f.write_str("a lock file that says nothing about its holder"),
        }
    }
}

/// From where holders are judged: a process number is valid on one host, during one boot, in one namespace.
pub(super) struct Here<'a> {
    host: &'a str,
    scope: Option<u64>,
    state: fn(u64) -> ProcessState,
}

impl<'a> Here<'a> {
    pub(super) fn new(host: &'a str) -> Self {
        let scope = platform::process_scope().map(|name| scope_number(&name));
        Self { host, scope, state: platform::process_state }
    }

    /// Where a process of this machine belongs, if that can be told.
    pub(super) fn origin(&self, pid: u64) -> Option<Origin> {
        match (self.state)(pid) {
            ProcessState::Began(start) => Some(Origin { scope: self.scope?, start }),
            ProcessState::Gone | ProcessState::Unknown => None,
        }
    }

    pub(super) fn holder(&self, record: Option<LockRecord>) -> Holder {
        let liveness = record.as_ref().map_or(Liveness::Unknown, |record| self.liveness(record));
        Holder { record, liveness }
    }

    fn liveness(&self, record: &LockRecord) -> Liveness {
        let Some(origin) = record.origin() else { return Liveness::Unknown };
        if record.hostname != self.host || self.scope != Some(origin.scope) {
            return Liveness::Unknown;
        }
        match (self.state)(record.pid) {
            ProcessState::Began(start) if start == origin.start => Liveness::Alive,
            ProcessState::Gone | ProcessState::Began(_) => Liveness::Dead,
            ProcessState::Unknown => Liveness::Unknown,
        }
    }
}

/// A number for a scope, never 0.
fn scope_number(name: &str) -> u64 {
    let hash = Sha256::digest(name.as_bytes());
    let number = hash.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    1 + number % (Origin::SCOPES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: u64 = 5;

    fn record(hostname: &str, pid: u64, origin: Option<Origin>) -> LockRecord {
        let acquired_at = LockRecord::acquired_at("2026-11-23T13:35:58", 0, origin, 1);
        LockRecord { hostname: hostname.into(), pid, operation: "create".into(), acquired_at }
    }

    #[test]
    fn a_process_number_is_judged_only_where_it_is_valid() {
        // Process 1 began at 10, 2 is gone, 3 hides.
        let state = |pid| match pid {
            1 => ProcessState::Began(10),
            2 => ProcessState::Gone,
            _ => ProcessState::Unknown,
        };
        let origin = |scope, start| Some(Origin { scope, start });
        let judged = |scope, record| Here { host: "here", scope, state }.liveness(&record);
        for (what, record, expected) in [
            ("the same process", record("here", 1, origin(SCOPE, 10)), Liveness::Alive),
            ("a later process of its number", record("here", 1, origin(SCOPE, 9)), Liveness::Dead),
            ("no process", record("here", 2, origin(SCOPE, 10)), Liveness::Dead),
            ("a process that hides", record("here", 3, origin(SCOPE, 10)), Liveness::Unknown),
            ("another container or boot", record("here", 2, origin(SCOPE + 1, 10)), Liveness::Unknown),
            ("another host", record("there", 2, origin(SCOPE, 10)), Liveness::Unknown),
            ("a record without origin", record("here", 2, None), Liveness::Unknown),
        ] {
            assert_eq!(judged(Some(SCOPE), record.clone()), expected, "{what}");
            assert_eq!(judged(None, record), Liveness::Unknown, "{what}, from nowhere");
        }
    }

    #[test]
    fn nobody_is_told_that_a_process_is_gone_unless_proven() {
        let say = |liveness| {
            let holder = Holder { record: Some(record("here", 1, None)), liveness };
            format!("{holder}{}; {}", holder.state(), holder.advice("restore"))
        };
        assert!(!say(Liveness::Alive).contains("--force-unlock"), "{}", say(Liveness::Alive));
        assert!(say(Liveness::Alive).contains("is running on this machine"));
        assert!(say(Liveness::Dead).contains("no longer running on this machine"));
        assert!(!say(Liveness::Unknown).contains("running"), "{}", say(Liveness::Unknown));
        assert!(say(Liveness::Unknown).contains("`msgvault backup restore --force-unlock` if you are sure"));
    }

    #[test]
    fn scopes_have_numbers_that_a_record_can_hold() {
        for name in ["", "a", "b pid:[4026531836] time:[4026531834]"] {
            assert!((1..Origin::SCOPES).contains(&scope_number(name)), "{name}");
        }
        assert_ne!(scope_number("a"), scope_number("b"));
    }
}
