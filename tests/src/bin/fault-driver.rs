//! `msgvault` with a fault where the caller says.
//!
//! `fault-driver kill N ARGUMENTS…` is ended by `SIGKILL` at the N-th durable step of the run. `fault-driver
//! full N …` and `fault-driver broken N …` are told there that the disk is full or broken. `interrupt`,
//! `terminate` and `hang-up` send the signals that a user sends, the last one twice. `pause` stops the run there until
//! it is sent `SIGCONT`, and `panic` panics. `fault-driver count 0 …` injects no fault and writes each step that it
//! reached to standard error, on a line of its own after the word `step`.

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let grief = arguments.next().unwrap_or_default().into_string().unwrap_or_default();
    let at = arguments.next().and_then(|text| text.into_string().ok()).and_then(|text| text.parse().ok());
    let Some(at): Option<u64> = at else {
        eprintln!(
            "usage: fault-driver kill|pause|interrupt|terminate|hang-up|panic|full|broken|count N ARGUMENTS…"
        );
        return ExitCode::from(2);
    };
    let reached = AtomicU64::new(0);
    let point = |step: &'static str| -> io::Result<()> {
        let number = reached.fetch_add(1, Ordering::Relaxed) + 1;
        match grief.as_str() {
            "count" => eprintln!("step {step}"),
            _ if number != at => {}
            "kill" => kill_process(getpid(), Signal::KILL)?,
            "pause" => kill_process(getpid(), Signal::STOP)?,
            "interrupt" => kill_process(getpid(), Signal::INT)?,
            "terminate" => kill_process(getpid(), Signal::TERM)?,
            "hang-up" => {
                kill_process(getpid(), Signal::HUP)?;
                kill_process(getpid(), Signal::HUP)?;
            }
            "panic" => panic!("on purpose"),
            "full" => return Err(Errno::NOSPC.into()),
            _ => return Err(Errno::IO.into()),
        }
        Ok(())
    };
    msgvault::cli::run(std::iter::once(name).chain(arguments), &point)
}
