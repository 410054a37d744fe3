//! Scheduled work: what is due, one after another, and how the last runs went.

mod plan;
mod state;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use msgvault_verifier::text::one_line;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::DaemonEnvironment;
use super::gate::{Gate, Rank};
use super::log::Level;

pub use plan::{Schedule, ScheduledJob};
pub use state::StateFile;
use state::{History, JobState, ScheduleState};

/// The clock is looked at so often at least: it can be set, and a machine can sleep.
const GLANCE: Duration = Duration::from_mins(1);
/// A clock that is set back by less repeats nothing.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_hours(24);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobVerdict {
    /// All is well.
    Ok,
    /// The snapshot is made, and something about it is alarming.
    Alarm,
    /// The verification found problems.
    Problems,
    /// It did not come to its end.
    Failed,
    /// The daemon was stopped meanwhile; it is made up for when it starts again.
    Interrupted,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOutcome {
    /// How it ended.
    pub verdict: JobVerdict,
    /// The program's exit code; none when a signal ended it.
    pub exit_code: Option<i32>,
    /// A sentence and the particulars, line by line; empty when all is well.
    pub message: String,
    /// What the program printed, if it is not too long.
    pub report: Option<Value>,
}

/// A run and what came of it, as state file, status and hooks tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunResult {
    /// What ran.
    pub job: ScheduledJob,
    /// When it was due.
    pub due_at: Timestamp,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How it ended.
    pub verdict: JobVerdict,
    /// The program's exit code.
    pub exit_code: Option<i32>,
    /// A sentence and the particulars, line by line; empty when all is well.
    pub message: String,
    /// What the program printed.
    pub report: Option<Value>,
    /// What came of telling the hook.
    #[serde(default)]
    pub hook: Option<HookResult>,
}

/// What came of a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookResult {
    /// The command.
    pub command: String,
    /// Whether it did its work.
    pub ok: bool,
    /// What went wrong.
    pub message: String,
}

/// Does what is due; in tests, something that takes no time.
pub trait Runner {
    /// Runs a job to its end.
    fn run(&self, job: ScheduledJob) -> impl Future<Output = JobOutcome> + Send;
    /// Tells a hook.
    fn hook(&self, command: &str, document: &Value) -> impl Future<Output = HookResult> + Send;
}

/// What status requests are answered from. Clones are the same one.
#[derive(Clone)]
pub struct Board(Arc<Mutex<Shown>>);

struct Shown {
    plan: Schedule,
    state: ScheduleState,
    running: Option<RunningJob>,
    next: Vec<(ScheduledJob, Timestamp)>,
}

#[derive(Clone, Copy)]
struct RunningJob {
    job: ScheduledJob,
    since: Timestamp,
}

/// The answer to a status request.
#[derive(Debug, Serialize)]
pub struct Status {
    jobs: Vec<JobStatus>,
}

#[derive(Debug, Serialize)]
struct JobStatus {
    job: ScheduledJob,
    schedule: String,
    next_at: Option<Timestamp>,
    running_since: Option<Timestamp>,
    #[serde(flatten)]
    history: History,
}

/// Runs what is due, for as long as it is polled.
pub struct Scheduler<R> {
    /// The same as answers status requests.
    pub board: Board,
    /// Where results are kept.
    pub file: StateFile,
    /// The time zone of the schedules.
    pub zone: TimeZone,
    /// What everything that changes the archive passes.
    pub gate: Gate,
    /// Does the work.
    pub runner: R,
    /// Clock and log.
    pub machine: DaemonEnvironment,
}

impl Board {
    /// Nothing has run yet but what `file` tells of.
    pub fn new(plan: Schedule, file: &StateFile) -> (Self, Option<String>) {
        let (state, complaint) = file.load();
        (Self(Arc::new(Mutex::new(Shown { plan, state, running: None, next: Vec::new() }))), complaint)
    }

