//! The rules of what to keep, as flags.

use crate::retention::rules::{KeepRules, Within};

/// What stays. Rules are a union, in UTC, and count from the newest snapshot.
#[derive(clap::Args)]
#[group(id = "rules", multiple = true)]
pub(super) struct RuleArgs {
    /// Keep the newest N
    #[arg(long = "keep-last", value_name = "N")]
    last: Option<u32>,
    /// Keep the newest of each of N hours that have one
    #[arg(long = "keep-hourly", value_name = "N")]
    hourly: Option<u32>,
    /// Keep the newest of each of N days that have one
    #[arg(long = "keep-daily", value_name = "N")]
    daily: Option<u32>,
    /// Keep the newest of each of N weeks that have one
    #[arg(long = "keep-weekly", value_name = "N")]
    weekly: Option<u32>,
    /// Keep the newest of each of N months that have one
    #[arg(long = "keep-monthly", value_name = "N")]
    monthly: Option<u32>,
    /// Keep the newest of each of N years that have one
    #[arg(long = "keep-yearly", value_name = "N")]
    yearly: Option<u32>,
    /// Keep what is at most so much older than the newest, such as `12h`, `30d` or `1y6mo`
    #[arg(long = "keep-within", value_name = "DURATION")]
    within: Option<Within>,
    /// Keep what has this label; can be given more than once
    #[arg(long = "keep-tag", value_name = "TAG")]
    tags: Vec<String>,
}

impl RuleArgs {
    /// The rules; none where nothing was said.
    pub(super) fn rules(&self) -> KeepRules {
        KeepRules {
            last: self.last.unwrap_or_default(),
            hourly: self.hourly.unwrap_or_default(),
            daily: self.daily.unwrap_or_default(),
            weekly: self.weekly.unwrap_or_default(),
            monthly: self.monthly.unwrap_or_default(),
            yearly: self.yearly.unwrap_or_default(),
            within: self.within,
            tags: self.tags.clone(),
        }
    }
}
