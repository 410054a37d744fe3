//! What is asked of `create`.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use msgvault_verifier::format::manifest::Options;

use super::CreateError;
use crate::home::{Dense, Home};
use crate::repo::lock::LockRequest;
use crate::repo::pack_writer::PackOptions;

/// The compression level when none is given.
pub const DEFAULT_LEVEL: i32 = 3;
/// An interrupted run loses at most the 256 MiB that these packs hold, and what is under way.
const PACKS_PER_INDEX: usize = 8;

/// What is to be captured, from where, into which repository.
#[derive(Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct CreateRequest<'a> {
    /// The archive.
    pub home: &'a Home,
    /// The repository.
    pub repo: &'a Path,
    /// The user's label.
    pub tag: &'a str,
    /// Capture the configuration.
    pub include_config: bool,
    /// Capture `tokens/` and `client_secret*.json`.
    pub include_tokens: bool,
    /// The user knows that secrets are stored as they are.
    pub allow_plaintext_secrets: bool,
    /// Workers; 0 means one per processor, 1 also that no two files are read at once.
    pub jobs: usize,
    /// The zstd level, 1 to 19; 0 means the default.
    pub zstd_level: i32,
    /// When keyframes store pages again.
    pub dense: Dense,
    /// The loss since the snapshot before that is alarming, in hundredths.
    pub alarm_drop: u8,
    /// Break fresh locks of others.
    pub force_unlock: bool,
    /// How long to wait for locks of others.
    pub retry_lock: Duration,
    /// Have SQLite check the database that is captured.
    pub check: bool,
    /// The user knows that the clock is right, whatever speaks against it.
    pub accept_clock: bool,
    /// Find out what would be stored, and store nothing.
    pub dry_run: bool,
    /// This program's version, for the manifest.
    pub version: &'a str,
    /// This machine's name, for the lock.
    pub host: &'a str,
    /// This process, for the lock.
    pub pid: u64,
    /// Bytes to which the live log may grow during the scan; none means what suits the database.
    pub log_limit: Option<u64>,
    /// Lets time pass.
    pub pause: &'a dyn Fn(Duration),
}

impl CreateRequest<'_> {
    /// Refuses to store secrets as they are unless the user said so.
    pub(super) fn refuse_secrets(&self) -> Result<(), CreateError> {
        let flags = [(self.include_config, "--include-config"), (self.include_tokens, "--include-tokens")];
        match flags.into_iter().find(|(asked, _)| *asked) {
            Some((_, flag)) if !self.allow_plaintext_secrets => Err(CreateError::PlaintextSecrets { flag }),
            _ => Ok(()),
        }
    }

    pub(super) fn lock(&self) -> LockRequest<'_> {
        LockRequest {
            root: self.repo,
            operation: "create",
            host: self.host,
            pid: self.pid,
            force: self.force_unlock,
            patience: self.retry_lock,
            pause: self.pause,
        }
    }

    pub(super) fn pack_options(&self) -> PackOptions<'_> {
        PackOptions {
            root: self.repo,
            jobs: self.jobs(),
            level: self.level(),
            dry_run: self.dry_run,
            packs_per_index: PACKS_PER_INDEX,
        }
    }

    /// How many workers there are.
    pub(super) fn jobs(&self) -> usize {
        match self.jobs {
            0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            jobs => jobs,
        }
    }

    fn level(&self) -> i32 {
        if self.zstd_level == 0 { DEFAULT_LEVEL } else { self.zstd_level }
    }

    /// What the manifest says of the request.
    pub(super) fn options(&self) -> Options {
        Options {
            include_config: self.include_config,
            include_tokens: self.include_tokens,
            zstd_level: self.level().into(),
            tag: self.tag.to_owned(),
        }
    }
}
