//! Tests that take too long to run every day: many days in the life of a large archive, and many kills.

use std::io::{self, stdout};

use clap::Parser;
use msgvault_tests::days::every_day_comes_back;
use msgvault_tests::kills::{killed_creates, killed_restores};
use msgvault_tests::sample::Options;
use msgvault_verifier::text::parse_bytes;

/// Back up an archive day after day and restore every day, then kill backups and restores; end with an error
/// at the first difference.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Approximate bytes of database and attachments on the first day; K, M and G are powers of 1024
    #[arg(default_value = "100M", value_parser = parse_bytes)]
    size: u64,
    /// Number of days; at least two, so that there is a delta
    #[arg(default_value_t = 40, value_parser = clap::value_parser!(u32).range(2..))]
    days: u32,
    /// Page size of the database
    #[arg(default_value_t = 4096)]
    page_size: u32,
    /// Number of backups to kill, and of restores, of an archive of 100 MB or less
    #[arg(default_value_t = 50)]
    kills: u32,
}

fn main() -> io::Result<()> {
    let Cli { size, days, page_size, kills } = Cli::parse();
    let options = Options { size, page_size, ..Options::default() };
    every_day_comes_back(&options, days, &mut stdout())?;
    // For kills it is enough that every phase takes a while.
    let options = Options { size: size.min(100 << 20), ..options };
    killed_creates(&options, kills, &mut stdout())?;
    killed_restores(&options, kills, &mut stdout())
}
