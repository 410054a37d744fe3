//! What a daemon answers over HTTP. The bodies and codes are those of the Go program, so that clients of both
//! programs get on with both daemons; docs/daemon.md lists them.

use msgvault_verifier::length::to_u64;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use hyper::{Method, Request, StatusCode};
use msgvault_freeze::identity::{
    API_SCHEMA_VERSION, CHALLENGE_HEADER, Challenge, PROOF_HEADER, SHUTDOWN_PATH, TOKEN_HEADER, same_secret,
};
use msgvault_freeze::record::SERVICE;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use super::connections::{Connection, Response};
use super::gate::{Gate, Refused};
use super::guard::{self, Denied, Guard};
use super::log::Level;
use super::schedule::Board;
use super::window::{BeginError, Window};
use super::{DaemonEnvironment, Page, Shutdown};

/// A request has a token in it, and little more.
const MAX_BODY: usize = 64 << 10;
/// A client that takes longer to send it is not waited for.
const BODY_TIME: Duration = Duration::from_secs(10);
const JSON: &str = "application/json";

/// What requests are answered from.
pub struct Api {
    pub(super) pid: u32,
    pub(super) version: &'static str,
    pub(super) shutdown: Shutdown,
    pub(super) guard: Guard,
    pub(super) gate: Gate,
    pub(super) window: Window,
    pub(super) board: Board,
    /// The command line of a backup by hand.
    pub(super) by_hand: String,
    pub(super) page: Page,
    pub(super) machine: DaemonEnvironment,
    pub(super) requests: AtomicU64,
    pub(super) interfaces: fn() -> Vec<IpAddr>,
}

