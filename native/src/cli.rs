//! The command line of `msgvault`: flags in, text or JSON out. Nothing else prints, and only here are the
//! environment, the clock and the signals asked.

mod backup;
mod daemon;
mod environment;
mod failure;
mod generate;
mod serve;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use msgvault_cli::{Exit, Output, OutputArgs, guarded};

use crate::home::Home;

use environment::Machine;
use failure::Failure;

/// Incremental, verifiable backups of a msgvault archive
#[derive(Parser)]
#[command(name = "msgvault", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Where the archive and the repository are.
#[derive(clap::Args)]
struct PlaceArgs {
    /// The archive home [default: `MSGVAULT_HOME`, else ~/.msgvault]
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,
    /// The configuration [default: config.toml in the archive home]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The backup repository [default: `MSGVAULT_REPO`, else [backup] repo of the configuration]
    #[arg(long, global = true, value_name = "DIR")]
    repo: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Make, list, verify and restore backups
    #[command(subcommand)]
    Backup(backup::BackupCommand),
    /// Own the archive home: let backups freeze it, and make them when they are due
    Serve(serve::ServeArgs),
    /// Ask about the daemon that runs, or end it
    #[command(subcommand)]
    Daemon(daemon::DaemonCommand),
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// What every command is given.
struct Invocation<'p> {
    place: PlaceArgs,
    output: Output,
    machine: Machine<'p>,
}

/// What happens when a run reaches a durable step; an error is handled as the system's own.
pub type Point<'p> = dyn Fn(&'static str) -> io::Result<()> + Sync + 'p;

/// Runs the program with these arguments, the first of which is its name.
///
/// `point` is called at every durable step: nothing happens there but in tests, which stop or fail a run.
pub fn run(arguments: impl IntoIterator<Item = OsString>, point: &Point<'_>) -> ExitCode {
    let cli = Cli::parse_from(arguments);
    let machine = Machine::new(point);
    let output = Output::new("msgvault", cli.output, environment::no_color());
    let invocation = Invocation { place: cli.place, output, machine };
    let work = || {
        let done = match cli.command {
            Command::Backup(command) => backup::run(&invocation, command),
            Command::Serve(args) => serve::run(&invocation, &args),
            Command::Daemon(command) => daemon::run(&invocation, &command),
            Command::Completions { shell } => generate::completions(shell, &mut Cli::command()),
            Command::Man => generate::man(&Cli::command()),
        };
        done.unwrap_or_else(|failure| invocation.output.failure(failure.exit, &failure.message))
    };
    guarded(&invocation.output, work).into()
}

impl Invocation<'_> {
    /// Resolves the archive home.
    fn home(&self) -> Result<Home, Failure> {
        let flags = crate::home::Flags { home: self.place.home.clone(), config: self.place.config.clone() };
        Ok(Home::resolve(&flags, &environment::home_environment(), &environment::cwd()?)?)
    }

    /// The repository that is meant, and the home if it had to be asked.
    fn repo(&self) -> Result<PathBuf, Failure> {
        let given = self.place.repo.clone().or_else(environment::repo);
        if let Some(repo) = given.filter(|repo| !repo.as_os_str().is_empty()) {
            return Ok(repo);
        }
        self.home()?.repo.ok_or_else(|| {
            let message = "no repository is named: give --repo DIR, set MSGVAULT_REPO, or write `repo` under [backup] in the home's config.toml";
            Failure { exit: Exit::NoRepository, message: message.to_owned() }
        })
    }
}
