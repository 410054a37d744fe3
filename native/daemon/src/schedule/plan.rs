//! What is scheduled, and with which command it is done.

use serde::{Deserialize, Serialize};

use super::super::cron::Cron;

/// When what follows a snapshot runs.
const AFTER_EACH: &str = "after each snapshot";

/// What can be scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduledJob {
    /// Make a snapshot.
    Create,
    /// Make a snapshot, and have SQLite check the database.
    Check,
    /// Verify all snapshots completely.
    Verify,
    /// Let go of what no rule keeps, after a snapshot was made and nothing about it is alarming.
    Forget,
    /// Give the space back.
    Prune,
}

/// When what is run, and who is told.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    /// When snapshots are made.
    pub create: Option<Cron>,
    /// When snapshots are made whose database is checked.
    pub check: Option<Cron>,
    /// When all snapshots are verified.
    pub verify: Option<Cron>,
    /// How much of the packs is read then, the longest unread first; all of them without a budget.
    pub verify_budget: Option<String>,
    /// Whether snapshots are forgotten after one was made.
    pub forget: bool,
    /// When space is given back.
    pub prune: Option<Cron>,
    /// A shell command that is told of success.
    pub on_success: Option<String>,
    /// A shell command that is told of everything else.
    pub on_failure: Option<String>,
    /// A shell command that is told of a snapshot which is made and alarming; `on_failure` where there is none.
    pub on_alarm: Option<String>,
}

impl ScheduledJob {
    /// The arguments after `backup`.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Create => &["create"],
            Self::Check => &["create", "--check"],
            Self::Verify => &["verify", "--all"],
            Self::Forget => &["forget"],
            Self::Prune => &["prune"],
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Check => "check",
            Self::Verify => "verify",
            Self::Forget => "forget",
            Self::Prune => "prune",
        }
    }
}

impl Schedule {
    /// Whether nothing is scheduled.
    pub fn is_empty(&self) -> bool {
        self.jobs().is_empty()
    }

    /// Everything that runs, and when, in words.
    pub(super) fn all(&self) -> Vec<(ScheduledJob, String)> {
        let jobs = self.jobs().into_iter().map(|(job, cron)| (job, cron.text().to_owned()));
        let forget = self.forget.then(|| (ScheduledJob::Forget, AFTER_EACH.to_owned()));
        jobs.chain(forget).collect()
    }

    /// What is scheduled, in the order in which it runs when more is due at once.
    pub(super) fn jobs(&self) -> Vec<(ScheduledJob, Cron)> {
        let jobs = [
            (ScheduledJob::Check, &self.check),
            (ScheduledJob::Create, &self.create),
            (ScheduledJob::Verify, &self.verify),
            (ScheduledJob::Prune, &self.prune),
        ];
        jobs.into_iter().filter_map(|(job, cron)| Some((job, cron.clone()?))).collect()
    }
}
