//! The programs under test, run as a user runs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a program did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// The JSON document on standard output.
    ///
    /// # Panics
    ///
    /// When standard output is not exactly one JSON document.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that it succeeded.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[must_use]
    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A program of the workspace, which the test command has built before.
///
/// # Panics
///
/// When it was not built.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let folder = test.parent().expect("its folder");
    // Tests lie one folder below the programs, benchmarks beside them.
    let folder = if folder.ends_with("deps") { folder.parent().expect("the folder above") } else { folder };
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "{} is not built: run `cargo build --workspace` first", path.display());
    path
}

/// What a program does about the end of its terminal, unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUp {
    /// It ends.
    Ends,
    /// Nothing, as after `nohup`.
    Ignored,
}

/// Starts a program of the workspace so that it is told about the end of its terminal, or is not, however the
/// tests were started.
pub fn with_hang_up(hang_up: HangUp, name: &str) -> Command {
    let mut command = Command::new("env");
    let option = match hang_up {
        HangUp::Ends => "--default-signal=HUP",
        HangUp::Ignored => "--ignore-signal=HUP",
    };
    command.arg(option).arg(program(name));
    alone(command)
}

/// `msgvault` with an environment of its own.
pub fn msgvault() -> Command {
    alone(Command::new(program("msgvault")))
}

fn alone(mut command: Command) -> Command {
    for name in ["MSGVAULT_HOME", "MSGVAULT_REPO", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent");
    command
}

/// Runs a command to its end.
///
/// # Panics
///
/// When it cannot be started.
pub fn run(command: &mut Command) -> Outcome {
    command.output().expect("the program can be started").into()
}

/// Runs `msgvault backup …` on a repository.
pub fn backup<I, S>(repo: &Path, args: I) -> Outcome
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    run(msgvault().arg("backup").arg("--repo").arg(repo).args(args))
}

/// Runs `msgvault-verify REPO …`.
pub fn verify<I, S>(repo: &Path, args: I) -> Outcome
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    run(Command::new(program("msgvault-verify")).arg(repo).args(args))
}
