//! Sample archives: a believable msgvault home of any size, made from a seed, and days of change applied to
//! it.
//!
//! The same options give the same rows, the same attachment bytes and the same database pages on every
//! machine: nothing here reads a clock or asks the system for random numbers.
//!
//! ```no_run
//! use msgvault_tests::sample::{Churn, Options, churn, make};
//! # fn main() -> Result<(), msgvault_tests::sample::SampleError> {
//! let home = std::path::Path::new("/tmp/home");
//! make(home, &Options { size: 100 << 20, ..Options::default() })?;
//! churn(home, &Churn { day: 1, ..Churn::default() })?;
//! # Ok(())
//! # }
//! ```

mod attach;
mod churn;
mod content;
mod digest;
mod error;
mod home;
mod mail;
mod make;
mod packed;
mod rng;
mod schema;
mod store;
mod summary;
#[cfg(test)]
mod tests;
mod text;

pub use churn::{Churn, churn};
pub use digest::{file_digest, row_digest, tree_digest};
pub use error::SampleError;
pub use make::{Options, make};
pub use summary::Summary;

/// What the functions of this module return.
pub type Result<T> = std::result::Result<T, SampleError>;

/// A count as `SQLite` stores integers.
fn sql_int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
