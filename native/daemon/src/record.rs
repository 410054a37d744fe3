//! The record of a daemon that runs, and the lease on the data directory that it speaks of.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use msgvault_freeze::identity::{self, API_SCHEMA_VERSION, API_VERSION};
use msgvault_freeze::process::ProcessIdentity;
use msgvault_freeze::record::{BOOT_ID, CREATE_TIME, PID_NAMESPACE, SERVICE, START_TICKS, file_name, pid_of};
use msgvault_platform::Dir;
use msgvault_verifier::format::path::RelativePath;
use serde::Serialize;

/// The record, which is there as long as this lives.
pub struct RuntimeRecord {
    dir: Dir,
    name: RelativePath,
    staged: RelativePath,
    document: Mutex<RecordDocument>,
}

/// What a record tells.
pub struct Facts<'a> {
    /// This process.
    pub pid: u32,
    /// What tells it from others of its number.
    pub process: ProcessIdentity,
    /// Where it listens.
    pub listens: SocketAddr,
    /// The program's version.
    pub version: &'static str,
    /// The time now.
    pub started_at: Timestamp,
    /// The API key; empty when none is needed.
    pub api_key: &'a str,
    /// What proves that the record is the daemon's.
    pub shutdown_token: &'a str,
}

#[derive(Serialize)]
struct RecordDocument {
    pid: u32,
    network: &'static str,
    address: String,
    service: &'static str,
    version: &'static str,
    started_at: String,
    metadata: BTreeMap<&'static str, String>,
}

impl RuntimeRecord {
    /// Writes the record and removes those that daemons before left behind: who calls this holds the locks,
    /// so that no other daemon lives.
    pub fn publish(data_dir: &Path, facts: &Facts<'_>) -> io::Result<Self> {
        let dir = Dir::open(data_dir)?;
        let own = file_name(facts.pid);
        for name in dir.entries()?.into_iter().filter_map(|name| name.text) {
            let staged = name.strip_suffix(STAGED).unwrap_or(&name);
            if pid_of(staged).is_some() && name != own {
                dir.remove_file(&relative(&name)?)?;
            }
        }
        let staged = relative(&format!("{own}{STAGED}"))?;
        let record = Self { dir, name: relative(&own)?, staged, document: Mutex::new(document(facts)) };
        record.write()?;
        Ok(record)
    }

    /// Writes the record again if somebody removed it; says whether that was so.
    pub fn restore(&self) -> io::Result<bool> {
        let clock_was_set = self.follow_clock(&ProcessIdentity::of_this_process());
        match self.dir.stat(&self.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.write().map(|()| true),
            Ok(_) if clock_was_set => self.write().map(|()| false),
            stat => stat.map(|_| false),
        }
    }

    /// The same process began at another time when the clock was set, and clients compare.
    fn follow_clock(&self, now: &ProcessIdentity) -> bool {
        let Some(actual) = now.create_time else { return false };
        let metadata = &mut self.document.lock().unwrap_or_else(PoisonError::into_inner).metadata;
        let told = metadata.get(CREATE_TIME).and_then(|told| told.parse::<u64>().ok());
        let was_set = told.is_some_and(|told| told.abs_diff(actual) > CLOCK_SLACK);
        if was_set {
            metadata.insert(CREATE_TIME, actual.to_string());
        }
        was_set
    }

