//! The host side of msgvault: what captures, restores and serves an archive.

pub mod archive;
pub mod cli;
pub mod context;
pub mod create;
pub mod daemon;
pub mod decompress;
pub mod freeze;
pub mod home;
pub mod phase;
pub mod platform;
pub mod repo;
pub mod restore;
