//! What a daemon tells about itself: `daemon.<pid>.json` in the data directory.

use msgvault_verifier::length::to_u64;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use msgvault_platform::{self as platform, Dir};
use msgvault_verifier::format::path::RelativePath;
use serde::Deserialize;

use super::ownership;
use super::process::{Life, ProcessIdentity};

/// The service that this project's daemons name.
pub const SERVICE: &str = "msgvault";

/// A record has well under a kilobyte.
const MAX_LEN: u64 = 64 << 10;

/// The boot in which the process runs.
pub const BOOT_ID: &str = "boot_id";
/// The PID namespace in which its number counts.
pub const PID_NAMESPACE: &str = "pid_ns";
/// When it began, in ticks since that boot.
pub const START_TICKS: &str = "start_ticks";
/// When it began, in milliseconds since 1970.
pub const CREATE_TIME: &str = "create_time";

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
    /// Which process the number stands for.
    pub process: ProcessIdentity,
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

/// The record of the daemon that seems to own a data directory; none where a daemon's lock is free.
pub fn live(data_dir: &Path) -> Result<Option<Record>, RecordError> {
    let mut found = candidates(data_dir)?;
    if found.is_empty() || ownership::is_free(data_dir) {
        return Ok(None);
    }
    found.sort_by_key(Result::is_err);
    found.into_iter().next().transpose()
}

/// Every record of a data directory whose process may live; an error where it is not usable.
///
/// Records of dead processes, of numbers that were given to another process since, and of other services do
/// not count. Those that stay are claims: a killed container's names a process that nobody here can know.
pub fn candidates(data_dir: &Path) -> Result<Vec<Result<Record, RecordError>>, RecordError> {
    let unreadable = |path: PathBuf| move |source| RecordError::Unreadable { path, source };
    let dir = match Dir::open(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        dir => dir.map_err(unreadable(data_dir.to_owned()))?,
    };
    let mut found = Vec::new();
    for name in dir.entries().map_err(unreadable(data_dir.to_owned()))? {
        let Some((pid, name)) = name.text.and_then(|name| Some((pid_of(&name)?, name))) else { continue };
        let path = data_dir.join(&name);
        let record = match read(&dir, &name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => Err(RecordError::Unreadable { path, source }),
            Ok(bytes) => parse(pid, &bytes).map_err(|reason| RecordError::Malformed { path, reason }),
        };
        match record {
            Ok(None) => {}
            Ok(Some(record)) if record.process.life(pid) == Life::Dead => {}
            Ok(Some(record)) => found.push(Ok(record)),
            // What cannot be read says nothing but its number.
            Err(_) if !platform::process_lives(pid.into()) => {}
            Err(error) => found.push(Err(error)),
        }
    }
    Ok(found)
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
    if to_u64(bytes.len()) > MAX_LEN {
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
    // What cannot be read tells as little as none; who owns the record must be proven anyway.
    let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
    let process = ProcessIdentity {
        boot_id: text(BOOT_ID),
        pid_namespace: text(PID_NAMESPACE),
        start_ticks: number(text(START_TICKS)),
        create_time: number(text(CREATE_TIME)),
    };
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
        process,
        shutdown_token: text("shutdown_token"),
        startup_phase: text("startup_phase"),
    };
    Ok(Some(record))
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

    /// The first record of a home, whoever holds its locks.
    fn candidate(home: &Path) -> Result<Option<Record>, RecordError> {
        candidates(home)?.into_iter().next().transpose()
    }

    fn own_name() -> String {
        format!("daemon.{}.json", std::process::id())
    }

    #[test]
    fn a_live_daemon_is_found_by_its_record() {
        let home = home_with(&own_name(), &record(&[]));
        let found = candidate(home.path()).unwrap().unwrap();
        assert_eq!((found.pid, found.port, &*found.version), (std::process::id(), 4000, "dev"));
        assert_eq!((found.process.create_time, found.startup_phase), (None, None));
        assert_eq!(found.shutdown_token.as_deref(), Some("57"));
    }

    #[test]
    fn records_that_tell_of_nobody_do_not_count() {
        let own = std::process::id();
        let names = ["daemon.json", "daemon.0.json", "daemon.4194305.json", "daemon.x.json", "daemon.lock"];
        for name in names {
            assert_eq!(candidate(home_with(name, "no record").path()).unwrap(), None, "{name}");
        }
        let padded = format!("daemon.0{own}.json");
        assert_eq!(candidate(home_with(&padded, "no record").path()).unwrap(), None);
        let other = record(&[(r#""service": "msgvault""#, r#""service": "other""#)]);
        assert_eq!(candidate(home_with(&own_name(), &other).path()).unwrap(), None);
        assert_eq!(live(Path::new("/nowhere/at/all")).unwrap(), None);
    }

    #[test]
    fn a_record_of_another_process_or_namespace_is_told_apart() {
        let own = ProcessIdentity::of_this_process();
        let (Some(boot), Some(namespace), Some(start)) = (own.boot_id, own.pid_namespace, own.create_time)
        else {
            return;
        };
        let table = [
            (boot.as_str(), namespace.as_str(), start, true),
            (&boot, &namespace, start + 2000, true),
            (&boot, &namespace, start - 2001, false),
            // Nobody here can know.
            (&boot, "pid:[1]", 1, true),
            ("another", &namespace, 1, true),
        ];
        for (boot, namespace, start, counts) in table {
            let told =
                format!(r#""boot_id": "{boot}", "pid_ns": "{namespace}", "create_time": "{start}", "more""#);
            let home = home_with(&own_name(), &record(&[(r#""more""#, &told)]));
            assert_eq!(candidate(home.path()).unwrap().is_some(), counts, "{told}");
        }
    }

    #[test]
    fn a_record_without_a_held_lock_is_ignored() {
        let home = home_with(&own_name(), &record(&[]));
        assert_eq!(live(home.path()).unwrap(), None);
        let owner = ownership::Ownership::take(home.path()).unwrap();
        assert!(live(home.path()).unwrap().is_some());
        drop(owner);
        assert_eq!(live(home.path()).unwrap(), None);
    }

    #[test]
    fn a_time_of_creation_that_cannot_be_read_tells_nothing() {
        let home = home_with(&own_name(), &record(&[("\"more\": \"x\"", "\"create_time\": \"soon\"")]));
        assert_eq!(candidate(home.path()).unwrap().unwrap().process.create_time, None);
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
            let error = candidate(home.path()).unwrap_err();
            assert!(matches!(error, RecordError::Malformed { .. }), "{damage:?}: {error}");
        }
        let home = home_with(&own_name(), &" ".repeat(70_000));
        assert!(matches!(candidate(home.path()), Err(RecordError::Unreadable { .. })));
    }

    #[test]
    fn no_link_is_followed_to_a_record() {
        let home = home_with("real.json", &record(&[]));
        std::os::unix::fs::symlink("real.json", home.path().join(own_name())).unwrap();
        assert!(matches!(candidate(home.path()), Err(RecordError::Unreadable { .. })));
    }
}
