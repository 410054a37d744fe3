//! Reads and verifies msgvault backup repositories, in Rust alone.
//!
//! A repository holds snapshots of a mail archive: a SQLite database page by page, attachments, and a few
//! other files, each content once, named by its SHA-256. This crate holds the one definition of its format
//! (`docs/format.md`), makes snapshots whole again, and finds out whether they can be trusted. It contains no
//! C, prints nothing, starts no threads, and runs in a browser as well as on a server.
//!
//! A [`Store`](store::Store) of files and a [`Decompressor`] become a [`Repository`](repository::Repository),
//! a manifest in it a [`Snapshot`](snapshot::Snapshot), and [`verify::verify`] says what is wrong.
//!
//! ```
//! use msgvault_verifier::Ruzstd;
//! use msgvault_verifier::inspect;
//! use msgvault_verifier::repository::Repository;
//! use msgvault_verifier::store::DirectoryStore;
//! use msgvault_verifier::verify::{Depth, Scope, Verdict, verify};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/plain/repo");
//! let repository = Repository::open(DirectoryStore::new(folder), Ruzstd)?;
//!
//! // Reads every blob that the newest snapshot needs. `&()` is an observer that says nothing.
//! let newest = repository.select("latest")?;
//! let report = verify(&repository, &Scope::One(newest.clone()), Depth::Full, &());
//! for problem in &report.problems {
//!     println!("{}: {}", problem.code.as_str(), problem.detail);
//! }
//! assert_eq!(report.verdict, Verdict::Intact);
//!
//! // What the snapshot holds.
//! let details = inspect::details(&repository, &newest)?;
//! println!("{} pages in the database", details.summary.page_count);
//! for file in &details.extras {
//!     println!("{} ({} bytes)", file.path, file.size);
//! }
//! # assert!(!details.extras.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! Everything that is read counts as hostile until it has been checked: decoders never panic, no allocation
//! is sized by an unchecked number, and no byte of a blob counts before its hash has been compared.

#![forbid(unsafe_code)]

mod decompress;
pub mod format;
pub mod inspect;
pub mod length;
mod memory;
mod observer;
mod pack;
pub mod repository;
pub mod shrink;
pub mod snapshot;
pub mod store;
pub mod sums;
pub mod system_names;
pub mod text;
pub mod verify;

pub use decompress::{Decompressor, Ruzstd};
pub use memory::{Memory, TooLargeHere};
pub use observer::{Observer, Phase};
pub use pack::{FrameError, Pack, PackReader, ReadError};
