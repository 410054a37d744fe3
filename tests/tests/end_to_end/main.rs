//! What users do, done with the programs as users run them. All in one test program, so that only one is
//! linked.
//!
//! `memory` is a program of its own, because what it counts is the heap of a whole process.

mod architecture;
mod bad_input;
mod commands_in_docs;
mod copy;
mod crash;
mod daemon_backup;
mod daemon_client;
mod daemon_containers;
mod daemon_hosts;
mod daemon_life;
mod daemon_requests;
mod daemon_transcript;
mod damage;
mod database_check;
mod days;
mod documents;
mod fixtures;
mod forged_times;
mod go_retention;
mod interchange;
mod kills;
mod locks;
mod medium;
#[cfg(unix)]
mod ownership;
mod quiet_and_verbose;
mod random_lives;
mod read_only_home;
mod repair;
mod repair_from_copy;
mod repair_from_live;
mod restore;
mod retention;
mod rolling;
mod shrink_alarm;
mod space;
mod static_verifier;
mod stats;
mod sums;
mod system_calls;
mod telling;
mod two_hosts;
mod writers;
