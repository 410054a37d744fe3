//! A daemon that runs, found by its record and asked over HTTP.
//!
//! Nothing is sent to it that it should not know before it has proven that the record is its own. Every
//! doubt ends in an error: an archive with a daemon is never read unfrozen.

mod error;
mod http;
mod shutdown;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use msgvault_platform::context::Context;
use serde::Deserialize;
use serde_json::Value;

use super::identity::{self, Challenge};
use super::ownership;
use super::record::{self, Record, SERVICE};
use super::{FreezeError, Freezer};

pub use error::DaemonError;
use http::{Answer, Http};

/// For questions that a daemon answers at once.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// A daemon waits 10 s for its gate before it answers.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(15);
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two tries.
const RETRY: Duration = Duration::from_secs(1);

/// A daemon that has proven to own its record.
pub struct Daemon<'a> {
    record: Record,
    http: Http,
    /// The key it wants, which has the fingerprint of the record.
    key: Option<String>,
    random: &'a dyn Fn() -> u128,
}

/// What a daemon says about itself to who has its key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// What holds the gate, if anything does.
    #[serde(default)]
    pub operation: Option<Operation>,
}

/// What holds a gate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Operation {
    /// What it is; empty when it is not told.
    #[serde(default)]
    pub label: String,
    /// Since when, RFC 3339; empty when it is not told.
    #[serde(default)]
    pub started_at: String,
}

impl<'a> Daemon<'a> {
    /// Finds the daemon of a data directory; `None` when nobody answers for one and its lock is free.
    ///
    /// `key` is the configured API key, empty when there is none.
    pub fn find(
        data_dir: &Path,
        key: &str,
        random: &'a dyn Fn() -> u128,
    ) -> Result<Option<Self>, FreezeError> {
        let Some(mut daemon) = Self::find_any(data_dir, random)? else { return Ok(None) };
        daemon.check_versions()?;
        daemon.key = daemon.check_key(key)?;
        Ok(Some(daemon))
    }

    /// Finds the daemon of a data directory, of whatever age and key: enough to end it.
    pub fn find_any(data_dir: &Path, random: &'a dyn Fn() -> u128) -> Result<Option<Self>, FreezeError> {
        let mut doubt: Option<FreezeError> = None;
        for candidate in record::candidates(data_dir)? {
            let proven = candidate.map_err(FreezeError::from);
            match proven.and_then(|record| Ok(Self::prove(record, random)?)) {
                Ok(daemon) => return Ok(Some(daemon)),
                Err(error) => doubt = doubt.or(Some(error)),
            }
        }
        // Where the lock is free that a daemon holds as long as it lives, what nobody answers for was left
        // behind.
        doubt.filter(|_| !ownership::is_free(data_dir)).map_or(Ok(None), Err)
    }

    /// The daemon's record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Asks how it is; with a key, that shows that the key is right.
    pub fn health(&self) -> Result<Health, DaemonError> {
        let answer = self.ask("GET", "/api/v1/health", None, END_TIMEOUT)?;
        match answer.status {
            200 => answer.json().ok_or_else(|| self.stranger("it does not tell its health")),
            _ => Err(self.refusal(&answer)),
        }
    }

    /// What it says about scheduled work; `None` from a daemon that has none.
    pub fn scheduled(&self) -> Result<Option<Value>, DaemonError> {
        let answer = self.ask("GET", "/api/v1/backup/status", None, END_TIMEOUT)?;
        match answer.status {
            200 => Ok(answer.json()),
            404 => Ok(None),
            _ => Err(self.refusal(&answer)),
        }
    }

    /// Lets the daemon prove that the record is its own.
    fn prove(record: Record, random: &'a dyn Fn() -> u128) -> Result<Self, DaemonError> {
        if let Some(phase) = &record.startup_phase {
            return Err(DaemonError::Starting { pid: record.pid, phase: phase.clone() });
        }
        let http = Http::new(&record.address).ok_or_else(|| DaemonError::Stranger {
            pid: record.pid,
            address: record.address.clone(),
            reason: "that is not an address".to_owned(),
        })?;
        let daemon = Self { record, http, key: None, random };
        daemon.check_ping()?;
        daemon.check_identity(PROBE_TIMEOUT)?;
        Ok(daemon)
    }

