//! `msgvault serve`, started for a test and ended with it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use crate::programs::msgvault;
use crate::raw_http::{Reply, exchange, request};

/// A daemon that runs.
#[derive(Debug)]
pub struct Serve {
    child: Child,
    /// Where it listens.
    pub address: String,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
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
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a daemon");
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
        let lines = Arc::new(Mutex::new(seen));
        let reader = Some(follow(stderr, Arc::clone(&lines)));
        Self { child, address, lines, reader }
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

    /// Begins a freeze and gives its token.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn begin(&self) -> String {
        let reply = self.ask("POST", "/api/v1/backup/freeze/begin", &[], "");
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["token"].as_str().expect("a token").to_owned()
    }

    /// Ends a freeze.
    pub fn end(&self, token: &str) -> Reply {
        let body = format!("{{\"token\":\"{token}\"}}");
        self.ask("POST", "/api/v1/backup/freeze/end", &[("Content-Type", "application/json")], &body)
    }

    /// What it logged so far.
    pub fn log(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

    /// Ends it in order.
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

fn follow(stderr: BufReader<ChildStderr>, lines: Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    })
}
