//! `msgvault`: backups of a msgvault archive.

use std::process::ExitCode;

fn main() -> ExitCode {
    msgvault::cli::run()
}
