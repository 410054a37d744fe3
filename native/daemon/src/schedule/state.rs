//! The small file in which results outlive the daemon.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use msgvault_platform as platform;
use serde::{Deserialize, Serialize};

use super::{JobVerdict, RunResult, ScheduledJob};

/// Five results of at most 64 KiB, and some.
const MAX_LEN: u64 = 1 << 20;

/// What is known about all jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ScheduleState {
    create: Option<JobState>,
    check: Option<JobState>,
    verify: Option<JobState>,
    forget: Option<JobState>,
    prune: Option<JobState>,
}

/// What is known about one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobState {
    /// The schedule that the rest is about.
    pub(super) schedule: String,
    /// What was due until then has run, or was not asked for yet.
    pub(super) handled_until: Timestamp,
    /// How it went so far.
    #[serde(flatten)]
    pub(super) history: History,
}

/// How the runs of a job went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct History {
    /// The last run.
    last: Option<RunResult>,
    /// When the last run ended that went well.
    last_success_at: Option<Timestamp>,
    /// The last run that did not.
    last_failure: Option<RunFailure>,
}

/// A run that found problems or did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RunFailure {
    at: Timestamp,
    message: String,
}

impl History {
    /// Takes in what came of a run, once more when its hook has been told.
    pub(super) fn note(&mut self, result: &RunResult) {
        match result.verdict {
            JobVerdict::Ok | JobVerdict::Alarm => self.last_success_at = Some(result.finished_at),
            JobVerdict::Problems | JobVerdict::Failed => {
                self.last_failure =
                    Some(RunFailure { at: result.finished_at, message: result.message.clone() });
            }
            JobVerdict::Interrupted => {}
        }
        self.last = Some(result.clone());
    }
}

/// The file.
#[derive(Debug, Clone)]
pub struct StateFile {
    path: PathBuf,
}

impl ScheduleState {
    pub(super) fn of(&self, job: ScheduledJob) -> Option<&JobState> {
        match job {
            ScheduledJob::Create => self.create.as_ref(),
            ScheduledJob::Check => self.check.as_ref(),
            ScheduledJob::Verify => self.verify.as_ref(),
            ScheduledJob::Forget => self.forget.as_ref(),
            ScheduledJob::Prune => self.prune.as_ref(),
        }
    }

    pub(super) fn set(&mut self, job: ScheduledJob, state: JobState) {
        match job {
            ScheduledJob::Create => self.create = Some(state),
            ScheduledJob::Check => self.check = Some(state),
            ScheduledJob::Verify => self.verify = Some(state),
            ScheduledJob::Forget => self.forget = Some(state),
            ScheduledJob::Prune => self.prune = Some(state),
        }
    }
}

impl StateFile {
    /// The file need not be there.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file. One that is missing or unreadable is an empty one, since missing a run is worse than
    /// making one too many; the second value says what was wrong.
    pub(super) fn load(&self) -> (ScheduleState, Option<String>) {
        let read = || -> io::Result<ScheduleState> {
            let mut bytes = Vec::new();
            std::fs::File::open(&self.path)?.take(MAX_LEN).read_to_end(&mut bytes)?;
            Ok(serde_json::from_slice(&bytes)?)
        };
        match read() {
            Ok(state) => (state, None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (ScheduleState::default(), None),
            Err(error) => {
                let complaint = format!("{} is not used: {error}", self.path.display());
                (ScheduleState::default(), Some(complaint))
            }
        }
    }

    /// Replaces the file.
    pub(super) fn save(&self, state: &ScheduleState) -> io::Result<()> {
        let staged = self.path.with_extension("json.new");
        match std::fs::remove_file(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = platform::create_new(&staged)?;
        file.write_all(serde_json::to_string_pretty(state)?.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&staged, &self.path)
    }
}
