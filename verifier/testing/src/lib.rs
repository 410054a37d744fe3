//! What tests share: repositories made by hand, and faults put where a test wants them.
//!
//! Integration tests of any crate use it, and unit tests of those that build upon the verifier; in a unit
//! test of the verifier itself its types would be those of another copy of the crate.

#![allow(clippy::missing_panics_doc, reason = "whatever fails here fails the test that asked for it")]

mod faults;
mod forge;
mod frames;
mod report;

pub use faults::FailAt;
pub use forge::{Forge, Page, page, run, size};
pub use frames::{Part, Unfolding};
pub use report::{codes, verify};
