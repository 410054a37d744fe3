//! The verifier in a browser: the same code as everywhere, over files that a person dropped on a page.
//!
//! Everything here runs inside Workers, where files can be read synchronously. One Worker holds a
//! `PageSession`: it opens the repository, makes the plan, joins the results and looks things up. The others
//! hold a `PackChecker` each and check one pack after another. They exchange text, whose types the page's
//! tests compare with the page's.

mod changes;
mod checker;
mod database;
mod digests;
mod failure;
mod packs;
mod read_ahead;
mod session;
mod store;
mod text;

pub use checker::PackChecker;
pub use session::PageSession;
pub use store::ChosenFiles;
pub use text::{escape, human_bytes, problem_meanings, version};
