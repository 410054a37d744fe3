//! Creates sample archives, and lets days pass in them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use msgvault_tests::sample::{self, Churn, Options, SampleError, Summary};
use msgvault_verifier::text::parse_bytes;

/// Create believable msgvault archives from a seed.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create an archive in a directory that holds none yet
    Make(Make),
    /// Apply one day of change to an archive
    Churn(Change),
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one for each flag")]
struct Make {
    /// The home to create
    dir: PathBuf,
    /// The seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Approximate bytes of database and attachments; K, M and G are powers of 1024
    #[arg(long, default_value = "1M", value_parser = parse_bytes)]
    size: u64,
    /// Page size of the database
    #[arg(long, default_value_t = 4096)]
    page_size: u32,
    /// Exact number of messages
    #[arg(long)]
    messages: Option<u64>,
    /// Exact number of distinct attachment contents
    #[arg(long)]
    attachments: Option<u64>,
    /// Exact number of rows in the attachment table
    #[arg(long)]
    attachment_rows: Option<u64>,
    /// Record some attachments below synctech-sms/
    #[arg(long)]
    namespaced: bool,
    /// Keep half of the attachments in packs
    #[arg(long)]
    packed: bool,
    /// Record a size in every attachment row
    #[arg(long)]
    no_null_sizes: bool,
    /// Leave out attachment rows that have no content
    #[arg(long)]
    no_odd_rows: bool,
    /// Add config.toml, a client secret and tokens
    #[arg(long)]
    secrets: bool,
    /// Add files that a backup leaves out
    #[arg(long)]
    derived_state: bool,
    /// Add a table of 100 accounts with a balance of 1000 each
    #[arg(long)]
    ledger: bool,
    /// Create an empty database of one page
    #[arg(long)]
    single_page: bool,
    /// Day of the first message
    #[arg(long, default_value = "2012-03-01")]
    start: String,
}

#[derive(Debug, Args)]
struct Change {
    /// The home to change
    dir: PathBuf,
    /// Together with the day, the seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Which day it is
    #[arg(long)]
    day: u32,
    /// New messages, in percent
    #[arg(long, default_value_t = 2)]
    grow: u64,
    /// Deleted messages, in percent
    #[arg(long, default_value_t = 1)]
    shrink: u64,
    /// Changed messages, in percent
    #[arg(long, default_value_t = 2)]
    update: u64,
    /// Deleted attachment rows, in percent
    #[arg(long, default_value_t = 0)]
    remove_attachments: u64,
    /// Add no attachments with new messages
    #[arg(long)]
    no_attachments: bool,
    /// Rebuild the database file
    #[arg(long)]
    vacuum: bool,
    /// Rebuild the database file with this page size
    #[arg(long)]
    page_size: Option<u32>,
    /// Leave the changes in the WAL
    #[arg(long)]
    no_checkpoint: bool,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sample-archive: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<Summary, SampleError> {
    match command {
        Command::Make(make) => sample::make(&make.dir.clone(), &make.into()),
        Command::Churn(change) => sample::churn(&change.dir.clone(), &change.into()),
    }
}

impl From<Make> for Options {
    fn from(make: Make) -> Self {
        Self {
            seed: make.seed,
            size: make.size,
            page_size: make.page_size,
            messages: make.messages,
            attachments: make.attachments,
            attachment_rows: make.attachment_rows,
            namespaced: make.namespaced,
            packed: make.packed,
            null_sizes: !make.no_null_sizes,
            rows_without_content: !make.no_odd_rows,
            secrets: make.secrets,
            derived_state: make.derived_state,
            ledger: make.ledger,
            single_page: make.single_page,
            start: make.start,
        }
    }
}

impl From<Change> for Churn {
    fn from(change: Change) -> Self {
        Self {
            seed: change.seed,
            day: change.day,
            grow: change.grow,
            shrink: change.shrink,
            update: change.update,
            remove_attachments: change.remove_attachments,
            attachments: !change.no_attachments,
            vacuum: change.vacuum,
            page_size: change.page_size,
            checkpoint: !change.no_checkpoint,
        }
    }
}
