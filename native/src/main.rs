//! `msgvault`: backups of a msgvault archive.

use std::process::ExitCode;

fn main() -> ExitCode {
    msgvault::cli::run(std::env::args_os(), &|_| Ok(()))
}
