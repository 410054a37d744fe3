//! The writing side of a repository: making one, locking it, and putting files into it so that a crash at any
//! moment leaves a repository that verifies.

pub mod fetch;
pub(crate) mod files;
pub mod init;
pub mod lock;
pub(crate) mod medium_time;
pub(crate) mod overlay;
pub mod pack_writer;
mod probe;
pub mod publish;
pub mod rebuild_index;
pub(crate) mod reindex;
pub mod sums;
pub mod verified;
pub mod write_index;
