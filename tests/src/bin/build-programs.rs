//! Builds the programs that tests run, and tells nextest, whose set-up script this is, that they are built.
//! Under nextest every test is a process of its own, and each would call cargo again.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Write};

use msgvault_tests::programs::{BUILT, beside_this_program, build};

fn main() -> io::Result<()> {
    let folder = beside_this_program();
    build(&folder);
    let Some(told) = env::var_os("NEXTEST_ENV") else { return Ok(()) };
    writeln!(OpenOptions::new().append(true).open(told)?, "{BUILT}={}", folder.display())
}