/// A request that was read completely.
struct Asked<'a> {
    connection: &'a Connection,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Api {
    /// What holds for all requests: they are numbered, guarded, read completely, and logged.
    pub async fn answer(&self, connection: &Connection, request: Request<Incoming>) -> Response {
        let began = Instant::now();
        let id = format!("msgvault-{}", self.requests.fetch_add(1, Ordering::Relaxed) + 1);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut response = match self.guard.admit(&method, request.headers()) {
            Err(denied) => refusal(denied),
            Ok(()) => match Asked::read(connection, request).await {
                None => invalid("invalid JSON request body"),
                Some(asked) => {
                    let _working = connection.working();
                    self.route(&asked).await.unwrap_or_else(refusal)
                }
            },
        };
        let length = response.body().size_hint().exact().filter(|length| *length > 0);
        let headers = response.headers_mut();
        if path.starts_with("/api/") {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert("x-request-id", id);
        }
        if let Some(length) = length {
            // Hyper would put it behind `Connection: close`.
            headers.insert(CONTENT_LENGTH, length.into());
        }
        let fields = [
            ("method", method.to_string()),
            ("path", path),
            ("status", response.status().as_u16().to_string()),
            ("duration", format!("{:?}", began.elapsed())),
            ("request_id", id),
        ];
        self.machine.log(Level::Info, "http request", &fields);
        response
    }

    /// A known path with another method is not a route either, and the answer does not give the right one
    /// away.
    async fn route(&self, asked: &Asked<'_>) -> Result<Response, Denied> {
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/api/ping") => Ok(self.ping()),
            ("GET", "/api/daemon/identity") => Ok(self.identity(&asked.headers)),
            ("GET", "/health") => Ok(self.health()),
            ("GET", "/verify") => Ok(self.page()),
            ("GET", "/api/v1/health") => self.health_in_full(&asked.headers),
            ("GET", "/api/v1/backup/status") => self.status(&asked.headers),
            ("POST", SHUTDOWN_PATH) => Ok(self.shut_down(&asked.headers)),
            ("POST", "/api/v1/cli/run") => self.run_command(&asked.headers),
            ("POST", "/api/v1/backup/freeze/begin") => self.begin(asked).await,
            ("POST", "/api/v1/backup/freeze/end") => self.end(asked),
            _ => Ok(not_found(asked)),
        }
    }

    fn page(&self) -> Response {
        match self.page {
            Ok(page) => respond(StatusCode::OK, "text/html; charset=utf-8", page),
            Err(reason) => error(StatusCode::NOT_FOUND, "not_found", reason),
        }
    }

    fn ping(&self) -> Response {
        #[derive(Serialize)]
        struct Ping {
            ok: bool,
            service: &'static str,
            version: &'static str,
            pid: u32,
        }
        json(&Ping { ok: true, service: SERVICE, version: self.version, pid: self.pid })
    }

    fn identity(&self, headers: &HeaderMap) -> Response {
        let challenge = headers.get(CHALLENGE_HEADER).and_then(|value| value.to_str().ok());
        let Some(challenge) = challenge.and_then(Challenge::parse) else {
            return error(StatusCode::BAD_REQUEST, "invalid_challenge", "Invalid daemon identity challenge");
        };
        let proof = challenge.proof(&self.shutdown.token, self.pid);
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if let Ok(proof) = HeaderValue::try_from(proof) {
            response.headers_mut().insert(PROOF_HEADER, proof);
        }
        response
    }

    /// For who has read the record, with or without an API key: the daemon ends in order, and answers first.
    fn shut_down(&self, headers: &HeaderMap) -> Response {
        let given = headers.get(TOKEN_HEADER).map(HeaderValue::as_bytes).unwrap_or_default();
        if !same_secret(given, self.shutdown.token.as_bytes()) {
            let message = "Invalid or missing daemon shutdown token";
            return error(StatusCode::UNAUTHORIZED, "unauthorized", message);
        }
        self.shutdown.asked.notify_one();
        respond(StatusCode::ACCEPTED, JSON, r#"{"status":"shutting_down"}"#)
    }

    /// For everybody: what holds the gate is not told.
    fn health(&self) -> Response {
        let operation =
            self.gate.held().map(|_| Operation { busy: true, label: String::new(), started_at: None });
        json(&Health { status: "ok", operation, analytics_engine: "sql", api_schema_version: None })
    }

    fn health_in_full(&self, headers: &HeaderMap) -> Result<Response, Denied> {
        self.guard.authorize(headers)?;
        let operation = self.gate.held().map(|held| Operation {
            busy: true,
            label: held.label,
            started_at: Some(held.started_at.to_string()),
        });
        let api_schema_version = Some(API_SCHEMA_VERSION);
        Ok(json(&Health { status: "ok", operation, analytics_engine: "sql", api_schema_version }))
    }

    fn status(&self, headers: &HeaderMap) -> Result<Response, Denied> {
        self.guard.authorize(headers)?;
        Ok(json(&self.board.status()))
    }

    /// What clients of the Go program ask their daemon for; only the words of the refusal reach the user.
    fn run_command(&self, headers: &HeaderMap) -> Result<Response, Denied> {
        self.guard.authorize(headers)?;
        let message = format!("this daemon runs no commands; to make a backup, type: {}", self.by_hand);
        Ok(error(StatusCode::NOT_IMPLEMENTED, "not_implemented", &message))
    }

    async fn begin(&self, asked: &Asked<'_>) -> Result<Response, Denied> {
        if let Some(stop) = self.freeze_stop(asked)? {
            return Ok(stop);
        }
        Ok(match self.window.begin().await {
            Ok(token) => json(&Token { token }),
            Err(BeginError::Active) => {
                error(StatusCode::CONFLICT, "backup_freeze_active", "a backup freeze is already active")
            }
            Err(BeginError::Gate(Refused::Busy(held))) => {
                error(StatusCode::SERVICE_UNAVAILABLE, "operation_in_progress", &held.sentence())
            }
            Err(BeginError::Gate(Refused::Draining)) => {
                let message = "server is shutting down";
                let mut busy = error(StatusCode::SERVICE_UNAVAILABLE, "server_busy", message);
                busy.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                busy
            }
        })
    }

    fn end(&self, asked: &Asked<'_>) -> Result<Response, Denied> {
        if let Some(stop) = self.freeze_stop(asked)? {
            return Ok(stop);
        }
        let mut values = serde_json::Deserializer::from_slice(&asked.body);
        let Ok(given) = Token::deserialize(&mut values) else {
            return Ok(invalid("invalid JSON request body"));
        };
        if values.end().is_err() {
            return Ok(invalid("request body must contain exactly one JSON value"));
        }
        if self.window.end(&given.token) {
            #[derive(Serialize)]
            struct FreezeEnded {}
            return Ok(json(&FreezeEnded {}));
        }
        let message = "no active backup freeze with that token";
        Ok(error(StatusCode::BAD_REQUEST, "backup_freeze_not_active", message))
    }

    /// What stops a request that would freeze or thaw: no key, another machine, another kind of body.
    fn freeze_stop(&self, asked: &Asked<'_>) -> Result<Option<Response>, Denied> {
        self.guard.authorize(&asked.headers)?;
        if !guard::is_same_host(asked.connection.peer().ip(), self.interfaces) {
            return Ok(Some(not_found(asked)));
        }
        let media = asked.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media = media.and_then(|media| media.split(';').next()).unwrap_or_default().trim();
        if asked.body.is_empty() || media.eq_ignore_ascii_case("application/json") {
            return Ok(None);
        }
        let message = "Content-Type must be application/json";
        Ok(Some(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)))
    }
}

