//! The host side of msgvault: what captures, restores and serves an archive.

pub mod archive;
pub mod cli;
pub mod copy;
pub mod create;
pub mod decompress;
mod free_space;
pub mod home;
pub mod mend;
mod path_text;
pub mod phase;
pub mod prune;
pub mod repo;
pub mod restore;
pub mod retention;