    fn write(&self) -> io::Result<()> {
        match self.dir.remove_file(&self.staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = self.dir.create_file(&self.staged)?;
        let document = self.document.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(serde_json::to_string_pretty(&*document)?.as_bytes())?;
        self.dir.rename(&self.staged, &self.name)
    }
}

impl Drop for RuntimeRecord {
    fn drop(&mut self) {
        // A record that stays names a dead process, and nobody believes it.
        let _ = self.dir.remove_file(&self.name);
    }
}

const STAGED: &str = ".new";
/// Clients allow twice as much, in milliseconds.
const CLOCK_SLACK: u64 = 1000;

fn relative(name: &str) -> io::Result<RelativePath> {
    RelativePath::parse(name).map_err(io::Error::other)
}

fn document(facts: &Facts<'_>) -> RecordDocument {
    let ProcessIdentity { boot_id, pid_namespace, start_ticks, create_time } = &facts.process;
    let number = |number: &Option<u64>| number.map(|number| number.to_string());
    let told = [
        (BOOT_ID, boot_id.clone()),
        (PID_NAMESPACE, pid_namespace.clone()),
        (START_TICKS, number(start_ticks)),
        (CREATE_TIME, number(create_time)),
    ];
    let mut metadata = BTreeMap::from([
        ("api_schema_version", API_SCHEMA_VERSION.to_owned()),
        ("api_version", API_VERSION.to_owned()),
        ("auth_fingerprint", identity::fingerprint(facts.api_key)),
        ("host", facts.listens.ip().to_string()),
        ("port", facts.listens.port().to_string()),
        ("shutdown_token", facts.shutdown_token.to_owned()),
    ]);
    metadata.extend(told.into_iter().filter_map(|(key, value)| Some((key, value?))));
    RecordDocument {
        pid: facts.pid,
        network: "tcp",
        address: dialled(facts.listens).to_string(),
        service: SERVICE,
        version: facts.version,
        started_at: facts.started_at.to_string(),
        metadata,
    }
}

/// Where this machine reaches an address that means all interfaces.
fn dialled(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use msgvault_freeze::record;

    fn publish(data_dir: &Path, listens: &str) -> RuntimeRecord {
        publish_as(ProcessIdentity::of_this_process(), data_dir, listens)
    }

    fn publish_as(process: ProcessIdentity, data_dir: &Path, listens: &str) -> RuntimeRecord {
        let facts = Facts {
            pid: std::process::id(),
            process,
            listens: listens.parse().unwrap(),
            version: "dev",
            started_at: "2026-11-23T14:22:03.502621733Z".parse().unwrap(),
            api_key: "",
            shutdown_token: "57925fc1512bd9e5271b3ff1b8888afea20c041c46b48fe5a315b0cea66aa413",
        };
        RuntimeRecord::publish(data_dir, &facts).unwrap()
    }

    fn found(data_dir: &Path) -> record::Record {
        record::candidates(data_dir).unwrap().remove(0).unwrap()
    }

    #[test]
    fn the_record_equals_the_go_program_s_and_is_removed() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let process = ProcessIdentity {
            boot_id: Some("119e40d4-6e78-4aac-9bb6-ce7d44a4a209".to_owned()),
            pid_namespace: Some("pid:[4026531836]".to_owned()),
            start_ticks: Some(784_349),
            create_time: Some(1_795_443_722_490),
        };
        let record = publish_as(process, home.path(), "127.0.0.1:34553");
        let path = home.path().join(file_name(std::process::id()));
        let expected = r#"{
  "pid": PID,
  "network": "tcp",
  "address": "127.0.0.1:34553",
  "service": "msgvault",
  "version": "dev",
  "started_at": "2026-11-23T14:22:03.502621733Z",
  "metadata": {
    "api_schema_version": "2.7.0",
    "api_version": "1",
    "auth_fingerprint": "none",
    "boot_id": "119e40d4-6e78-4aac-9bb6-ce7d44a4a209",
    "create_time": "1795443722490",
    "host": "127.0.0.1",
    "pid_ns": "pid:[4026531836]",
    "port": "34553",
    "shutdown_token": "57925fc1512bd9e5271b3ff1b8888afea20c041c46b48fe5a315b0cea66aa413",
    "start_ticks": "784349"
  }
}"#;
        let expected = expected.replace("PID", &std::process::id().to_string());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(record);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_client_finds_the_process_of_the_record_alive() {
        let home = tempfile::tempdir().unwrap();
        let record = publish(home.path(), "127.0.0.1:34553");
        assert_eq!(found(home.path()).process, ProcessIdentity::of_this_process());
        drop(record);
        assert!(record::candidates(home.path()).unwrap().is_empty());
    }

    #[test]
    fn a_clock_that_was_set_is_followed() {
        let home = tempfile::tempdir().unwrap();
        let before = ProcessIdentity { create_time: Some(1000), ..ProcessIdentity::of_this_process() };
        let record = publish_as(before, home.path(), "127.0.0.1:34553");
        assert!(!record.restore().unwrap(), "nothing had vanished");
        let Some(told) = found(home.path()).process.create_time else { return };
        let actual = ProcessIdentity::of_this_process().create_time.unwrap();
        assert!(told.abs_diff(actual) <= 1000, "{told} {actual}");
    }

    #[test]
    fn a_record_that_vanished_is_written_again() {
        let home = tempfile::tempdir().unwrap();
        let record = publish(home.path(), "127.0.0.1:34553");
        assert!(!record.restore().unwrap());
        let path = home.path().join(file_name(std::process::id()));
        let before = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(record.restore().unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn what_daemons_before_left_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let other = std::process::id() - 1;
        for name in [file_name(other), format!("{}.new", file_name(other))] {
            std::fs::write(home.path().join(name), "{}").unwrap();
        }
        std::fs::write(home.path().join("daemon.json"), "kept").unwrap();
        let record = publish(home.path(), "0.0.0.0:34553");
        let found = found(home.path());
        assert_eq!((&*found.address, &*found.host), ("127.0.0.1:34553", "0.0.0.0"));
        drop(record);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
