//! The repository format: bytes to values and back, one file a kind of object.
//!
//! Everything here is a pure function of its input. Nothing panics on data: integer arithmetic is
//! checked, slices are taken with `get`, and nothing is allocated by a number that was not compared
//! with the bytes really present.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

pub mod attachment_list;
pub mod blob;
mod bytes;
pub mod canonical_json;
pub mod config;
pub mod extras;
pub mod id;
pub mod index;
mod json_object;
pub mod lock;
pub mod manifest;
pub mod pack;
pub mod page_hash;
pub mod page_map;
pub mod page_size;
pub mod path;
pub mod stats;
pub mod sums;
mod table;
pub mod verified;
pub mod zstd_frame;

/// The highest `min_reader_version` that this program reads (`docs/format.md` §1 and §9).
pub const READER_VERSION: u64 = 4;

/// Why bytes are not the object they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end before the object does.
    #[error("{object} is cut short: {needed} bytes needed, {present} present")]
    Truncated {
        /// What was being decoded.
        object: &'static str,
        /// Bytes that the next field needs.
        needed: u64,
        /// Bytes that are left.
        present: u64,
    },
    /// The first bytes are another object's.
    #[error("{object} does not begin with its magic bytes")]
    Magic {
        /// What was being decoded.
        object: &'static str,
    },
    /// A version that this program does not know.
    #[error("{object} has version {found}, which this program does not know")]
    Version {
        /// What was being decoded.
        object: &'static str,
        /// The version found.
        found: u64,
    },
    /// The checksum inside the object does not match its bytes.
    #[error("{object} does not match its own checksum")]
    Checksum {
        /// What was being decoded.
        object: &'static str,
    },
    /// A field that breaks a rule of the format.
    #[error("{object} is invalid: {reason}")]
    Invalid {
        /// What was being decoded.
        object: &'static str,
        /// The rule that is broken.
        reason: String,
    },
    /// An encrypted object, which the format knows and this program does not read.
    #[error("{object} is encrypted, which is not supported yet")]
    Encrypted {
        /// What was being decoded.
        object: &'static str,
    },
}

impl DecodeError {
    pub(crate) fn invalid(object: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { object, reason: reason.into() }
    }
}
