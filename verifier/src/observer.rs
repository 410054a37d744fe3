//! The one way in which a long run talks to its caller.

use std::io;

/// Receives progress and warnings, and says when to stop.
///
/// Every method has a default, so that `&()` is a silent observer. Workers on other threads call it too,
/// where the caller passes an observer that can be shared.
pub trait Observer {
    /// Whether to stop; asked between blobs.
    fn cancelled(&self) -> bool {
        false
    }

    /// A phase begins. `total` counts bytes, 0 when unknown.
    fn begin(&self, phase: Phase, total: u64) {
        let _ = (phase, total);
    }

    /// So many more bytes of the phase are done.
    fn advance(&self, bytes: u64) {
        let _ = bytes;
    }

    /// Something that the user should know and that stops nothing.
    fn warn(&self, message: &str) {
        let _ = message;
    }

    /// What is being done and why, for whoever asked to be told.
    fn explain(&self, message: &str) {
        let _ = message;
    }

    /// A point where a fault can be injected: `Err` is handled as if the operating system had said it.
    fn reached(&self, point: &'static str) -> io::Result<()> {
        let _ = point;
        Ok(())
    }
}

impl Observer for () {}

/// What a run is doing: a word for people and programs.
///
/// A caller of this library has phases of its own beside these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase(&'static str);

impl Phase {
    /// Finding out what must be read.
    pub const PLAN: Self = Self("plan");
    /// Reading and hashing packs.
    pub const CHECK: Self = Self("check");

    /// A phase with this name.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The word.
    pub const fn name(self) -> &'static str {
        self.0
    }
}
