//! The live archive: its database pinned for a scan, what the schema tells, and the attachments' bytes.

mod compressed;
pub mod content;
pub mod content_table;
mod documents;
pub mod names;
pub mod pack_index;
pub mod place;
pub mod schema;
pub mod session;
pub mod soundness;
mod sql_text;
mod tables;
pub mod temporary;
pub mod users;

#[cfg(test)]
pub(crate) mod samples;
