//! What a daemon tells about itself: `daemon.<pid>.json` in the data directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use msgvault_platform::{self as platform, Dir};
use msgvault_verifier::format::path::RelativePath;
use serde::Deserialize;

/// The service that this project's daemons name.
pub const SERVICE: &str = "msgvault";

/// A record has well under a kilobyte.
const MAX_LEN: u64 = 64 << 10;
/// A process that began so much earlier or later than the record says is another one, in milliseconds.
const START_TOLERANCE: u64 = 2000;

/// A daemon's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its process.
    pub pid: u32,
    /// `host:port`.
    pub address: String,
    /// The program's version.
    pub version: String,
    /// When it started, RFC 3339.
    pub started_at: String,
    /// Where it listens.
    pub host: String,
    /// The port it listens on.
    pub port: u16,
    /// The version of the protocol.
    pub api_version: String,
    /// The version of the schema of its answers.
    pub api_schema_version: String,
    /// `none`, or what the key hashes to.
    pub auth_fingerprint: String,
    /// When the process began, in milliseconds since 1970, if told.
    pub create_time: Option<u64>,
    /// The text that keys the proof of identity.
    pub shutdown_token: Option<String>,
    /// What it is still doing; none once it is ready.
    pub startup_phase: Option<String>,
}

/// Why a record cannot be used although its process lives.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The data directory or a record cannot be read.
    #[error("{} cannot be read to see whether a daemon runs: {source}", path.display())]
    Unreadable {
        /// The directory or the record.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not what a daemon writes.
    #[error(
        "{} is not a usable record of the daemon whose process lives: {reason}; remove the file if no daemon runs",
        path.display()
    )]
    Malformed {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The daemon that seems to own a data directory, if its process lives.
pub fn live(data_dir: &Path) -> Result<Option<Record>, RecordError> {
    Ok(all_live(data_dir)?.into_iter().next())
}

/// Every record of a data directory whose process lives.
///
/// Records of dead processes, of numbers that were given to another process since, and of other services do
/// not count.
pub fn all_live(data_dir: &Path) -> Result<Vec<Record>, RecordError> {
    let unreadable = |path: PathBuf| move |source| RecordError::Unreadable { path, source };
    let dir = match Dir::open(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        dir => dir.map_err(unreadable(data_dir.to_owned()))?,
    };
    let mut records = Vec::new();
    for name in dir.entries().map_err(unreadable(data_dir.to_owned()))? {
        let Some(name) = name.text else { continue };
        let Some(pid) = pid_of(&name).filter(|pid| platform::process_lives(u64::from(*pid))) else {
            continue;
        };
        let path = data_dir.join(&name);
        let bytes = match read(&dir, &name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            bytes => bytes.map_err(unreadable(path.clone()))?,
        };
        let found = parse(pid, &bytes).map_err(|reason| RecordError::Malformed { path, reason })?;
        records.extend(found.filter(|record| !is_reused(record)));
    }
    Ok(records)
}

/// The name of a process's record.
pub fn file_name(pid: u32) -> String {
    format!("daemon.{pid}.json")
}

/// The process that a record is named after, if the name is a record's.
pub fn pid_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("daemon.")?.strip_suffix(".json")?;
    let pid: u32 = digits.parse().ok()?;
    (pid != 0 && pid.to_string() == digits).then_some(pid)
}

fn read(dir: &Dir, name: &str) -> io::Result<Vec<u8>> {
    let path = RelativePath::parse(name).map_err(io::Error::other)?;
    let file = dir.open_file(&path)?;
    check_owner(&file)?;
    let mut bytes = Vec::new();
    file.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LEN {
        return Err(io::Error::other("it is too large for a record"));
    }
    Ok(bytes)
}

