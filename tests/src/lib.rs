//! Sample archives and the tools that the end-to-end tests share.

pub mod damage;
pub mod days;
pub mod fixtures;
pub mod go_reader;
pub mod go_stand_in;
pub mod kills;
pub mod network;
pub mod overwriting;
pub mod passing_days;
pub mod programs;
pub mod raw_http;
pub mod sample;
pub mod scene;
pub mod schema;
pub mod serve;
pub mod system_calls;
pub mod transcript;
pub mod tree;