    fn check_ping(&self) -> Result<(), DaemonError> {
        #[derive(Deserialize)]
        struct Ping {
            ok: bool,
            service: String,
            pid: u32,
        }
        let answer = self.ask("GET", "/api/ping", None, PROBE_TIMEOUT)?;
        let ping: Option<Ping> = if answer.status == 200 { answer.json() } else { None };
        match ping {
            None => Err(self.stranger("what answers there is not a msgvault daemon")),
            Some(ping) if ping.service != SERVICE => Err(self.stranger("another service answers there")),
            Some(ping) if ping.pid != self.record.pid => {
                Err(self.stranger(&format!("the daemon of process {} answers there", ping.pid)))
            }
            Some(ping) if !ping.ok => Err(self.stranger("the daemon says that it is not well")),
            Some(_) => Ok(()),
        }
    }

    fn check_identity(&self, timeout: Duration) -> Result<(), DaemonError> {
        let challenge = Challenge::new(self.random);
        let token = self.record.shutdown_token.as_deref().unwrap_or_default();
        let asked = [(identity::CHALLENGE_HEADER, challenge.to_hex())];
        let answer = self.http.send("GET", "/api/daemon/identity", &asked, None, timeout);
        let answer = answer.map_err(|reason| self.unreachable(reason))?;
        let proof = answer.proof.as_deref().unwrap_or_default();
        if answer.status == 204 && challenge.is_proven_by(proof, token, self.record.pid) {
            return Ok(());
        }
        Err(self.stranger("it cannot prove that the record is its own"))
    }

    fn check_versions(&self) -> Result<(), DaemonError> {
        let Record { api_version, api_schema_version, .. } = &self.record;
        let major = |version: &str| version.split('.').next().unwrap_or_default().to_owned();
        let fits = api_version == identity::API_VERSION
            && major(api_schema_version) == major(identity::API_SCHEMA_VERSION);
        if fits {
            return Ok(());
        }
        Err(DaemonError::Incompatible {
            pid: self.record.pid,
            version: self.record.version.clone(),
            api: format!("{api_version}, schema {api_schema_version}"),
        })
    }

    /// The key to send: the configured one if it is the daemon's, none if it needs none.
    fn check_key(&self, key: &str) -> Result<Option<String>, DaemonError> {
        let (pid, told) = (self.record.pid, &self.record.auth_fingerprint);
        if told == identity::NO_KEY {
            return Ok(None);
        }
        if key.is_empty() {
            return Err(DaemonError::KeyNeeded { pid });
        }
        if *told != identity::fingerprint(key) {
            return Err(DaemonError::OtherKey { pid });
        }
        Ok(Some(key.to_owned()))
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
        timeout: Duration,
    ) -> Result<Answer, DaemonError> {
        if self.key.is_some() {
            // It can have ended since it was found, and a stranger can have taken its place.
            self.check_identity(timeout)?;
        }
        let key = self.key.iter().map(|key| ("x-api-key", key.clone()));
        let headers: Vec<_> = [("x-msgvault-client", "cli".to_owned())].into_iter().chain(key).collect();
        self.http.send(method, path, &headers, body, timeout).map_err(|reason| self.unreachable(reason))
    }

    fn unreachable(&self, reason: String) -> DaemonError {
        DaemonError::Unreachable { pid: self.record.pid, address: self.record.address.clone(), reason }
    }

    fn stranger(&self, reason: &str) -> DaemonError {
        let (pid, address) = (self.record.pid, self.record.address.clone());
        DaemonError::Stranger { pid, address, reason: reason.to_owned() }
    }

