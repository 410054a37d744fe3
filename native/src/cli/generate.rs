//! Completions and manual page, from the one definition of the command line.

use std::io::{self, Write};

use clap::Command;
use clap_complete::Shell;
use msgvault_cli::Exit;

use super::failure::Failure;

/// Prints a completion script.
pub(super) fn completions(shell: Shell, command: &mut Command) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "msgvault", &mut script);
    print(&script)
}

/// Prints the manual: a page for the program, and one for every command below it.
pub(super) fn man(command: &Command) -> Result<Exit, Failure> {
    let mut pages = Vec::new();
    render(command.clone(), &mut pages)?;
    print(&pages)
}

fn render(mut command: Command, pages: &mut Vec<u8>) -> io::Result<()> {
    command.build();
    clap_mangen::Man::new(command.clone()).render(pages)?;
    let shown = command.get_subcommands().filter(|inner| inner.get_name() != "help" && !inner.is_hide_set());
    for inner in shown {
        let name = format!("{}-{}", command.get_name(), inner.get_name());
        render(inner.clone().name(name), pages)?;
    }
    Ok(())
}

fn print(bytes: &[u8]) -> Result<Exit, Failure> {
    match io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Exit::Done),
    }
}
