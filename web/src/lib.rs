//! The verifier in a browser: the same code as everywhere, over files that a person dropped on a page.
//!
//! Everything here runs inside Workers, where files can be read at once. One Worker holds a `Session`: it
//! opens the repository, makes the plan, joins the results and looks things up. The others hold a `Checker`
//! each and check one pack after another. What goes between them is text; its types are checked against the
//! page's by the page's tests.

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
