use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::*;

/// Keeps the lines of a log.
#[derive(Clone, Default)]
pub(super) struct LogRecorder(Arc<Mutex<Vec<String>>>);

impl LogRecorder {
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A machine whose clock begins at `start` and follows tokio's, which tests move, and whose randomness
/// counts.
pub(super) fn machine_at(start: &str) -> (DaemonEnvironment, LogRecorder) {
    let start: Timestamp = start.parse().unwrap();
    let (began, counter, recorder) = (Instant::now(), AtomicU64::new(0), LogRecorder::default());
    let lines = recorder.clone();
    let machine = DaemonEnvironment {
        now: Arc::new(move || start + jiff::SignedDuration::try_from(began.elapsed()).unwrap()),
        random: Arc::new(move || u128::from(counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed))),
        least: Level::Debug,
        sink: Arc::new(move |line| {
            lines.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
        }),
    };
    (machine, recorder)
}

pub(super) fn machine() -> (DaemonEnvironment, LogRecorder) {
    machine_at("2026-11-23T14:22:03Z")
}

fn settings(data_dir: &Path, listen: &str) -> Settings {
    Settings {
        data_dir: data_dir.to_owned(),
        listen: listen.parse().unwrap(),
        api_key: String::new(),
        version: "dev",
        pid: std::process::id(),
        gate: Gate::new(Arc::new(|| Timestamp::UNIX_EPOCH)),
        plan: Schedule::default(),
        zone: TimeZone::UTC,
        program: "/nowhere/at/all".into(),
        place: Vec::new(),
        hook_time: Duration::from_secs(1),
        page: Err("no page"),
        inquiry: Arc::default(),
    }
}

#[test]
fn addresses_to_listen_on() {
    let table = [
        ("127.0.0.1", Some("127.0.0.1:4")),
        ("localhost", Some("127.0.0.1:4")),
        ("::1", Some("[::1]:4")),
        ("[::1]", Some("[::1]:4")),
        ("0.0.0.0", Some("0.0.0.0:4")),
        ("example.org", None),
        ("127.0.0.1:80", None),
        ("", None),
    ];
    for (bind, expected) in table {
        let address = listen_address(bind, 4).ok().map(|address| address.to_string());
        assert_eq!(address.as_deref(), expected, "{bind}");
    }
}

#[tokio::test]
async fn a_daemon_for_other_machines_needs_a_key() {
    let home = tempfile::tempdir().unwrap();
    let (machine, _) = machine();
    let refused = serve(settings(home.path(), "0.0.0.0:0"), machine, async { "never" }).await;
    assert!(matches!(refused, Err(ServeError::NeedsKey { .. })));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_daemon_owns_its_home_and_leaves_it_as_it_was() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let (machine, log) = machine();
    let stop = async {
        assert!(matches!(Ownership::take(home.path()), Err(OwnershipError::Held { .. })));
        let record = msgvault_freeze::record::live(home.path()).unwrap().unwrap();
        assert_eq!(record.auth_fingerprint, "none");
        assert_eq!(std::fs::metadata(home.path()).unwrap().permissions().mode() & 0o777, 0o700);
        "TERM"
    };
    serve(settings(home.path(), "127.0.0.1:0"), machine, stop).await.unwrap();
    assert!(msgvault_freeze::record::live(home.path()).unwrap().is_none());
    Ownership::take(home.path()).unwrap();
    let lines = log.lines().join("\n");
    for part in ["other users had access", "msg=listening address=127.0.0.1:", "signal=TERM", "msg=stopped"] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_vanished_comes_back_within_30_seconds() {
    let home = tempfile::tempdir().unwrap();
    let (machine, _) = machine();
    let path = home.path().join(msgvault_freeze::record::file_name(std::process::id()));
    let stop = async {
        std::fs::remove_file(&path).unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(path.exists());
        "TERM"
    };
    serve(settings(home.path(), "127.0.0.1:0"), machine, stop).await.unwrap();
    assert!(!path.exists());
}
