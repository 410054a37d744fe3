//! The command line of `msgvault`: flags in, text or JSON out. Nothing else prints, and only here are the
//! environment, the clock and the signals asked.

mod backup;
mod daemon;
mod environment;
mod failure;
mod generate;
mod serve;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

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
    /// What was explained already: places are resolved where they are needed.
    explained: Mutex<BTreeSet<String>>,
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
    let invocation = Invocation { place: cli.place, output, machine, explained: Mutex::default() };
    let work = || {
        let done = match cli.command {
            Command::Backup(command) => backup::run(&invocation, command),
            Command::Serve(args) => serve::run(&invocation, &args),
            Command::Daemon(command) => daemon::run(&invocation, &command),
            Command::Completions { shell } => generate::completions(shell, &mut Cli::command()),
            Command::Man => generate::man(&Cli::command()),
        };
        done.unwrap_or_else(|failure| {
            invocation.output.failure_of(
                failure.exit,
                &failure.message,
                failure.verdict,
                &failure.attachments,
            )
        })
    };
    guarded(&invocation.output, work).into()
}

impl Invocation<'_> {
    /// Resolves the archive home.
    fn home(&self) -> Result<Home, Failure> {
        let flags = crate::home::Flags { home: self.place.home.clone(), config: self.place.config.clone() };
        let home = Home::resolve(&flags, &environment::home_environment(), &environment::cwd())?;
        self.explain(|| {
            let read = home.config_file.as_ref().map_or_else(
                || "it has no configuration".to_owned(),
                |file| format!("its configuration is {}", file.display()),
            );
            format!("the archive home is {}; {read}", home.home.display())
        });
        Ok(home)
    }

    /// Says something once, if anybody asked to be told.
    fn explain(&self, message: impl FnOnce() -> String) {
        if self.output.explains() {
            let message = message();
            let mut explained = self.explained.lock().unwrap_or_else(PoisonError::into_inner);
            if explained.insert(message.clone()) {
                self.output.explain(&message);
            }
        }
    }

    /// The repository that is meant, and the home if it had to be asked.
    fn repo(&self) -> Result<PathBuf, Failure> {
        let given = self.place.repo.clone().or_else(environment::repo);
        if let Some(repo) = given.filter(|repo| !repo.as_os_str().is_empty()) {
            let named = if self.place.repo.is_some() { "--repo" } else { "MSGVAULT_REPO" };
            self.explain(|| format!("the repository is {}, which {named} names", repo.display()));
            return Ok(repo);
        }
        let repo = self.home()?.repo.ok_or_else(|| {
            let message = "no repository is named: give --repo DIR, set MSGVAULT_REPO, or write `repo` under [backup] in the home's config.toml";
            Failure { exit: Exit::NoRepository, ..Failure::failed(message) }
        })?;
        self.explain(|| format!("the repository is {}, which the configuration names", repo.display()));
        Ok(repo)
    }
}
