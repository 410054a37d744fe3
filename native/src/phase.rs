//! What `create` and `restore` are doing, beside planning: the phases that their observers are told of.

use msgvault_verifier::Phase;

/// Waiting for the writers of an archive to pause.
pub const FREEZE: Phase = Phase::new("freeze");
/// Having SQLite check the database.
pub const CHECK_DATABASE: Phase = Phase::new("check database");
/// Reading the database's pages.
pub const PAGES: Phase = Phase::new("pages");
/// Reading or writing attachments.
pub const ATTACHMENTS: Phase = Phase::new("attachments");
/// Reading or writing other files.
pub const EXTRAS: Phase = Phase::new("extras");
/// Writing the database.
pub const DATABASE: Phase = Phase::new("database");
/// Proving a restored database.
pub const PROOF: Phase = Phase::new("proof");
/// Making files durable and visible.
pub const PUBLISH: Phase = Phase::new("publish");
/// Finding out what the snapshots of a repository need.
pub const MARK: Phase = Phase::new("mark");
/// Copying packs to another disk.
pub const COPY: Phase = Phase::new("copy");
/// Writing what is needed of half-used packs into new ones.
pub const REPACK: Phase = Phase::new("repack");