impl<'a> Asked<'a> {
    /// Reads the body, bounded in size and time.
    async fn read(connection: &'a Connection, request: Request<Incoming>) -> Option<Self> {
        let (parts, body) = request.into_parts();
        if body.size_hint().lower() > to_u64(MAX_BODY) {
            return None;
        }
        let body = timeout(BODY_TIME, Limited::new(body, MAX_BODY).collect()).await.ok()?.ok()?.to_bytes();
        let path = parts.uri.path().to_owned();
        Some(Self { connection, method: parts.method, path, headers: parts.headers, body })
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
    /// Clients of the Go program expect it.
    analytics_engine: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_schema_version: Option<&'static str>,
}

#[derive(Serialize)]
struct Operation {
    busy: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Token {
    token: String,
}

fn not_found(asked: &Asked<'_>) -> Response {
    let message = format!("No route matches {} {}", asked.method, asked.path);
    error(StatusCode::NOT_FOUND, "not_found", &message)
}

fn invalid(message: &str) -> Response {
    error(StatusCode::BAD_REQUEST, "invalid_request", message)
}

fn refusal(denied: Denied) -> Response {
    match denied {
        Denied::UntrustedHost => error(
            StatusCode::FORBIDDEN,
            "untrusted_host",
            "Keyless loopback daemon rejects requests for unrecognized hosts; connect via 127.0.0.1 or localhost",
        ),
        Denied::CrossOrigin => error(
            StatusCode::FORBIDDEN,
            "cross_origin_loopback",
            "Keyless loopback mutations must be same-origin; configure an API key for cross-origin access",
        ),
        Denied::Unauthorized => error(StatusCode::UNAUTHORIZED, "unauthorized", "Invalid or missing API key"),
        Denied::TooMany => {
            // The one body without a line end, as clients know it.
            let body = body("rate_limit_exceeded", "Too many requests. Please slow down.");
            let mut response = respond(StatusCode::TOO_MANY_REQUESTS, JSON, body);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
    }
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = body(code, message) + "\n";
    respond(status, JSON, body)
}

fn respond(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn body(code: &str, message: &str) -> String {
    #[derive(Serialize)]
    struct Refusal<'a> {
        error: &'a str,
        message: &'a str,
    }
    serde_json::to_string(&Refusal { error: code, message }).unwrap_or_default()
}

fn json(document: &impl Serialize) -> Response {
    match serde_json::to_string(document) {
        Ok(text) => respond(StatusCode::OK, JSON, text + "\n"),
        Err(reason) => error(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", &reason.to_string()),
    }
}
