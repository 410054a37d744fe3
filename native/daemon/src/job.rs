//! Scheduled work itself: the program runs once more, as a child, and hooks are told how it went.
//!
//! A backup is made the same way by hand and by schedule, then; it asks this daemon to freeze like everybody.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::connections::stopped;
use super::schedule::{HookResult, JobOutcome, JobVerdict, Runner, ScheduledJob};

/// A report that is longer is not kept.
const MAX_REPORT: u64 = 64 << 10;
/// As much is kept of the beginning of what a program complains, and as much of its end.
const MAX_COMPLAINT: usize = 4 << 10;
/// How long scheduled work waits for a lock on the repository. Whoever holds one and was killed elsewhere has lost
/// it within that time.
const LOCK_PATIENCE: &str = "1h";
/// What begins the lines that this program says on standard error.
const OWN_NAME: &str = "msgvault: ";
const WARNING: &str = "msgvault: warning: ";
/// How long a program may take to end in order when the daemon ends.
const STOP_TIME: Duration = Duration::from_secs(30);
/// How long the news that the daemon ends may take after a child has had it.
const STOP_NEWS: Duration = Duration::from_secs(2);

/// Runs this program and hooks.
pub(super) struct Children {
    /// This program.
    pub(super) program: PathBuf,
    /// Flags that name home, configuration and repository.
    pub(super) place: Vec<OsString>,
    /// How much of the packs a verification reads.
    pub(super) verify_budget: Option<String>,
    /// How long a hook may take.
    pub(super) hook_time: Duration,
    /// Becomes true when the daemon ends.
    pub(super) stop: watch::Receiver<bool>,
}

/// The line that makes a backup as the schedule does, for a shell.
pub(super) fn by_hand(program: &Path, place: &[OsString]) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "/._-+=:,".contains(char);
    let quote = |word: &OsStr| {
        let word = word.to_string_lossy();
        if !word.is_empty() && word.chars().all(plain) {
            return word.into_owned();
        }
        format!("'{}'", word.replace('\'', r"'\''"))
    };
    let words = [program.as_os_str()].into_iter().chain(place.iter().map(OsString::as_os_str));
    let line: Vec<String> = words.map(quote).collect();
    format!("{} backup create", line.join(" "))
}

/// How a child ended.
struct ChildEnd {
    code: Option<i32>,
    stdout: Vec<u8>,
    complaint: String,
}

/// Why a child was not left to end by itself.
enum Cut {
    Stopped,
    TookTooLong,
    Failed(io::Error),
}

impl Runner for Children {
    async fn run(&self, job: ScheduledJob) -> JobOutcome {
        let mut command = Command::new(&self.program);
        // Quiet, so that all of what it says on standard error is what is wrong.
        command.args(&self.place).args(["--json", "--quiet", "--progress", "none", "backup"]);
        match (job, &self.verify_budget) {
            (ScheduledJob::Verify, Some(budget)) => command.args(["verify", "--oldest", "--budget", budget]),
            (job, _) => command.args(job.arguments()),
        };
        command.args(["--retry-lock", LOCK_PATIENCE]);
        match self.run_child(command, None, None).await {
            // A service manager can tell the child to stop before it tells the daemon.
            Ok(ChildEnd { code: Some(130 | 143), .. }) if self.is_stopping().await => JobOutcome::stopped(),
            Ok(ended) => outcome(&ended),
            Err(Cut::Stopped) => JobOutcome::stopped(),
            Err(Cut::TookTooLong) => JobOutcome::failed("it took too long"),
            Err(Cut::Failed(error)) => {
                JobOutcome::failed(&format!("{} cannot be run: {error}", self.program.display()))
            }
        }
    }