    /// What an answer other than success means.
    fn refusal(&self, answer: &Answer) -> DaemonError {
        let pid = self.record.pid;
        match (answer.status, &*answer.code()) {
            (409, _) => DaemonError::Active { pid },
            (401, _) => DaemonError::KeyRefused { pid },
            (404, _) => DaemonError::NoFreeze { pid },
            (503, "server_busy") => DaemonError::Stopping { pid },
            (status, _) => DaemonError::Refused { pid, status, message: answer.message() },
        }
    }
}

/// Asks a daemon to keep writers waiting.
pub(super) struct DaemonFreezer<'a> {
    daemon: Daemon<'a>,
    patience: Duration,
    pause: &'a dyn Fn(Duration),
    context: Context<'a>,
    token: Option<String>,
}

impl<'a> DaemonFreezer<'a> {
    /// `patience` bounds the waiting for a busy gate.
    pub(super) fn new(
        daemon: Daemon<'a>,
        patience: Duration,
        pause: &'a dyn Fn(Duration),
        context: &Context<'a>,
    ) -> Self {
        Self { daemon, patience, pause, context: *context, token: None }
    }

    /// Whether waiting until the next try would take longer than allowed; tries are counted too, since the
    /// clock can be set back.
    fn is_out_of_patience(&self, since: Timestamp, tries: u64) -> bool {
        let waited = Duration::try_from((self.context.now)().duration_since(since)).unwrap_or_default();
        waited + RETRY > self.patience || tries > self.patience.as_secs()
    }

    fn send_end(&mut self) -> Result<(), DaemonError> {
        let Some(token) = self.token.take() else { return Ok(()) };
        let body = serde_json::json!({ "token": token }).to_string();
        let pid = self.daemon.record.pid;
        let answer = self
            .daemon
            .ask("POST", "/api/v1/backup/freeze/end", Some(body), END_TIMEOUT)
            .map_err(|error| DaemonError::Lost { pid, reason: error.reason() })?;
        match (answer.status, &*answer.code()) {
            (200, _) => Ok(()),
            (400, "backup_freeze_not_active") => Err(DaemonError::Late { pid }),
            (status, _) => {
                let reason = format!("it answered {status}, {}", answer.message());
                Err(DaemonError::Lost { pid, reason })
            }
        }
    }
}

impl Freezer for DaemonFreezer<'_> {
    fn begin(&mut self) -> Result<(), FreezeError> {
        #[derive(Deserialize)]
        struct Begun {
            token: String,
        }
        self.daemon.health()?;
        let since = (self.context.now)();
        let mut told = String::new();
        for tries in 1.. {
            if self.context.observer.cancelled() {
                return Err(DaemonError::Cancelled.into());
            }
            let answer = self.daemon.ask("POST", "/api/v1/backup/freeze/begin", None, BEGIN_TIMEOUT)?;
            if answer.status == 200 {
                let begun: Option<Begun> = answer.json();
                let token = begun.map(|begun| begun.token).filter(|token| !token.is_empty());
                let no_token = || self.daemon.stranger("it froze the archive without giving a token");
                self.token = Some(token.ok_or_else(no_token)?);
                return Ok(());
            }
            if (answer.status, &*answer.code()) != (503, "operation_in_progress") {
                return Err(self.daemon.refusal(&answer).into());
            }
            let holder = answer.message();
            if self.is_out_of_patience(since, tries) {
                return Err(DaemonError::Busy { pid: self.daemon.record.pid, holder }.into());
            }
            // The same words with another number of seconds are no news.
            let news = holder.replace(|digit: char| digit.is_ascii_digit(), "");
            if news != told {
                self.context.observer.warn(&format!("waiting for the daemon: {holder}"));
                told = news;
            }
            (self.pause)(RETRY);
        }
        Err(DaemonError::Cancelled.into())
    }

    fn end(&mut self) -> Result<(), FreezeError> {
        Ok(self.send_end()?)
    }
}

impl Drop for DaemonFreezer<'_> {
    /// A window that a panic left open would keep writers out until the daemon's watchdog ends it.
    fn drop(&mut self) {
        let _ = self.send_end();
    }
}
