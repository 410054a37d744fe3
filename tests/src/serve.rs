//! `msgvault serve`, started for a test and ended with it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::programs::{msgvault, program};
use crate::raw_http::{Reply, exchange, request};

/// Where a freeze begins.
pub const BEGIN: &str = "/api/v1/backup/freeze/begin";
/// Where it ends.
pub const END: &str = "/api/v1/backup/freeze/end";

/// A home whose database is empty, which is all that a daemon needs.
///
/// # Panics
///
/// When it cannot be made.
pub fn home(config: &str) -> TempDir {
    let home = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(home.path().join("config.toml"), config).expect("a configuration");
    std::fs::write(home.path().join("msgvault.db"), "").expect("a database");
    home
}

/// A home whose daemon needs a key.
///
/// # Panics
///
/// When it cannot be made.
pub fn home_with_key(key: &str) -> TempDir {
    home(&format!("[server]\napi_key = {key:?}\n"))
}

/// A running daemon.
#[derive(Debug)]
pub struct Serve {
    child: Child,
    /// Where it listens.
    pub address: String,
    log: Arc<Log>,
    reader: Option<JoinHandle<()>>,
}

/// The lines of a log, and whether it is complete.
#[derive(Debug, Default)]
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    longer: Condvar,
}

impl Serve {
    /// Starts a daemon for a home and waits until it listens.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn start(home: &Path, args: &[&str]) -> Self {
        let mut command = msgvault();
        command.arg("serve").arg("--home").arg(home).args(args);
        Self::spawn(command)
    }

    /// Starts a daemon by a command and waits until it listens.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn spawn(mut command: Command) -> Self {
        Self::watch(command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a daemon"))
    }

    fn watch(mut child: Child) -> Self {
        let mut stderr = BufReader::new(child.stderr.take().expect("its standard error"));
        let mut seen = Vec::new();
        let address = loop {
            let mut line = String::new();
            let read = stderr.read_line(&mut line).expect("a line of its log");
            assert!(read > 0, "the daemon did not start: {seen:?}");
            seen.push(line.trim_end().to_owned());
            if let Some((_, rest)) = line.split_once("msg=listening address=") {
                break rest.split_whitespace().next().unwrap_or_default().to_owned();
            }
        };
        let log = Arc::new(Log { lines: Mutex::new((seen, false)), longer: Condvar::new() });
        let reader = Some(log.follow(stderr));
        Self { child, address, log, reader }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request with the daemon's own address as `Host`.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        exchange(&self.address, &request(method, path, &self.address, headers, body))
    }

    /// Begins a freeze and returns its token.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn begin(&self) -> String {
        let reply = self.ask("POST", BEGIN, &[], "");
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["token"].as_str().expect("a token").to_owned()
    }

    /// Ends a freeze.
    pub fn end(&self, token: &str) -> Reply {
        let body = format!("{{\"token\":\"{token}\"}}");
        self.ask("POST", END, &[("Content-Type", "application/json")], &body)
    }

    /// What it has logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines().0.clone()
    }

    /// Waits until a line of its log contains this.
    ///
    /// # Panics
    ///
    /// If it ends without one, or takes more than a minute.
    pub fn wait_for(&self, part: &str) {
        let missing = |log: &mut (Vec<String>, bool)| !log.1 && !log.0.iter().any(|line| line.contains(part));
        let log = self.log.longer.wait_timeout_while(self.log.lines(), Duration::from_mins(1), missing);
        let (lines, _) = &*log.unwrap_or_else(PoisonError::into_inner).0;
        assert!(lines.iter().any(|line| line.contains(part)), "{part}: {lines:?}");
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When that cannot be done.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("a signal");
    }

    /// Waits for its end, after which the log is complete.
    ///
    /// # Panics
    ///
    /// When that cannot be done.
    pub fn wait(&mut self) -> ExitStatus {
        let status = self.child.wait().expect("its end");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("its log");
        }
        status
    }

    /// Stops it cleanly.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn stop(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        assert!(self.wait().success(), "{:?}", self.log());
        self.log()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    fn lines(&self) -> MutexGuard<'_, (Vec<String>, bool)> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(self: &Arc<Self>, stderr: BufReader<ChildStderr>) -> JoinHandle<()> {
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                log.lines().0.push(line);
                log.longer.notify_all();
            }
            log.lines().1 = true;
            log.longer.notify_all();
        })
    }
}

/// A daemon whose clock moves only on command: `clocked-daemon`.
#[derive(Debug)]
pub struct ClockedServe {
    /// The daemon.
    pub daemon: Serve,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl ClockedServe {
    /// Starts a daemon for a home; with a label, other work of that name holds the gate.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn start(home: &Path, holder: Option<&str>) -> Self {
        let mut command = Command::new(program("clocked-daemon"));
        command.arg(home).args(holder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a daemon");
        let orders = child.stdin.take().expect("its standard input");
        let answers = BufReader::new(child.stdout.take().expect("its standard output"));
        Self { daemon: Serve::watch(child), orders, answers }
    }

    /// Lets time pass for it.
    ///
    /// # Panics
    ///
    /// When it does not listen any more.
    pub fn pass(&mut self, time: Duration) {
        self.order(&time.as_millis().to_string());
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("an answer");
        assert_eq!(answer, "passed\n");
    }

    /// Tells it to end, as a signal does.
    ///
    /// # Panics
    ///
    /// When it does not listen any more.
    pub fn tell_to_end(&mut self) {
        self.order("end");
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("an order");
    }
}