    async fn hook(&self, command_line: &str, document: &Value) -> HookResult {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(command_line);
        let input = document.to_string();
        let message = match self.run_child(command, Some(input), Some(self.hook_time)).await {
            Ok(ChildEnd { code: Some(0), .. }) => return HookResult::done(command_line),
            Ok(ChildEnd { code: Some(code), complaint, .. }) => format!("it ended with {code}: {complaint}"),
            Ok(ChildEnd { complaint, .. }) => format!("a signal ended it: {complaint}"),
            Err(Cut::Stopped) => "it was ended because the daemon was stopped".to_owned(),
            Err(Cut::TookTooLong) => format!("it was ended after {} s", self.hook_time.as_secs()),
            Err(Cut::Failed(error)) => format!("it cannot be run: {error}"),
        };
        HookResult::failed(command_line, message.trim_end_matches([':', ' ']))
    }
}

impl Children {
    async fn is_stopping(&self) -> bool {
        let mut stop = self.stop.clone();
        tokio::time::timeout(STOP_NEWS, stopped(&mut stop)).await.is_ok()
    }

    async fn run_child(
        &self,
        mut command: Command,
        input: Option<String>,
        limit: Option<Duration>,
    ) -> Result<ChildEnd, Cut> {
        let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // A group of its own, so that a signal of the terminal does not reach it and all of it can be ended.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(Cut::Failed)?;
        let group = Group::of(&child);
        let mut talk = std::pin::pin!(converse(&mut child, input));
        let mut stop = self.stop.clone();
        let cut = tokio::select! {
            ended = talk.as_mut() => return ended.map_err(Cut::Failed),
            () = after(limit) => Cut::TookTooLong,
            () = stopped(&mut stop) => Cut::Stopped,
        };
        group.end();
        let last = tokio::time::timeout(STOP_TIME, talk.as_mut()).await;
        // What it started can outlive it and care for no other signal.
        group.kill();
        match (cut, last) {
            // It was done when it was told to stop.
            (Cut::Stopped, Ok(Ok(ended @ ChildEnd { code: Some(0), .. }))) => Ok(ended),
            (cut, _) => Err(cut),
        }
    }
}

/// Feeds a child, reads what it says, and waits for its end.
async fn converse(child: &mut Child, input: Option<String>) -> io::Result<ChildEnd> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A hook need not read what it is told.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let (status, (), stdout, complaint) =
        tokio::join!(child.wait(), feed, read_head(stdout), read_ends(stderr));
    Ok(ChildEnd { code: status?.code(), stdout, complaint })
}

/// Reads all and keeps the beginning, one byte more than is of use.
async fn read_head(from: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(from) = from {
        let mut head = from.take(MAX_REPORT + 1);
        let _ = head.read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut head.into_inner(), &mut tokio::io::sink()).await;
    }
    kept
}

/// Reads all and keeps both ends.
async fn read_ends(from: Option<impl AsyncRead + Unpin>) -> String {
    let (mut kept, mut chunk, mut is_cut) = (Vec::new(), [0; 4096], false);
    if let Some(mut from) = from {
        while let Ok(read @ 1..) = from.read(&mut chunk).await {
            kept.extend_from_slice(chunk.get(..read).unwrap_or_default());
            let surplus = kept.len().saturating_sub(2 * MAX_COMPLAINT);
            if surplus > 0 {
                is_cut = true;
                kept.drain(MAX_COMPLAINT..MAX_COMPLAINT + surplus);
            }
        }
    }
    let (begin, end) = kept.split_at(if is_cut { MAX_COMPLAINT } else { 0 });
    let [begin, end] = [begin, end].map(String::from_utf8_lossy);
    let gap = if is_cut { "\n…\n" } else { "" };
    format!("{begin}{gap}{end}").trim().to_owned()
}

/// A child and all that it started.
struct Group {
    #[cfg(unix)]
    id: Option<rustix::process::Pid>,
}

#[cfg(unix)]
impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { id: id.and_then(rustix::process::Pid::from_raw) }
    }

    fn end(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    fn kill(&self) {
        self.signal(rustix::process::Signal::KILL);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        if let Some(id) = self.id {
            // None of them may be left.
            let _ = rustix::process::kill_process_group(id, signal);
        }
    }
}