    /// What is scheduled and how the last runs went.
    pub fn status(&self) -> Status {
        let shown = self.shown();
        let job_status = |(job, schedule): (ScheduledJob, String)| JobStatus {
            job,
            schedule,
            next_at: shown.next.iter().find(|next| next.0 == job).map(|next| next.1),
            running_since: shown.running.filter(|running| running.job == job).map(|running| running.since),
            history: shown.state.of(job).map(|state| state.history.clone()).unwrap_or_default(),
        };
        Status { jobs: shown.plan.all().into_iter().map(job_status).collect() }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Status {
    /// Of each job, whether it runs and since when, or when it does next.
    pub(super) fn standings(&self) -> Vec<(&'static str, String)> {
        let standing = |job: &JobStatus| match (job.running_since, job.next_at) {
            (Some(since), _) => format!("runs since {since:.0}"),
            (None, Some(next)) => format!("next at {next:.0}"),
            (None, None) => "not known yet".to_owned(),
        };
        self.jobs.iter().map(|job| (job.job.name(), standing(job))).collect()
    }
}

impl<R: Runner> Scheduler<R> {
    /// Runs what is due until the gate drains.
    pub async fn run(self) {
        self.begin().await;
        loop {
            let now = (self.machine.now)();
            let next = self.next();
            self.board.shown().next.clone_from(&next);
            // The first of what is due at one time is what stands first in the plan.
            let Some((job, due)) = next.into_iter().min_by_key(|(_, due)| *due) else { return };
            if due > now {
                let wait = Duration::try_from(due.duration_since(now)).unwrap_or_default();
                tokio::select! {
                    () = tokio::time::sleep(wait.min(GLANCE)) => continue,
                    () = self.gate.drained() => return,
                }
            }
            // Begins behind requests that wait, and not inside of a freeze; the backup asks for its own.
            let label = format!("a scheduled {}", job.name());
            match self.gate.enter(&label, Rank::Background).await {
                Ok(permit) => drop(permit),
                Err(_) => return,
            }
            let verdict = self.execute(job, due).await;
            let is_made = matches!(job, ScheduledJob::Create | ScheduledJob::Check);
            if is_made && verdict == JobVerdict::Ok && self.board.shown().plan.forget {
                self.execute(ScheduledJob::Forget, (self.machine.now)()).await;
            }
        }
    }

    /// Counts from now on what was never scheduled, or was scheduled otherwise.
    async fn begin(&self) {
        let now = (self.machine.now)();
        let state = {
            let mut shown = self.board.shown();
            let jobs = shown.plan.all();
            if jobs.is_empty() {
                return;
            }
            for (job, schedule) in jobs {
                let before = shown.state.of(job);
                if before.is_none_or(|state| state.schedule != schedule) {
                    let history = before.map(|state| state.history.clone()).unwrap_or_default();
                    shown.state.set(job, JobState { schedule, handled_until: now, history });
                }
            }
            shown.state.clone()
        };
        self.save(state).await;
    }

    /// When each job is due; in the past for those that were missed.
    fn next(&self) -> Vec<(ScheduledJob, Timestamp)> {
        let now = (self.machine.now)();
        let mut shown = self.board.shown();
        let mut next = Vec::new();
        for (job, cron) in shown.plan.jobs() {
            let Some(mut state) = shown.state.of(job).cloned() else { continue };
            // A clock that was wrong must not put off everything until the time that it showed.
            if state.handled_until.duration_since(now) > CLOCK_SLACK {
                state.handled_until = now;
                shown.state.set(job, state.clone());
            }
            next.extend(cron.next_after(state.handled_until, &self.zone).map(|due| (job, due)));
        }
        next
    }

    async fn execute(&self, job: ScheduledJob, due_at: Timestamp) -> JobVerdict {
        let started_at = (self.machine.now)();
        self.board.shown().running = Some(RunningJob { job, since: started_at });
        self.log(job, Level::Info, "scheduled work begins", "");
        let JobOutcome { verdict, exit_code, message, report } = self.runner.run(job).await;
        let finished_at = (self.machine.now)();
        let mut result = RunResult {
            job,
            due_at,
            started_at,
            finished_at,
            verdict,
            exit_code,
            message,
            report,
            hook: None,
        };
        let level = if verdict == JobVerdict::Ok { Level::Info } else { Level::Error };
        self.log(job, level, "scheduled work ended", &result.message);
        self.keep(job, &result).await;
        if let Some(hook) = self.tell(&result).await {
            if !hook.ok {
                self.log(job, Level::Error, "the hook failed", &hook.message);
            }
            result.hook = Some(hook);
            self.keep(job, &result).await;
        }
        self.board.shown().running = None;
        verdict
    }

    /// Tells the hook for such a result; nobody is told of what will be made up for.
    async fn tell(&self, result: &RunResult) -> Option<HookResult> {
        let command = {
            let shown = self.board.shown();
            match result.verdict {
                JobVerdict::Ok => shown.plan.on_success.clone(),
                JobVerdict::Alarm => shown.plan.on_alarm.clone().or_else(|| shown.plan.on_failure.clone()),
                JobVerdict::Problems | JobVerdict::Failed => shown.plan.on_failure.clone(),
                JobVerdict::Interrupted => None,
            }
        }?;
        let document = serde_json::to_value(result).unwrap_or_default();
        Some(self.runner.hook(&command, &document).await)
    }

    /// Keeps a result. Everything that was due until it began is handled by it, unless it was interrupted.
    async fn keep(&self, job: ScheduledJob, result: &RunResult) {
        let state = {
            let mut shown = self.board.shown();
            let Some(mut state) = shown.state.of(job).cloned() else { return };
            if result.verdict != JobVerdict::Interrupted {
                state.handled_until = result.started_at.max(result.due_at);
            }
            state.history.note(result);
            shown.state.set(job, state);
            // A checked snapshot is a snapshot: that night needs no other.
            let is_made = matches!(result.verdict, JobVerdict::Ok | JobVerdict::Alarm | JobVerdict::Problems);
            let made = job == ScheduledJob::Check && is_made;
            if made && let Some(mut create) = shown.state.of(ScheduledJob::Create).cloned() {
                create.handled_until = create.handled_until.max(result.started_at);
                shown.state.set(ScheduledJob::Create, create);
            }
            shown.state.clone()
        };
        self.save(state).await;
    }

    /// Writes the file beside the thread that answers clients: the disk can be busy with the very backup.
    async fn save(&self, state: ScheduleState) {
        let file = self.file.clone();
        // It panics when the system refuses a thread.
        let saving = AssertUnwindSafe(|| tokio::task::spawn_blocking(move || file.save(&state)));
        let saved = match catch_unwind(saving) {
            Ok(saving) => saving.await.unwrap_or_else(|error| Err(io::Error::other(error))),
            Err(_) => Err(io::Error::other("the system refuses another thread")),
        };
        if let Err(error) = saved {
            let fields = [("path", self.file.path().display().to_string()), ("error", error.to_string())];
            self.machine.log(Level::Error, "the state of scheduled work cannot be kept", &fields);
        }
    }

    fn log(&self, job: ScheduledJob, level: Level, message: &str, detail: &str) {
        let mut fields = vec![("job", job.name().to_owned())];
        if !detail.is_empty() {
            fields.push(("message", one_line(detail)));
        }
        self.machine.log(level, message, &fields);
    }
}

impl JobOutcome {
    /// It did not come to its end.
    pub fn failed(message: &str) -> Self {
        Self { verdict: JobVerdict::Failed, exit_code: None, message: message.to_owned(), report: None }
    }

    /// It was ended because the daemon ends.
    pub fn stopped() -> Self {
        let message = "it was ended because the daemon was stopped";
        Self { verdict: JobVerdict::Interrupted, ..Self::failed(message) }
    }
}

impl HookResult {
    /// It did its work.
    pub fn done(command: &str) -> Self {
        Self { command: command.to_owned(), ok: true, message: String::new() }
    }

    /// It did not.
    pub fn failed(command: &str, message: &str) -> Self {
        Self { command: command.to_owned(), ok: false, message: message.to_owned() }
    }
}

/// Where the state of scheduled work is kept, in a data directory.
pub fn state_path(data_dir: &std::path::Path) -> PathBuf {
    data_dir.join("daemon-schedule.json")
}

#[cfg(test)]
mod tests;
