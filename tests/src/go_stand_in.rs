//! A stand-in for the daemon of the Go program, written from the specification alone and without the code
//! under test. It can also behave as no daemon should.
//!
//! It lives in threads of the test, whose process its record names.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// What the record holds and proves who the daemon is.
pub const SHUTDOWN_TOKEN: &str = "57925fc1512bd9e5271b3ff1b8888afea20c041c46b48fe5a315b0cea66aa413";

/// How a stand-in misbehaves, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// As it should.
    None,
    /// Answers something that is not HTTP.
    Garbage,
    /// Answers in HTTP, but not with JSON.
    Page,
    /// Accepts connections and answers nothing.
    Silent,
    /// Hangs up at once.
    HangsUp,
    /// Says that it is another service.
    OtherService,
    /// Says that it is another process.
    OtherProcess,
    /// Signs with a different token.
    WrongProof,
    /// Is a different program from the second proof on, which signs with a different token.
    Replaced,
    /// Knows nothing of identities.
    NoProof,
    /// Redirects the client.
    Redirect,
    /// Promises an endless answer.
    Endless,
    /// Says that the gate is busy, for this many tries.
    Busy(u32),
    /// Is frozen for another backup.
    Active,
    /// Is shutting down.
    Stopping,
    /// Knows nothing of freezes.
    NoFreeze,
    /// Freezes without a token.
    NoToken,
    /// Ended the window early.
    Late,
    /// Hangs up when the window should end.
    LostAtEnd,
    /// Knows nothing of requests to end.
    NoShutdown,
    /// Takes the request to end and goes on.
    KeepsOn,
}

/// A daemon of a home.
#[derive(Debug)]
pub struct StandIn {
    /// Where it listens.
    pub address: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: String,
    key: String,
    fault: Fault,
    record: PathBuf,
    locks: [File; 2],
    stopped: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<String>,
    token: Option<String>,
    tokens: u64,
    begins: u32,
    proofs: u32,
}

impl StandIn {
    /// Starts a daemon; `key` is empty if it needs none, and `change` changes its record.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn start(home: &Path, key: &str, fault: Fault, change: impl FnOnce(&mut Value)) -> Self {
        let locks = ["daemon.lock", "db.write.lock"].map(|name| lock(&home.join(name)));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        let record = write_record(home, &address, key, change);
        let shared = Arc::new(Shared {
            address: address.clone(),
            key: key.to_owned(),
            fault,
            record,
            locks,
            stopped: AtomicBool::new(false),
            state: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || serving.answer(stream));
            }
        });
        Self { address, shared }
    }

    /// The requests so far: method, path and, if they came with it, the key and the shutdown token.
    pub fn requests(&self) -> Vec<String> {
        self.shared.state().requests.clone()
    }

    /// Whether a freeze is open.
    pub fn is_frozen(&self) -> bool {
        self.shared.state().token.is_some()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.shared.retire();
    }
}

fn lock(path: &Path) -> File {
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(path).expect("a lock file");
    file.try_lock().expect("the lock");
    file
}

fn write_record(home: &Path, address: &str, key: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let pid = std::process::id();
    let (host, port) = address.rsplit_once(':').expect("a port");
    let mut record = json!({
        "pid": pid, "network": "tcp", "address": address, "service": "msgvault", "version": "dev",
        "started_at": jiff::Timestamp::now().to_string(),
        "metadata": {
            "api_schema_version": "2.7.0", "api_version": "1", "auth_fingerprint": fingerprint(key),
            "host": host, "port": port, "shutdown_token": SHUTDOWN_TOKEN,
        }
    });
    change(&mut record);
    let path = home.join(format!("daemon.{pid}.json"));
    fs::write(&path, serde_json::to_string_pretty(&record).expect("JSON")).expect("a record");
    path
}

fn fingerprint(key: &str) -> String {
    if key.is_empty() {
        return "none".to_owned();
    }
    let argon2 = Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new(8192, 1, 1, Some(32)).expect("parameters"),
    );
    let mut hash = [0; 32];
    let salt = b"msgvault-daemon-auth-fingerprint-v1";
    argon2.hash_password_into(key.as_bytes(), salt, &mut hash).expect("a hash");
    format!("argon2id:v1:{}", HEXLOWER.encode(&hash))
}

struct Asked {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).ok()?;
        let mut lines = head.trim_end().split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
        let header = |line: &str| {
            line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        };
        let mut asked = Self { method, path, headers: lines.filter_map(header).collect(), body: Vec::new() };
        let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        asked.body = vec![0; length];
        stream.read_exact(&mut asked.body).ok()?;
        Some(asked)
    }
}