/// Elsewhere a child is ended when it is dropped.
#[cfg(not(unix))]
impl Group {
    fn of(_: &Child) -> Self {
        Self {}
    }

    fn end(&self) {}

    fn kill(&self) {}
}

async fn after(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

fn outcome(ended: &ChildEnd) -> JobOutcome {
    let complaint = complaint(&ended.complaint);
    let verdict = match ended.code {
        Some(0) => JobVerdict::Ok,
        Some(3) => JobVerdict::Problems,
        Some(4) => JobVerdict::Alarm,
        _ => JobVerdict::Failed,
    };
    // What a failed run prints is its message once more.
    let small = u64::try_from(ended.stdout.len()).is_ok_and(|len| len <= MAX_REPORT);
    let is_report = small && verdict != JobVerdict::Failed;
    let report = if is_report { serde_json::from_slice(&ended.stdout).ok() } else { None };
    let message = match (verdict, &*complaint) {
        (JobVerdict::Ok, _) => String::new(),
        (JobVerdict::Problems, "") => "it found problems".to_owned(),
        (JobVerdict::Alarm, "") => "the archive holds much less than before, or was rewritten".to_owned(),
        (_, "") if ended.code.is_none() => "a signal ended it".to_owned(),
        (_, _) => complaint,
    };
    JobOutcome { verdict, exit_code: ended.code, message, report }
}

/// Why a program failed: the last sentence that it says in its own name, and the particulars below it. What comes
/// before are warnings.
fn complaint(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().collect();
    let is_sentence = |line: &&str| line.starts_with(OWN_NAME) && !line.starts_with(WARNING);
    let last = lines.iter().rposition(is_sentence).unwrap_or(lines.len().saturating_sub(1));
    let text = lines.get(last..).unwrap_or_default().join("\n");
    text.strip_prefix(OWN_NAME).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn children(program: &str, stop: &watch::Receiver<bool>) -> Children {
        Children {
            program: program.into(),
            place: Vec::new(),
            verify_budget: None,
            hook_time: Duration::from_hours(1),
            stop: stop.clone(),
        }
    }

    /// A program that does what the script says.
    ///
    /// Another process writes it: a child that another test is just starting would have a file that is open
    /// for writing here for a moment, and what somebody may still write to cannot be run.
    fn script(text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod 700 "$2""#;
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", write, "sh", text]).arg(folder.path().join("program"));
        assert!(shell.status().unwrap().success());
        folder
    }

    async fn run(text: &str) -> JobOutcome {
        let folder = script(text);
        let (_stop, stopped) = watch::channel(false);
        let program = folder.path().join("program");
        children(program.to_str().unwrap(), &stopped).run(ScheduledJob::Create).await
    }

    #[test]
    fn the_line_for_a_backup_by_hand_is_quoted() {
        let place = ["--home", "/home/o'neil/my mail", "--repo", "/r"].map(OsString::from);
        let line = by_hand(Path::new("/usr/bin/msgvault"), &place);
        assert_eq!(line, r"/usr/bin/msgvault --home '/home/o'\''neil/my mail' --repo /r backup create");
    }

    #[tokio::test]
    async fn a_childs_end_becomes_an_outcome() {
        let done = run(r#"echo "{\"arguments\": \"$*\"}""#).await;
        assert_eq!((done.verdict, done.exit_code), (JobVerdict::Ok, Some(0)));
        let arguments = "--json --quiet --progress none backup create --retry-lock 1h";
        assert_eq!(done.report.unwrap()["arguments"], arguments);

        let failed = run("echo 'msgvault: warning: first' >&2; echo 'msgvault: no space' >&2; exit 1").await;
        assert_eq!((failed.verdict, &*failed.message), (JobVerdict::Failed, "no space"));
        assert_eq!(run("exit 3").await.verdict, JobVerdict::Problems);
        let damaged = run("printf 'msgvault: DAMAGED: 1 problem\\n  file packs/x\\n' >&2; exit 3").await;
        assert_eq!(damaged.message, "DAMAGED: 1 problem\n  file packs/x");
        assert_eq!(run("echo 'msgvault: interrupted' >&2; exit 143").await.verdict, JobVerdict::Failed);
        assert_eq!(run("kill -9 $$").await.message, "a signal ended it");
        let long = run("head -c 100000 /dev/zero; head -c 100000 /dev/zero >&2").await;
        assert_eq!((long.verdict, long.report), (JobVerdict::Ok, None));
        let many = "echo 'msgvault: 9999 files are missing' >&2; seq -f '  file %g' 9999 >&2; exit 1";
        let many = run(many).await.message;
        assert!(many.starts_with("9999 files are missing\n  file 1\n"), "{many}");
        assert!(many.contains("\n…\n") && many.ends_with("\n  file 9999") && many.len() < 9000, "{many}");

        let (_stop, stopped) = watch::channel(false);
        let missing = children("/nowhere/at/all", &stopped).run(ScheduledJob::Create).await;
        assert!(missing.message.contains("/nowhere/at/all cannot be run"), "{}", missing.message);
    }

    #[tokio::test]
    async fn a_hook_reads_what_happened() {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told.json");
        let (_stop, stopped) = watch::channel(false);
        let children = children("unused", &stopped);
        let document = serde_json::json!({ "job": "create", "long": "x".repeat(200_000) });
        let done = children.hook(&format!("cat > {}", told.display()), &document).await;
        assert!(done.ok, "{done:?}");
        assert_eq!(std::fs::read_to_string(told).unwrap(), document.to_string());

        let deaf = children.hook("exit 0", &document).await;
        assert!(deaf.ok, "{deaf:?}");
        let failed = children.hook("echo 'no route' >&2; exit 7", &document).await;
        assert_eq!(failed.message, "it ended with 7: no route");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hook_that_hangs_is_ended_after_a_bound() {
        let (_stop, stopped) = watch::channel(false);
        let children = children("unused", &stopped);
        let done = children.hook("sleep 99999 & wait", &Value::Null).await;
        assert_eq!((done.ok, &*done.message), (false, "it was ended after 3600 s"));
    }

    #[tokio::test]
    async fn what_a_hook_started_does_not_outlive_it_by_ignoring_signals() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // A grandchild that is deaf, connected to nothing but the pipe, whose end shows its own.
        let line = format!(
            "(trap '' TERM; echo deaf; exec sleep 99999) > '{}' 2>&1 < /dev/null & wait",
            pipe.display()
        );
        let (heard, hear) = std::sync::mpsc::channel();
        let (stop, stopped) = watch::channel(false);
        std::thread::spawn(move || {
            let mut pipe = std::fs::File::open(pipe).unwrap();
            pipe.read_exact(&mut [0; 5]).unwrap();
            stop.send(true).unwrap();
            heard.send(pipe.read_to_end(&mut Vec::new())).unwrap();
        });
        let done = children("unused", &stopped).hook(&line, &Value::Null).await;
        assert_eq!(done.message, "it was ended because the daemon was stopped");
        let silence = hear.recv_timeout(Duration::from_mins(1));
        assert!(silence.is_ok(), "it still runs");
    }

    #[tokio::test]
    async fn what_runs_is_ended_in_order_with_the_daemon() {
        let folder = script("trap 'exit 143' TERM; echo started > \"$0.started\"; while :; do :; done");
        let (stop, stopped) = watch::channel(false);
        let program = folder.path().join("program");
        let children = children(program.to_str().unwrap(), &stopped);
        let started = folder.path().join("program.started");
        let running = children.run(ScheduledJob::Verify);
        let stopping = async {
            while !started.exists() {
                tokio::task::yield_now().await;
            }
            stop.send(true).unwrap();
        };
        let (outcome, ()) = tokio::join!(running, stopping);
        assert_eq!(outcome.verdict, JobVerdict::Interrupted);
    }
}
