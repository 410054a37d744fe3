//! What a stage needs from outside: an observer, the time, and randomness.

use jiff::Timestamp;
use msgvault_verifier::Observer;

use msgvault_verifier::length::to_unsigned;

/// An observer that workers on other threads may call.
pub type SharedObserver<'a> = &'a (dyn Observer + Sync);

/// The caller's observer, clock and randomness, so that no stage asks the machine itself.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Receives progress and warnings, says when to stop, injects faults.
    pub observer: SharedObserver<'a>,
    /// The time now.
    pub now: &'a (dyn Fn() -> Timestamp + Sync),
    /// 128 random bits per call.
    pub random: &'a (dyn Fn() -> u128 + Sync),
}

impl Context<'_> {
    /// Milliseconds since 1970 and randomness: what a ULID is made of.
    pub fn ulid_parts(&self) -> (u64, u128) {
        let unix_ms = to_unsigned((self.now)().as_millisecond());
        (unix_ms, (self.random)())
    }

    /// The time now as the format writes it: RFC 3339, UTC, seconds.
    pub fn now_text(&self) -> String {
        (self.now)().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}
