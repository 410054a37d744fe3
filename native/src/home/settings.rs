//! What the configuration says: the keys that matter here, with their defaults.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::error::HomeError;
use super::keys;
use crate::retention::rules::KeepRules;

/// Early on Sundays.
const WEEKLY: &str = "0 4 * * sun";

/// When keyframes store pages again that lie in blobs of mostly dead pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dense {
    /// With the first snapshot of a month, and whenever blobs hold more than twice the pages that are needed.
    #[default]
    Monthly,
    /// Whenever blobs hold more than twice the pages that are needed.
    Auto,
    /// Never.
    Off,
}

/// What a daemon listens on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Server {
    /// The address.
    pub bind_addr: String,
    /// The port; 0 means any that is free.
    pub api_port: u16,
    /// The key that clients must present; empty when none is needed.
    pub api_key: String,
}

/// What a daemon does by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSettings {
    /// When it makes snapshots: five fields of cron, in local time.
    pub schedule: Option<String>,
    /// When it makes snapshots whose database SQLite checks.
    pub check_schedule: Option<String>,
    /// When it verifies all of them.
    pub verify_schedule: Option<String>,
    /// How much of the packs such a verification reads; all of them without a budget.
    pub verify_budget: Option<String>,
    /// Whether it forgets after a snapshot, by the rules of the configuration.
    pub forget: bool,
    /// When it prunes; weekly, where there are rules and nothing else is said.
    pub prune_schedule: Option<String>,
    /// The shell command that is told of success.
    pub on_success: Option<String>,
    /// The shell command that is told of everything else.
    pub on_failure: Option<String>,
    /// The shell command that is told of a snapshot which is made and alarming; `on_failure` where there is none.
    pub on_alarm: Option<String>,
    /// How long such a command may take; an hour, unless `hook_timeout` names other seconds.
    pub hook_time: Duration,
}

impl Default for BackupSettings {
    fn default() -> Self {
        Self {
            schedule: None,
            check_schedule: None,
            verify_schedule: None,
            verify_budget: None,
            forget: false,
            prune_schedule: None,
            on_success: None,
            on_failure: None,
            on_alarm: None,
            hook_time: Duration::from_hours(1),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self { bind_addr: "127.0.0.1".to_owned(), api_port: 0, api_key: String::new() }
    }
}

/// The keys that matter here; the same file configures other programs.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Config {
    pub(super) data: Data,
    pub(super) server: Server,
    pub(super) backup: Backup,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Data {
    pub(super) data_dir: Option<String>,
    pub(super) database_url: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Backup {
    pub(super) repo: Option<String>,
    #[serde(deserialize_with = "zstd_level")]
    pub(super) zstd_level: Option<i32>,
    pub(super) check: bool,
    pub(super) dense: Option<Dense>,
    pub(super) schedule: Option<String>,
    pub(super) check_schedule: Option<String>,
    pub(super) verify_schedule: Option<String>,
    pub(super) verify_budget: Option<String>,
    pub(super) on_success: Option<String>,
    pub(super) on_failure: Option<String>,
    pub(super) on_alarm: Option<String>,
    pub(super) alarm: Alarm,
    pub(super) keep: KeepRules,
    pub(super) prune_schedule: Option<String>,
    pub(super) hook_timeout: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Alarm {
    #[serde(deserialize_with = "percent")]
    pub(super) drop: Option<u8>,
}

impl Backup {
    /// An empty text switches off what it stands for.
    pub(super) fn settings(&self) -> BackupSettings {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        BackupSettings {
            schedule: given(&self.schedule),
            check_schedule: given(&self.check_schedule),
            verify_schedule: given(&self.verify_schedule),
            verify_budget: given(&self.verify_budget),
            forget: !self.keep.is_empty(),
            prune_schedule: match &self.prune_schedule {
                None if !self.keep.is_empty() => Some(WEEKLY.to_owned()),
                given_or_none => given(given_or_none),
            },
            on_success: given(&self.on_success),
            on_failure: given(&self.on_failure),
            on_alarm: given(&self.on_alarm),
            hook_time: self.hook_timeout.map_or(BackupSettings::default().hook_time, Duration::from_secs),
        }
    }
}

/// Hundredths, as a number or a text such as `5%`.
fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Number(i64),
        Text(String),
    }
    let number = match Given::deserialize(deserializer)? {
        Given::Number(number) => Some(number),
        Given::Text(text) => {
            text.trim_end().strip_suffix('%').and_then(|digits| digits.trim_end().parse().ok())
        }
    };
    let percent = number.and_then(|number| u8::try_from(number).ok()).filter(|percent| *percent <= 100);
    percent.map(Some).ok_or_else(|| D::Error::custom("give a share from 0 to 100, such as 5 or \"5%\""))
}

fn zstd_level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
    match i32::deserialize(deserializer)? {
        level @ 0..=19 => Ok(Some(level)),
        other => Err(D::Error::custom(format!("zstd_level is {other}; it must be 0 (the default) to 19"))),
    }
}

pub(super) fn load(given: Option<&Path>, home: &Path) -> Result<(Config, Option<PathBuf>), HomeError> {
    let path = given.map_or_else(|| home.join("config.toml"), Path::to_owned);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && given.is_none() => {
            return Ok((Config::default(), None));
        }
        Err(source) => return Err(HomeError::Unreadable { path, source }),
    };
    match toml::from_str(&text) {
        Ok(config) => match keys::unknown(&text) {
            None => Ok((config, Some(path))),
            Some((at, reason)) => {
                let (line, column) = position(&text, at);
                Err(HomeError::Malformed { path, line, column, reason })
            }
        },
        Err(error) => {
            let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
            Err(HomeError::Malformed { path, line, column, reason: error.message().to_owned() })
        }
    }
}

/// Line and character of a byte, from 1.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
