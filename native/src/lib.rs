//! The host side of msgvault: what captures, restores and serves an archive.

pub mod context;
pub mod platform;
pub mod repo;
