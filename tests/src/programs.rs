//! The programs under test, run as a user runs them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// What a program did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The exit code; -1 if a signal ended the program.
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

/// The environment variable that names a folder of programs that were just built, so that a test need not
/// build them.
pub const BUILT: &str = "MSGVAULT_PROGRAMS_BUILT";

/// A program of the workspace, built from the sources as they are now.
///
/// # Panics
///
/// If it cannot be built, or there is none of that name.
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let beside = beside_this_program();
        // Tests are one folder below the programs that they run; a program is next to the others, built with
        // them.
        let Some(folder) = beside.parent().filter(|_| beside.ends_with("deps")) else { return beside };
        if env::var_os(BUILT).is_none_or(|built| built != folder.as_os_str()) {
            build(folder);
        }
        folder.to_owned()
    });
    let path = folder.join(format!("{name}{}", env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "there is no program {}", path.display());
    path
}

/// The folder of the running program.
///
/// # Panics
///
/// When the system does not know it.
pub fn beside_this_program() -> PathBuf {
    env::current_exe().expect("the path of this program").parent().expect("its folder").to_owned()
}

/// Builds all programs of the workspace into `folder`, which the build of the tests created: `target/debug`,
/// `target/release`, or with `--target` such a folder below the target's own.
///
/// # Panics
///
/// When they cannot be built.
pub fn build(folder: &Path) {
    let [profile, above] = [folder.file_name(), folder.parent().and_then(Path::file_name)]
        .map(|name| name.unwrap_or_default().to_string_lossy());
    let profile = if profile == "debug" { "dev" } else { &*profile };
    let mut target_folder = folder.parent().expect("a folder of the build");
    // With the same features as the build of the tests, so that nothing is built twice.
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--quiet", "--workspace", "--bins", "--profile", profile]);
    if !target_folder.join("CACHEDIR.TAG").is_file() {
        cargo.args(["--target", &above]);
        target_folder = target_folder.parent().expect("the folder of the whole build");
    }
    let built = cargo.arg("--target-dir").arg(target_folder).status().expect("cargo can be started");
    assert!(built.success(), "the programs under test cannot be built: {cargo:?}");
}

/// What a program does by default when its terminal goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUp {
    /// It ends.
    Ends,
    /// Nothing, as after `nohup`.
    Ignored,
}

/// Starts a program of the workspace so that it is signalled when its terminal goes away, or is not, however
/// the tests themselves were started.
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
