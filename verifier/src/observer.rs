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

    /// A point where a fault can be injected: `Err` is handled as if the operating system had said it.
    fn reached(&self, point: &'static str) -> io::Result<()> {
        let _ = point;
        Ok(())
    }
}

impl Observer for () {}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Waiting for the writers of an archive to pause.
    Freeze,
    /// Reading the database's pages.
    Pages,
    /// Reading attachments.
    Attachments,
    /// Reading other files.
    Extras,
    /// Finding out what must be read.
    Plan,
    /// Reading and hashing packs.
    Check,
    /// Writing the database.
    Database,
    /// Proving a restored database.
    Proof,
    /// Making files durable and visible.
    Publish,
}

impl Phase {
    /// The word for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Pages => "pages",
            Self::Attachments => "attachments",
            Self::Extras => "extras",
            Self::Plan => "plan",
            Self::Check => "check",
            Self::Database => "database",
            Self::Proof => "proof",
            Self::Publish => "publish",
        }
    }
}