type Answer = (u16, Vec<(&'static str, String)>, String);

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back the record, gives back the locks, and lets nobody in any more.
    fn retire(&self) {
        let _ = fs::remove_file(&self.record);
        // If the file were only closed, programs that other tests are just starting would still hold the
        // lock.
        for lock in &self.locks {
            let _ = lock.unlock();
        }
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(&self.address);
    }

    fn answer(&self, mut stream: TcpStream) {
        while let Some(asked) = Asked::read(&mut stream) {
            let secret = |name| asked.header(name).map(|secret| format!(" {secret}")).unwrap_or_default();
            let secrets = secret("x-api-key") + &secret("x-msgvault-daemon-token");
            self.state().requests.push(format!("{} {}{secrets}", asked.method, asked.path));
            let sent = match self.fault {
                Fault::Garbage => stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
                Fault::Endless => self.send_endless(&mut stream),
                Fault::HangsUp => return,
                Fault::Silent => {
                    // Until the client gives up.
                    let _ = stream.read(&mut [0]);
                    return;
                }
                Fault::LostAtEnd if asked.path.ends_with("/end") => return,
                _ => send(&mut stream, self.respond(&asked)),
            };
            let ends = asked.path.ends_with("/shutdown") && self.stopped.load(Ordering::SeqCst);
            if sent.is_err() || self.fault == Fault::Garbage || ends {
                return;
            }
        }
    }

    fn send_endless(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n",
        )?;
        while !self.stopped.load(Ordering::SeqCst) {
            stream.write_all(&[b' '; 4096])?;
        }
        Ok(())
    }

    fn respond(&self, asked: &Asked) -> Answer {
        match (&*asked.method, &*asked.path) {
            _ if self.fault == Fault::Redirect => {
                (307, vec![("Location", format!("http://{}/elsewhere", self.address))], String::new())
            }
            _ if self.fault == Fault::Page => (200, Vec::new(), "<h1>It works!</h1>".to_owned()),
            ("GET", "/api/ping") => self.ping(),
            ("GET", "/api/daemon/identity") => self.identity(asked),
            ("POST", "/api/daemon/shutdown") if self.fault != Fault::NoShutdown => self.shut_down(asked),
            (_, path) if path.starts_with("/api/v1/") && !self.knows(asked) => {
                error(401, "unauthorized", "Invalid or missing API key")
            }
            ("GET", "/api/v1/health") => {
                ok(&json!({ "status": "ok", "analytics_engine": "sql", "api_schema_version": "2.7.0" }))
            }
            ("POST", "/api/v1/backup/freeze/begin") if self.fault != Fault::NoFreeze => self.begin(),
            ("POST", "/api/v1/backup/freeze/end") if self.fault != Fault::NoFreeze => self.end(asked),
            (method, path) => error(404, "not_found", &format!("No route matches {method} {path}")),
        }
    }

    fn ping(&self) -> Answer {
        let service = if self.fault == Fault::OtherService { "other" } else { "msgvault" };
        let pid = std::process::id() + u32::from(self.fault == Fault::OtherProcess);
        ok(&json!({ "ok": true, "service": service, "version": "dev", "pid": pid }))
    }

    fn identity(&self, asked: &Asked) -> Answer {
        if self.fault == Fault::NoProof {
            return error(404, "not_found", "No route matches GET /api/daemon/identity");
        }
        let challenge = asked.header("x-msgvault-daemon-challenge").unwrap_or_default();
        let challenge = HEXLOWER_PERMISSIVE.decode(challenge.as_bytes()).unwrap_or_default();
        if challenge.len() != 32 {
            return error(400, "invalid_challenge", "Invalid daemon identity challenge");
        }
        let mut state = self.state();
        state.proofs += 1;
        let is_other = match self.fault {
            Fault::WrongProof => true,
            Fault::Replaced => state.proofs > 1,
            _ => false,
        };
        let token = if is_other { "00" } else { SHUTDOWN_TOKEN };
        let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("a key");
        mac.update(b"msgvault-daemon-identity-v1\0");
        mac.update(format!("{}\0", std::process::id()).as_bytes());
        mac.update(&challenge);
        let proof = HEXLOWER.encode(&mac.finalize().into_bytes());
        (204, vec![("X-Msgvault-Daemon-Proof", proof)], String::new())
    }

    fn shut_down(&self, asked: &Asked) -> Answer {
        if asked.header("x-msgvault-daemon-token") != Some(SHUTDOWN_TOKEN) {
            return error(401, "unauthorized", "Invalid or missing daemon shutdown token");
        }
        if self.fault != Fault::KeepsOn {
            self.retire();
        }
        (202, Vec::new(), json!({ "status": "shutting_down" }).to_string())
    }

    fn knows(&self, asked: &Asked) -> bool {
        self.key.is_empty() || asked.header("x-api-key") == Some(&self.key)
    }

    fn begin(&self) -> Answer {
        let mut state = self.state();
        state.begins += 1;
        match self.fault {
            Fault::Busy(tries) if state.begins <= tries => {
                let message = format!("a scheduled sync has been running for {}s", 9 + state.begins);
                return error(503, "operation_in_progress", &message);
            }
            Fault::Stopping => return error(503, "server_busy", "server is shutting down"),
            Fault::NoToken => return ok(&json!({ "token": "" })),
            _ => {}
        }
        if state.token.is_some() || self.fault == Fault::Active {
            return error(409, "backup_freeze_active", "a backup freeze is already active");
        }
        state.tokens += 1;
        let token = format!("01m84cj3hhx0ezvxcv79{:06}", state.tokens);
        state.token = Some(token.clone());
        ok(&json!({ "token": token }))
    }

    fn end(&self, asked: &Asked) -> Answer {
        if asked.header("content-type") != Some("application/json") {
            return error(415, "unsupported_media_type", "Content-Type must be application/json");
        }
        let Ok(body) = serde_json::from_slice::<Value>(&asked.body) else {
            return error(400, "invalid_request", "invalid JSON request body");
        };
        let mut state = self.state();
        if self.fault == Fault::Late {
            state.token = None;
        }
        if state.token.is_none() || state.token.as_deref() != body["token"].as_str() {
            return error(400, "backup_freeze_not_active", "no active backup freeze with that token");
        }
        state.token = None;
        ok(&json!({}))
    }
}

fn ok(document: &Value) -> Answer {
    (200, Vec::new(), format!("{document}\n"))
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    (status, Vec::new(), format!("{}\n", json!({ "error": code, "message": message })))
}

fn send(stream: &mut TcpStream, (status, headers, body): Answer) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} X\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", &value, "\r\n"]);
    }
    if status != 204 {
        let length = body.len().to_string();
        text.extend(["Content-Type: application/json\r\nContent-Length: ", &length, "\r\n"]);
    }
    stream.write_all((text + "\r\n" + &body).as_bytes())
}
