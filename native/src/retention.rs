//! Letting go of snapshots: forget, unforget, hold.
//!
//! ```text
//! manifests, holds -> candidates -> rules, guards -> what goes -> record -> trash, newest first
//! ```
//!
//! A forgotten snapshot's manifest waits in `trash/snapshots/`; everything else stays where it is until
//! a prune finds that nothing needs it any more. No listed snapshot ever lacks an ancestor.

mod facts;
mod forecast;
mod forget;
mod hold;
mod record;
pub mod rules;
mod stats;
mod trash;
mod unforget;

use std::io;

use msgvault_verifier::format::id::SnapshotId;
use msgvault_verifier::repository::OpenError;
use msgvault_verifier::snapshot::SnapshotError;
use msgvault_verifier::store::StoreError;

use crate::repo::lock::LockError;
use crate::repo::publish::PublishError;
use crate::repo::sums::SumsError;

pub use forecast::Forecast;
pub use forget::{ForgetReport, ForgetRequest, JudgedSnapshot, What, forget};
pub(crate) use hold::Holds;
pub use hold::{hold, unhold};
pub use record::condemned_packs;
pub(crate) use record::{Condemned, LetGo, Pruned, let_go, newest_prune, record_following, record_prune};
pub use stats::{NamedAttachment, SnapshotStats, Stats, stats};
use trash::TRASH;
pub(crate) use trash::{forgotten_manifests, to_trash};
pub use unforget::{UnforgetReport, is_forgotten, unforget};

/// Why nothing was let go, or taken back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetentionError {
    /// The lock is lost.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The repository cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A manifest cannot be read, so that nobody knows what it needs.
    #[error("{0}; nothing was forgotten, since nobody knows which snapshots it needs")]
    Manifest(#[from] SnapshotError),
    /// A folder cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The repository cannot be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The sums cannot be written.
    #[error(transparent)]
    Sums(#[from] SumsError),
    /// A snapshot that was named stays.
    #[error("snapshot {id} stays: {reason}; nothing was forgotten")]
    Kept {
        /// Which.
        id: SnapshotId,
        /// Why, and what to do about it.
        reason: String,
    },
    /// Nothing forgotten has the name.
    #[error("no forgotten snapshot begins with {wanted:?}{}", listed(there))]
    NotInTrash {
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: Vec<SnapshotId>,
    },
    /// Several forgotten ones have it.
    #[error("several forgotten snapshots begin with {wanted:?}; give more of the name")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
    },
    /// What a forgotten snapshot needs is gone.
    #[error("snapshot {id} cannot be taken back: {reason}; it stays in {TRASH}")]
    Gone {
        /// Which.
        id: SnapshotId,
        /// What is missing.
        reason: String,
    },
    /// The user stopped it.
    #[error("interrupted; nothing was changed")]
    Cancelled,
    /// A record cannot be put into words.
    #[error("a record cannot be written: {0}")]
    Record(io::Error),
}

impl RetentionError {
    fn unwritable(error: serde_json::Error) -> Self {
        Self::Record(error.into())
    }
}

fn listed(there: &[SnapshotId]) -> String {
    let names: Vec<&str> = there.iter().map(SnapshotId::as_str).collect();
    if names.is_empty() { "; there is none".to_owned() } else { format!("; there are {}", names.join(", ")) }
}
