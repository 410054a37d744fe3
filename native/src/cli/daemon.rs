//! `msgvault daemon`: asks about the daemon that runs, and ends it.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use msgvault_cli::Exit;
use msgvault_freeze::client::{Daemon, Health};
use msgvault_verifier::text::{count, escape, one_line};
use serde::Serialize;
use serde_json::Value;

use super::Invocation;
use super::environment::{check_randomness, pause, random};
use super::failure::Failure;

/// A daemon has 5 s for an open freeze, and 30 s for a backup that runs.
const STOP_TIME: Duration = Duration::from_mins(1);
const GLANCE: Duration = Duration::from_millis(50);

#[derive(clap::Subcommand)]
pub(super) enum DaemonCommand {
    /// Say whether a daemon runs, what it does, and how scheduled work went
    ///
    /// Ends with 0 when all is well, with 3 when scheduled work last failed or found problems, and with 1
    /// when no daemon runs.
    Status {
        /// End with 3, too, when the last scheduled backup that succeeded is older, such as 26h or 90m
        #[arg(long, value_name = "DURATION")]
        max_age: Option<SignedDuration>,
    },
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
    /// Sentences about what the owner should look at.
    problems: Vec<String>,
}

#[derive(Serialize)]
struct StopReport {
    pid: u32,
}

pub(super) fn run(invocation: &Invocation<'_>, command: &DaemonCommand) -> Result<Exit, Failure> {
    let home = invocation.home()?;
    invocation.explain(|| format!("the records of daemons are looked for in {}", home.data_dir.display()));
    check_randomness()?;
    match command {
        DaemonCommand::Status { max_age } => {
            let daemon = Daemon::find(&home.data_dir, &home.server.api_key, &random)?;
            status(invocation, daemon.as_ref(), *max_age)
        }
        DaemonCommand::Stop => {
            let nobody = || Failure::failed(format!("no daemon runs for {}", home.data_dir.display()));
            stop(invocation, &home.data_dir, &Daemon::find_any(&home.data_dir, &random)?.ok_or_else(nobody)?)
        }
    }
}

fn status(
    invocation: &Invocation<'_>,
    daemon: Option<&Daemon<'_>>,
    max_age: Option<SignedDuration>,
) -> Result<Exit, Failure> {
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
            problems: Vec::new(),
        };
        let sentence = "no daemon runs".to_owned();
        invocation.output.problems(&nothing, || sentence.clone(), || vec![sentence.clone()])?;
        return Ok(Exit::Failed);
    };
    let record = daemon.record().clone();
    let Health { operation, .. } = daemon.health().map_err(Failure::failed)?;
    let scheduled = daemon.scheduled().map_err(Failure::failed)?;
    let status = Status {
        running: true,
        pid: Some(record.pid),
        version: Some(record.version),
        address: Some(record.address),
        started_at: Some(record.started_at),
        busy_with: operation.as_ref().map(|operation| operation.label.clone()),
        busy_since: operation.map(|operation| operation.started_at),
        problems: problems(scheduled.as_ref(), max_age, Timestamp::now()),
        scheduled,
    };
    if status.problems.is_empty() {
        invocation.output.result(&status, || text(&status))?;
        return Ok(Exit::Done);
    }
    invocation.output.problems(
        &status,
        || text(&status),
        || {
            let sentence = format!("{} of scheduled work", count(status.problems.len(), "problem"));
            [sentence].into_iter().chain(status.problems.iter().cloned()).collect()
        },
    )?;
    Ok(Exit::Problems)
}

fn jobs(scheduled: Option<&Value>) -> &[Value] {
    scheduled.and_then(|scheduled| scheduled["jobs"].as_array()).map(Vec::as_slice).unwrap_or_default()
}

