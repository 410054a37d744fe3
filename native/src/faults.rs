//! Faults that tests inject.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use msgvault_verifier::Observer;

/// Fails when a point is reached for the `n`th time, from 1.
pub(crate) struct FailAt {
    point: &'static str,
    n: u64,
    seen: AtomicU64,
    error: fn() -> io::Error,
}

impl FailAt {
    /// Fails as on a full disk.
    pub(crate) fn new(point: &'static str, n: u64) -> Self {
        Self::with(point, n, || io::ErrorKind::StorageFull.into())
    }

    pub(crate) fn with(point: &'static str, n: u64, error: fn() -> io::Error) -> Self {
        Self { point, n, seen: AtomicU64::new(0), error }
    }

    /// How many times the point was reached.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }
}

impl Observer for FailAt {
    fn reached(&self, point: &'static str) -> io::Result<()> {
        if point == self.point && self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.n {
            return Err((self.error)());
        }
        Ok(())
    }
}

/// The point of a step of publishing a file of this kind.
pub(crate) fn point(kind: &str, step: &str) -> &'static str {
    Box::leak(format!("{kind}.{step}").into_boxed_str())
}