#[cfg(unix)]
fn check_owner(file: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    if file.metadata()?.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(io::Error::other("it belongs to another user"))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature everywhere")]
fn check_owner(_: &File) -> io::Result<()> {
    Ok(())
}

#[derive(Deserialize)]
struct Json {
    pid: u32,
    network: String,
    address: String,
    service: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    started_at: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// Reads a record; `None` when it is another service's.
fn parse(pid: u32, bytes: &[u8]) -> Result<Option<Record>, String> {
    let json: Json = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if json.service != SERVICE {
        return Ok(None);
    }
    if json.pid != pid {
        return Err(format!("it is named after process {pid} and tells of {}", json.pid));
    }
    if json.network != "tcp" {
        return Err(format!("its network is {:?}, and only tcp can be reached", json.network));
    }
    let mut metadata = json.metadata;
    let mut text = |key: &str| metadata.remove(key);
    let mut needed = |key: &str| text(key).ok_or_else(|| format!("it has no {key}"));
    let (host, port) = (needed("host")?, needed("port")?);
    let record = Record {
        pid,
        address: json.address,
        version: json.version,
        started_at: json.started_at,
        host,
        port: port.parse().map_err(|_| format!("its port is {port:?}"))?,
        api_version: needed("api_version")?,
        api_schema_version: needed("api_schema_version")?,
        auth_fingerprint: needed("auth_fingerprint")?,
        // One that cannot be read tells as little as none; who owns the record must be proven anyway.
        create_time: text("create_time").and_then(|time| time.parse().ok()),
        shutdown_token: text("shutdown_token"),
        startup_phase: text("startup_phase"),
    };
    Ok(Some(record))
}

impl Record {
    /// Whether the process of this number began after the record was written, so that another one wrote it.
    ///
    /// A clock that was set forward meanwhile makes it seem so too: ask the daemon first.
    pub fn is_older_than_its_process(&self) -> bool {
        let Ok(started) = self.started_at.parse::<jiff::Timestamp>() else { return false };
        let started = u64::try_from(started.as_millisecond()).unwrap_or(0);
        process_start(self.pid).is_some_and(|actual| actual.saturating_sub(started) > START_TOLERANCE)
    }
}

/// Whether the process that lives began at another time than the one that wrote the record.
fn is_reused(record: &Record) -> bool {
    match (record.create_time, process_start(record.pid)) {
        (Some(told), Some(actual)) => told.abs_diff(actual) > START_TOLERANCE,
        _ => false,
    }
}

/// When a process began, in milliseconds since 1970, where the system tells.
#[cfg(target_os = "linux")]
fn process_start(pid: u32) -> Option<u64> {
    /// The unit of `/proc` on every architecture that Linux still runs on.
    const TICKS_PER_SECOND: u64 = 100;
    let system = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let process = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and can hold anything; the 22nd is wanted.
    let (_, fields) = process.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    boot.checked_mul(1000)?.checked_add(ticks.checked_mul(1000)? / TICKS_PER_SECOND)
}

#[cfg(not(target_os = "linux"))]
fn process_start(_: u32) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The record of this very process, which lives, with some text replaced.
    fn record(replace: &[(&str, &str)]) -> String {
        let pid = std::process::id();
        let mut text = format!(
            r#"{{"pid": {pid}, "network": "tcp", "address": "127.0.0.1:4000", "service": "msgvault",
            "version": "dev", "started_at": "2026-11-23T14:22:03Z", "metadata": {{"host": "127.0.0.1",
            "port": "4000", "api_version": "1", "api_schema_version": "2.7.0",
            "auth_fingerprint": "none", "shutdown_token": "57", "more": "x"}}}}"#
        );
        for (from, to) in replace {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        text
    }

    fn home_with(name: &str, text: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(name), text).unwrap();
        home
    }

    fn own_name() -> String {
        format!("daemon.{}.json", std::process::id())
    }

    #[test]
    fn a_live_daemon_is_found_by_its_record() {
        let home = home_with(&own_name(), &record(&[]));
        let found = live(home.path()).unwrap().unwrap();
        assert_eq!((found.pid, found.port, &*found.version), (std::process::id(), 4000, "dev"));
        assert_eq!((found.create_time, found.startup_phase), (None, None));
        assert_eq!(found.shutdown_token.as_deref(), Some("57"));
    }

    #[test]
    fn records_that_tell_of_nobody_do_not_count() {
        let own = std::process::id();
        let names = ["daemon.json", "daemon.0.json", "daemon.4194305.json", "daemon.x.json", "daemon.lock"];
        for name in names {
            assert_eq!(live(home_with(name, "no record").path()).unwrap(), None, "{name}");
        }
        let padded = format!("daemon.0{own}.json");
        assert_eq!(live(home_with(&padded, "no record").path()).unwrap(), None);
        let other = record(&[(r#""service": "msgvault""#, r#""service": "other""#)]);
        assert_eq!(live(home_with(&own_name(), &other).path()).unwrap(), None);
        assert_eq!(live(Path::new("/nowhere/at/all")).unwrap(), None);
    }

    #[test]
    fn a_number_that_another_process_has_now_does_not_count() {
        let Some(start) = process_start(std::process::id()) else { return };
        for (told, counts) in [(start, true), (start + 2000, true), (start - 2001, false), (1, false)] {
            let time = format!(r#""create_time": "{told}", "more""#);
            let home = home_with(&own_name(), &record(&[(r#""more""#, &time)]));
            assert_eq!(live(home.path()).unwrap().is_some(), counts, "{told}");
        }
    }

    #[test]
    fn a_record_can_be_older_than_its_process() {
        let Some(start) = process_start(std::process::id()) else { return };
        let text = |ms: u64| jiff::Timestamp::from_millisecond(ms.try_into().unwrap()).unwrap().to_string();
        let table = [(text(start), false), (text(start - 2000), false), (text(start - 2001), true)];
        for (told, older) in table.into_iter().chain([("soon".to_owned(), false)]) {
            let home = home_with(&own_name(), &record(&[("2026-11-23T14:22:03Z", &told)]));
            let found = live(home.path()).unwrap().unwrap();
            assert_eq!(found.is_older_than_its_process(), older, "{told}");
        }
    }

    #[test]
    fn a_time_of_creation_that_cannot_be_read_tells_nothing() {
        let home = home_with(&own_name(), &record(&[("\"more\": \"x\"", "\"create_time\": \"soon\"")]));
        assert_eq!(live(home.path()).unwrap().unwrap().create_time, None);
    }

    #[test]
    fn a_record_that_cannot_be_used_stops_everything() {
        let damages: [&[(&str, &str)]; 6] = [
            &[("\"pid\": ", "\"pid\": 1")],
            &[("tcp", "unix")],
            &[("\"4000\"", "\"70000\"")],
            &[("\"4000\"", "4000")],
            &[("\"host\"", "\"hosts\"")],
            &[("}}", "")],
        ];
        for damage in damages {
            let home = home_with(&own_name(), &record(damage));
            let error = live(home.path()).unwrap_err();
            assert!(matches!(error, RecordError::Malformed { .. }), "{damage:?}: {error}");
        }
        let home = home_with(&own_name(), &" ".repeat(70_000));
        assert!(matches!(live(home.path()), Err(RecordError::Unreadable { .. })));
    }

    #[test]
    fn no_link_is_followed_to_a_record() {
        let home = home_with("real.json", &record(&[]));
        std::os::unix::fs::symlink("real.json", home.path().join(own_name())).unwrap();
        assert!(matches!(live(home.path()), Err(RecordError::Unreadable { .. })));
    }
}