/// What the owner should look at: jobs that failed since they last succeeded, hooks that told nobody, and
/// backups that are too old.
fn problems(scheduled: Option<&Value>, max_age: Option<SignedDuration>, now: Timestamp) -> Vec<String> {
    let mut found = Vec::new();
    for job in jobs(scheduled) {
        let name = field(&job["job"]);
        let failure = &job["last_failure"];
        // Without a success, none is later than the failure.
        if time(&failure["at"]).is_some_and(|at| time(&job["last_success_at"]).is_none_or(|well| well < at)) {
            let (at, message) = (local(&failure["at"]), field(&failure["message"]));
            found.push(format!("the last {name} failed at {at}: {message}"));
        }
        let hook = &job["last"]["hook"];
        if hook["ok"] == false {
            found.push(format!("the hook of the last {name} failed: {}", field(&hook["message"])));
        }
    }
    let Some(max_age) = max_age else { return found };
    let backups = jobs(scheduled).iter().filter(|job| job["job"] == "create" || job["job"] == "check");
    let last = backups
        .filter_map(|job| Some((time(&job["last_success_at"])?, &job["last_success_at"])))
        .max_by_key(|(at, _)| *at);
    match last {
        None => found.push("no scheduled backup has succeeded yet".to_owned()),
        Some((at, text)) if now.duration_since(at) > max_age => {
            let at = local(text);
            found.push(format!(
                "the last scheduled backup that succeeded ended at {at}, more than {max_age:#} ago"
            ));
        }
        Some(_) => {}
    }
    found
}

/// A text of the daemon on one line, fit for a terminal.
fn field(value: &Value) -> String {
    escape(&one_line(value.as_str().unwrap_or("?")))
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A time as the clock on the wall shows it; anything else stays as it is.
fn local(value: &Value) -> String {
    match time(value) {
        Some(time) => time.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
        None => field(value),
    }
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
    for job in jobs(status.scheduled.as_ref()) {
        let _ = write!(out, "\n  {}", job_text(job));
    }
    for problem in &status.problems {
        let _ = write!(out, "\n  problem   {problem}");
    }
    out
}

/// `create    0 3 * * *, next 2026-…, last success 2026-…, last failure never`.
fn job_text(job: &Value) -> String {
    let mut out = format!("{:<8}  {}", field(&job["job"]), field(&job["schedule"]));
    let times = [
        ("runs since", &job["running_since"]),
        ("next", &job["next_at"]),
        ("last success", &job["last_success_at"]),
        ("last failure", &job["last_failure"]["at"]),
    ];
    for (what, at) in times {
        if at.is_string() {
            let _ = write!(out, ", {what} {}", local(at));
        } else if what.starts_with("last") {
            let _ = write!(out, ", {what} never");
        }
    }
    out
}

fn stop(invocation: &Invocation<'_>, data_dir: &Path, daemon: &Daemon<'_>) -> Result<Exit, Failure> {
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
    invocation.output.result(&StopReport { pid }, || format!("stopped the daemon (process {pid})"))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn problems_are_failures_since_success_and_old_snapshots() {
        let job = |job: &str, success: Value, failure: Value| {
            let failure =
                if failure.is_null() { failure } else { json!({ "at": failure, "message": "no disk" }) };
            json!({ "jobs": [
                { "job": job, "last_success_at": success, "last_failure": failure, "last": null }
            ] })
        };
        let (early, late) = (json!("2026-11-23T02:10:00Z"), json!("2026-11-24T02:10:00Z"));
        let now: Timestamp = "2026-11-25T02:10:00Z".parse().unwrap();
        let (day, two) = (SignedDuration::from_hours(23), SignedDuration::from_hours(26));
        let table = [
            (job("create", late.clone(), early.clone()), None, 0),
            (job("create", early.clone(), late.clone()), None, 1),
            (job("verify", Value::Null, late.clone()), None, 1),
            (job("create", late.clone(), Value::Null), Some(two), 0),
            (job("create", late.clone(), Value::Null), Some(day), 1),
            (job("create", Value::Null, late.clone()), Some(two), 2),
            (job("check", late.clone(), Value::Null), Some(two), 0),
            (job("verify", late, early), Some(two), 1),
            (json!({ "jobs": [] }), None, 0),
            (json!({ "jobs": [] }), Some(two), 1),
        ];
        for (scheduled, max_age, count) in table {
            let found = problems(Some(&scheduled), max_age, now);
            assert_eq!(found.len(), count, "{scheduled} {max_age:?}: {found:?}");
        }
        assert_eq!(problems(None, None, now), Vec::<String>::new());
        assert_eq!(problems(None, Some(two), now).len(), 1, "a daemon that schedules nothing");
    }
}
