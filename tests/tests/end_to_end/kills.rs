//! Killed from outside at any time, a backup leaves a repository that verifies, and a restore leaves the old
//! database or the new one.

use std::io;

use msgvault_tests::kills::{killed_creates, killed_restores};
use msgvault_tests::sample::Options;

const KILLS: u32 = 10;

fn options() -> Options {
    Options { size: 20 << 20, ..Options::default() }
}

#[test]
fn a_backup_killed_from_outside_leaves_a_repository_that_verifies() {
    killed_creates(&options(), KILLS, &mut io::sink()).unwrap();
}

#[test]
fn a_restore_killed_from_outside_leaves_one_whole_database() {
    killed_restores(&options(), KILLS, &mut io::sink()).unwrap();
}
