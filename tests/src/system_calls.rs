//! Faults of system calls, injected by `strace` into programs that run as they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::programs::{Outcome, run};

/// The calls that fail in the field, and how.
const ERRORS: [(&str, &[&str]); 22] = [
    ("openat", &["EACCES", "EMFILE", "EIO", "ENOMEM"]),
    ("openat2", &["EACCES", "EMFILE", "EIO"]),
    ("read", &["EIO", "EINTR"]),
    ("pread64", &["EIO", "EINTR"]),
    ("write", &["EIO", "ENOSPC", "EDQUOT", "EINTR"]),
    ("pwrite64", &["EIO", "ENOSPC", "EINTR"]),
    ("fsync", &["EIO", "ENOSPC"]),
    ("fdatasync", &["EIO"]),
    ("syncfs", &["EIO"]),
    ("rename", &["EIO", "EACCES", "ENOSPC"]),
    ("renameat", &["EIO", "EACCES", "ENOSPC"]),
    ("renameat2", &["EIO", "EACCES", "ENOSPC", "EINVAL"]),
    ("linkat", &["EIO", "EPERM"]),
    ("unlink", &["EIO", "EACCES"]),
    ("unlinkat", &["EIO", "EACCES"]),
    ("mkdir", &["EACCES", "ENOSPC"]),
    ("mkdirat", &["EACCES", "ENOSPC"]),
    ("ftruncate", &["EIO", "ENOSPC"]),
    ("statx", &["EIO", "EACCES"]),
    ("getdents64", &["EIO"]),
    ("fcntl", &["ENOLCK", "EINTR"]),
    ("clone3", &["EAGAIN"]),
];

/// Seconds after which a program is taken to hang.
const PATIENCE: &str = "60";

/// An error of the `at`th call of a thread, from 1, and perhaps of all later ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallFault {
    /// The system call.
    pub call: &'static str,
    /// What it returns.
    pub error: &'static str,
    /// Which call.
    pub at: usize,
    /// Whether the fault stays.
    pub stays: bool,
}

/// Says why faults cannot be injected here, if they cannot.
///
/// # Errors
///
/// When `strace` is missing, or may not trace.
pub fn is_possible() -> Result<(), String> {
    let (trace, inject) = ("trace=openat", "inject=openat:error=EIO:when=1000");
    let args = ["-f", "-qqq", "--seccomp-bpf", "-o", "/dev/null", "-e", trace, "-e", inject, "--", "true"];
    match Command::new("strace").args(args).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("strace: {error}")),
    }
}

/// How often each call is made by the thread that makes it most often; `log` is a file for notes.
///
/// # Panics
///
/// When the command does not succeed.
pub fn count(command: &Command, log: &Path) -> BTreeMap<&'static str, usize> {
    let names: Vec<&str> = ERRORS.iter().map(|(name, _)| *name).collect();
    let trace = format!("trace={}", names.join(","));
    let _ = run(&mut traced(command, log, &["-e", &trace])).done();
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for line in fs::read_to_string(log).expect("the notes of strace").lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let call = rest.trim_start().split('(').next().unwrap_or_default();
        if let Some(name) = names.iter().find(|name| **name == call) {
            *counts.entry((thread.to_owned(), name)).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((_, name), count) in counts {
        let known: &mut usize = most.entry(name).or_default();
        *known = count.max(*known);
    }
    most
}

/// All faults of calls that are made so often, at every place or at the first, the last and two between them.
pub fn faults(counts: &BTreeMap<&'static str, usize>, all: bool) -> Vec<CallFault> {
    let mut found = Vec::new();
    for (call, errors) in ERRORS {
        let Some(count) = counts.get(call).copied() else { continue };
        let places = if all { (1..=count).collect() } else { vec![1, count / 3, count * 2 / 3, count] };
        for error in errors {
            for &at in places.iter().filter(|at| **at > 0) {
                // A program goes on after EINTR, with the same call.
                let both: &[bool] = if *error == "EINTR" { &[false] } else { &[false, true] };
                found.extend(both.iter().map(|&stays| CallFault { call, error, at, stays }));
            }
        }
    }
    found.dedup();
    found
}

/// Runs a command with a fault; exit code 124 means that it hangs.
///
/// # Panics
///
/// When it cannot be started.
pub fn run_with(command: &Command, fault: &CallFault, log: &Path) -> Outcome {
    let CallFault { call, error, at, stays } = fault;
    let stays = if *stays { "+" } else { "" };
    let trace = format!("trace={call}");
    let inject = format!("inject={call}:error={error}:when={at}{stays}");
    run(&mut traced(command, log, &["-e", &trace, "-e", &inject]))
}

fn traced(command: &Command, log: &Path, options: &[&str]) -> Command {
    let mut traced = Command::new("timeout");
    traced.args([PATIENCE, "strace", "-f", "-qqq", "--seccomp-bpf", "-o"]).arg(log).args(options);
    // The libraries of the build, in which the system would look for its own.
    traced.env_remove("LD_LIBRARY_PATH");
    traced.arg("--").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    traced
}
