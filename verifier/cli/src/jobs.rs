//! How many threads work.

use clap::Args;
use clap::builder::RangedU64ValueParser;

/// More read no faster from any disk, and every thread costs memory.
const MOST: u64 = 256;

/// The option on threads that every command has that uses some.
#[derive(Debug, Clone, Copy, Args)]
pub struct JobsArgs {
    /// Threads that work at the same time, 256 at most; 0 is one a CPU, 1 never reads two files at once
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(..=MOST))]
    pub jobs: usize,
}
