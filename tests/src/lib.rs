//! Sample archives and the tools that the end-to-end tests share.

pub mod damage;
pub mod fixtures;
pub mod programs;
pub mod sample;
pub mod scene;
pub mod tree;
