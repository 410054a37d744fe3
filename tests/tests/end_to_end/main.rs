//! Stories of users, told by the programs as users run them: one program of tests, so that one is linked.
//!
//! `memory` is a program of its own, because what it counts is the heap of a whole process.

mod bad_input;
mod crash;
mod daemon_backup;
mod daemon_client;
mod daemon_containers;
mod daemon_hosts;
mod daemon_life;
mod daemon_requests;
mod daemon_transcript;
mod damage;
mod days;
mod documents;
mod fixtures;
mod interchange;
mod kills;
mod restore;
mod static_verifier;
mod writers;
