//! `msgvault-verify`: verifies and inspects a repository on any machine, and never writes to it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use clap::{CommandFactory, Parser, Subcommand};
use jiff::Timestamp;
use msgvault_cli::{
    Exit, MemoryArgs, NO_PAGE, Output, OutputArgs, PAGE, Progress, VerifyArgs, VerifyError, check_all,
    check_sums, guarded, print_details, print_overview, print_report, resolve_scope, with_jobs,
};
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::DirectoryStore;
use msgvault_verifier::verify::rolling::last_verified;
use msgvault_verifier::{Ruzstd, inspect};

/// Verify a msgvault backup repository, wherever it lies
///
/// Reads every blob that the snapshot needs and checks it against its hash. Writes nothing, takes no lock and
/// needs no installation: a repository on a read-only medium or on a copy is as good.
#[derive(Parser)]
#[command(name = "msgvault-verify", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The repository's folder
    #[arg(value_name = "REPO")]
    repo: Option<PathBuf>,
    #[command(flatten)]
    verify: VerifyArgs,
    /// Write the page that verifies a repository in a browser to FILE, and do nothing else
    #[arg(long, value_name = "FILE", exclusive = true)]
    write_page: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Show what is in a repository or in one snapshot
    Inspect {
        /// The repository's folder
        #[arg(value_name = "REPO")]
        repo: PathBuf,
        /// A snapshot ID, the beginning of one, or `latest`
        #[arg(value_name = "SNAPSHOT")]
        snapshot: Option<String>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let output = Output::new("msgvault-verify", cli.output, no_color);
    if let Some(file) = cli.write_page {
        return write_page(&output, &file).into();
    }
    let work = || match (cli.command, cli.repo) {
        (Some(Command::Inspect { repo, snapshot }), _) => inspect(&output, repo, snapshot.as_deref()),
        (None, Some(repo)) => verify(&output, repo, &cli.verify),
        (None, None) => {
            let missing = clap::error::ErrorKind::MissingRequiredArgument;
            Cli::command().error(missing, "the repository's folder is missing").exit();
        }
    };
    guarded(&output, work).into()
}

fn verify(output: &Output, repo: PathBuf, args: &VerifyArgs) -> Exit {
    let stop = AtomicBool::new(false);
    let progress = Progress::new(output, &stop);
    let run = || -> Result<Exit, VerifyError> {
        let repository = open(repo, args.memory)?;
        for lock in inspect::locks(repository.store()).iter().filter(|lock| lock.exclusive) {
            let host = lock.hostname.as_deref().unwrap_or("an unknown host");
            output.warn(&format!(
                "{host} may be writing a backup now; snapshots that exist are not touched by it"
            ));
        }
        let report = if args.sums {
            check_sums(&repository, &progress)
        } else {
            check_all(&repository, &resolve_scope(&repository, args)?, args.depth(), &progress)
        };
        progress.finish();
        print_report(output, &report)
    };
    with_jobs(args.threads.jobs, run).and_then(|done| done).unwrap_or_else(|error| {
        progress.finish();
        output.failure(error.exit(), &error)
    })
}

fn inspect(output: &Output, repo: PathBuf, snapshot: Option<&str>) -> Exit {
    let run = || -> Result<Exit, VerifyError> {
        let repository = open(repo, MemoryArgs::default())?;
        let known = last_verified(repository.store(), now());
        let Some(snapshot) = snapshot else {
            let mut overview = inspect::overview_with_space(&repository)
                .map_err(msgvault_verifier::repository::SelectError::from)?;
            overview.tell_verified(&known);
            return Ok(print_overview(output, &overview)?);
        };
        let id = repository.select(snapshot)?;
        match inspect::details(&repository, &id) {
            Ok(mut details) => {
                details.summary.tell_verified(&known);
                print_details(output, &details).map(|()| Exit::Done).map_err(VerifyError::from)
            }
            Err(error) => Ok(output.failure(Exit::of_snapshot(&error), &error)),
        }
    };
    run().unwrap_or_else(|error| output.failure(error.exit(), &error))
}

/// The time now; 1970, when nothing was verified yet, where the clock is set before that.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let milliseconds = i64::try_from(since.as_millis()).ok();
    milliseconds.and_then(|time| Timestamp::from_millisecond(time).ok()).unwrap_or_default()
}

fn write_page(output: &Output, file: &Path) -> Exit {
    let Some(page) = PAGE else {
        return output.failure(Exit::Failed, &NO_PAGE);
    };
    match std::fs::write(file, page) {
        Ok(()) => Exit::Done,
        Err(error) => output.failure(Exit::Failed, &format!("{} cannot be written: {error}", file.display())),
    }
}

fn open(folder: PathBuf, memory: MemoryArgs) -> Result<Repository, VerifyError> {
    Ok(Repository::open_within(DirectoryStore::new(folder), Ruzstd, memory.memory())?)
}
