use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

use msgvault_verifier::Observer;

/// An observer by which a run comes to grief when it reaches a point: the disk is full, or the user wants it
/// to stop.
#[derive(Debug)]
pub struct FailAt {
    point: String,
    hits: RangeInclusive<u64>,
    cancels: bool,
    seen: AtomicU64,
}

impl FailAt {
    /// The disk is full whenever the point is reached.
    pub fn always(point: impl Into<String>) -> Self {
        Self { point: point.into(), hits: 1..=u64::MAX, cancels: false, seen: AtomicU64::new(0) }
    }

    /// The disk is full when the point is reached for the `n`th time, from 1, and at no other time.
    pub fn once(point: impl Into<String>, n: u64) -> Self {
        Self { hits: n..=n, ..Self::always(point) }
    }

    /// Once the point was reached, the user wants the run to stop.
    pub fn cancelling(point: impl Into<String>) -> Self {
        Self { cancels: true, ..Self::always(point) }
    }

    /// How often the point was reached.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }
}

impl Observer for FailAt {
    fn cancelled(&self) -> bool {
        self.cancels && self.seen() > 0
    }

    fn reached(&self, point: &'static str) -> io::Result<()> {
        if point != self.point {
            return Ok(());
        }
        let seen = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        if self.hits.contains(&seen) && !self.cancels {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
}
