//! Reads and verifies msgvault backup repositories, in Rust alone.
//!
//! There is one definition of the repository format, and it is here: `format` turns bytes into values and
//! back. Everything else reads: a `Store` of files becomes a `Repository`, a manifest in it a `Snapshot`, and
//! `verify` says whether one can be trusted. Nothing here prints, asks for the time, or starts a thread.

#![forbid(unsafe_code)]

pub mod format;
mod observer;
pub mod store;

pub use observer::{Observer, Phase};
mod decompress;
mod pack;
pub mod repository;

pub use decompress::{Decompressor, Ruzstd};
pub use pack::{FrameError, Pack, PackError, PackReader};
pub mod inspect;
pub mod snapshot;
pub mod text;
pub mod verify;
