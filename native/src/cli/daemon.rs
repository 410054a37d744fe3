//! `msgvault daemon`: asks about the daemon that runs, and ends it.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use msgvault_cli::Exit;
use msgvault_freeze::client::{Daemon, Health};
use msgvault_verifier::text::escape;
use serde::Serialize;
use serde_json::Value;

use super::Session;
use super::environment::{check_randomness, pause, random};
use super::failure::Failure;

/// A daemon has 5 s for an open freeze, and 30 s for a backup that runs.
const STOP_TIME: Duration = Duration::from_mins(1);
const GLANCE: Duration = Duration::from_millis(50);

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Say whether a daemon runs, what it does, and how scheduled work went
    Status,
    /// End the daemon in order
    Stop,
}

#[derive(Serialize)]
struct Status {
    running: bool,
    pid: Option<u32>,
    version: Option<String>,
    address: Option<String>,
    started_at: Option<String>,
    /// What holds the gate; empty when the daemon does not say.
    busy_with: Option<String>,
    busy_since: Option<String>,
    /// What the daemon says about scheduled work.
    scheduled: Option<Value>,
}

#[derive(Serialize)]
struct Stopped {
    pid: u32,
}

pub(super) fn run(session: &Session<'_>, command: &Command) -> Result<Exit, Failure> {
    let home = session.home()?;
    check_randomness()?;
    match command {
        Command::Status => {
            let daemon = Daemon::find(&home.data_dir, &home.server.api_key, &random)?;
            status(session, daemon.as_ref())
        }
        Command::Stop => {
            let nobody = || Failure::failed(format!("no daemon runs for {}", home.data_dir.display()));
            stop(session, &home.data_dir, &Daemon::find_any(&home.data_dir, &random)?.ok_or_else(nobody)?)
        }
    }
}

fn status(session: &Session<'_>, daemon: Option<&Daemon<'_>>) -> Result<Exit, Failure> {
    let Some(daemon) = daemon else {
        let nothing = Status {
            running: false,
            pid: None,
            version: None,
            address: None,
            started_at: None,
            busy_with: None,
            busy_since: None,
            scheduled: None,
        };
        session.output.result(&nothing, || "no daemon runs".to_owned())?;
        return Ok(Exit::Failed);
    };
    let record = daemon.record().clone();
    let Health { operation, .. } = daemon.health().map_err(Failure::failed)?;
    let status = Status {
        running: true,
        pid: Some(record.pid),
        version: Some(record.version),
        address: Some(record.address),
        started_at: Some(record.started_at),
        busy_with: operation.as_ref().map(|operation| operation.label.clone()),
        busy_since: operation.map(|operation| operation.started_at),
        scheduled: daemon.scheduled().map_err(Failure::failed)?,
    };
    session.output.result(&status, || text(&status))?;
    Ok(Exit::Done)
}

fn text(status: &Status) -> String {
    let shown = |text: &Option<String>| escape(text.as_deref().unwrap_or("?"));
    let mut out = format!(
        "msgvault {} serves as process {} on {} since {}",
        shown(&status.version),
        status.pid.unwrap_or_default(),
        shown(&status.address),
        shown(&status.started_at),
    );
    if status.busy_with.is_some() {
        let label = shown(&status.busy_with);
        let label = if label.is_empty() { "work" } else { &label };
        let _ = write!(out, "\n  busy      {label} since {}", shown(&status.busy_since));
    }
    let jobs = status.scheduled.as_ref().and_then(|scheduled| scheduled["jobs"].as_array());
    for job in jobs.into_iter().flatten() {
        let _ = write!(out, "\n  {}", job_text(job));
    }
    out
}

/// `create    0 3 * * *, next 2026-…, last ok at 2026-…`.
fn job_text(job: &Value) -> String {
    let field = |value: &Value| escape(value.as_str().unwrap_or("?"));
    let mut out = format!("{:<8}  {}", field(&job["job"]), field(&job["schedule"]));
    if job["running_since"].is_string() {
        let _ = write!(out, ", runs since {}", field(&job["running_since"]));
    }
    if job["next_at"].is_string() {
        let _ = write!(out, ", next {}", field(&job["next_at"]));
    }
    let last = &job["last"];
    if last.is_object() {
        let _ = write!(out, ", last {} at {}", field(&last["verdict"]), field(&last["finished_at"]));
        if last["message"].as_str().is_some_and(|message| !message.is_empty()) {
            let _ = write!(out, ": {}", field(&last["message"]));
        }
        if last["hook"]["ok"] == false {
            let _ = write!(out, "; its hook failed: {}", field(&last["hook"]["message"]));
        }
    }
    out
}

fn stop(session: &Session<'_>, data_dir: &Path, daemon: &Daemon<'_>) -> Result<Exit, Failure> {
    let pid = daemon.record().pid;
    daemon.shut_down().map_err(Failure::failed)?;
    let told = Instant::now();
    while !daemon.has_ended(data_dir) {
        if told.elapsed() >= STOP_TIME {
            let message = format!(
                "the daemon (process {pid}) was told to end and has not within {} s: it ends by itself when what it does is done, which `msgvault daemon status` may tell",
                STOP_TIME.as_secs()
            );
            return Err(Failure::failed(message));
        }
        pause(GLANCE);
    }
    session.output.result(&Stopped { pid }, || format!("stopped the daemon (process {pid})"))?;
    Ok(Exit::Done)
}
