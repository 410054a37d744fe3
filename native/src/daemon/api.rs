//! What a daemon answers over HTTP. The bodies and codes are those of the Go program, so that clients of both
//! programs get on with both daemons; docs/daemon.md lists them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use crate::freeze::identity::{API_SCHEMA_VERSION, CHALLENGE_HEADER, Challenge, PROOF_HEADER};
use crate::freeze::record::SERVICE;

use super::Machine;
use super::connections::Connection;
use super::gate::{Gate, Refused};
use super::guard::{self, Denied, Guard};
use super::log::Level;
use super::schedule::Board;
use super::window::{BeginError, Window};

/// A request has a token in it, and little more.
const MAX_BODY: usize = 64 << 10;
/// A client that takes longer to send it is not waited for.
const BODY_TIME: Duration = Duration::from_secs(10);

/// What requests are answered from.
pub struct Api {
    pub(super) pid: u32,
    pub(super) version: &'static str,
    pub(super) shutdown_token: String,
    pub(super) guard: Guard,
    pub(super) gate: Gate,
    pub(super) window: Window,
    pub(super) board: Board,
    pub(super) machine: Machine,
    pub(super) requests: AtomicU64,
    pub(super) interfaces: fn() -> Vec<IpAddr>,
}

type Shared = State<Arc<Api>>;

/// The routes. Every connection adds itself as an extension.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/api/ping", get(ping))
        .route("/api/daemon/identity", get(identity))
        .route("/health", get(health))
        .route("/api/v1/health", get(health_in_full))
        .route("/api/v1/backup/freeze/begin", post(begin))
        .route("/api/v1/backup/freeze/end", post(end))
        .route("/api/v1/backup/status", get(status))
        .fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .layer(middleware::from_fn_with_state(Arc::clone(&api), around))
        .with_state(api)
}

/// What holds for all requests: they are numbered, guarded, read completely, and logged.
async fn around(
    State(api): Shared,
    Extension(connection): Extension<Arc<Connection>>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let id = format!("msgvault-{}", api.requests.fetch_add(1, Ordering::Relaxed) + 1);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match api.guard.admit(&method, request.headers()) {
        Err(denied) => denied.into_response(),
        Ok(()) => match read(request).await {
            None => invalid("invalid JSON request body"),
            Some(request) => {
                let _working = connection.working();
                next.run(request).await
            }
        },
    };
    let headers = response.headers_mut();
    if path.starts_with("/api/") {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    let fields = [
        ("method", method.to_string()),
        ("path", path),
        ("status", response.status().as_u16().to_string()),
        ("duration", format!("{:?}", began.elapsed())),
        ("request_id", id),
    ];
    api.machine.log(Level::Info, "http request", &fields);
    response
}

/// Reads the body, bounded in size and time.
async fn read(request: Request) -> Option<Request> {
    let (parts, body) = request.into_parts();
    let body = timeout(BODY_TIME, to_bytes(body, MAX_BODY)).await.ok()?.ok()?;
    Some(Request::from_parts(parts, Body::from(body)))
}

async fn ping(State(api): Shared) -> Response {
    #[derive(Serialize)]
    struct Ping {
        ok: bool,
        service: &'static str,
        version: &'static str,
        pid: u32,
    }
    json(StatusCode::OK, &Ping { ok: true, service: SERVICE, version: api.version, pid: api.pid })
}

async fn identity(State(api): Shared, headers: HeaderMap) -> Response {
    let challenge = headers.get(CHALLENGE_HEADER).and_then(|value| value.to_str().ok());
    let Some(challenge) = challenge.and_then(Challenge::parse) else {
        return error(StatusCode::BAD_REQUEST, "invalid_challenge", "Invalid daemon identity challenge");
    };
    let proof = challenge.proof(&api.shutdown_token, api.pid);
    (StatusCode::NO_CONTENT, [(PROOF_HEADER, proof)]).into_response()
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

/// For everybody: what holds the gate is not told.
async fn health(State(api): Shared) -> Response {
    let operation = api.gate.held().map(|_| Operation { busy: true, label: String::new(), started_at: None });
    json(
        StatusCode::OK,
        &Health { status: "ok", operation, analytics_engine: "sql", api_schema_version: None },
    )
}

async fn health_in_full(State(api): Shared, headers: HeaderMap) -> Result<Response, Denied> {
    api.guard.authorize(&headers)?;
    let operation = api.gate.held().map(|held| Operation {
        busy: true,
        label: held.label,
        started_at: Some(held.started_at.to_string()),
    });
    let api_schema_version = Some(API_SCHEMA_VERSION);
    Ok(json(StatusCode::OK, &Health { status: "ok", operation, analytics_engine: "sql", api_schema_version }))
}

async fn status(State(api): Shared, headers: HeaderMap) -> Result<Response, Denied> {
    api.guard.authorize(&headers)?;
    Ok(json(StatusCode::OK, &api.board.status()))
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Token {
    token: String,
}

async fn begin(
    State(api): Shared,
    Extension(connection): Extension<Arc<Connection>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Denied> {
    if let Some(stop) = api.freeze_stop(&connection, &method, &uri, &headers, &body)? {
        return Ok(stop);
    }
    Ok(match api.window.begin().await {
        Ok(token) => json(StatusCode::OK, &Token { token }),
        Err(BeginError::Active) => {
            error(StatusCode::CONFLICT, "backup_freeze_active", "a backup freeze is already active")
        }
        Err(BeginError::Gate(Refused::Busy(held))) => {
            error(StatusCode::SERVICE_UNAVAILABLE, "operation_in_progress", &held.sentence())
        }
        Err(BeginError::Gate(Refused::Draining)) => {
            error(StatusCode::SERVICE_UNAVAILABLE, "server_busy", "server is shutting down")
        }
    })
}

async fn end(
    State(api): Shared,
    Extension(connection): Extension<Arc<Connection>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Denied> {
    if let Some(stop) = api.freeze_stop(&connection, &method, &uri, &headers, &body)? {
        return Ok(stop);
    }
    let mut values = serde_json::Deserializer::from_slice(&body);
    let Ok(given) = Token::deserialize(&mut values) else {
        return Ok(invalid("invalid JSON request body"));
    };
    if values.end().is_err() {
        return Ok(invalid("request body must contain exactly one JSON value"));
    }
    if api.window.end(&given.token) {
        #[derive(Serialize)]
        struct Ended {}
        return Ok(json(StatusCode::OK, &Ended {}));
    }
    let message = "no active backup freeze with that token";
    Ok(error(StatusCode::BAD_REQUEST, "backup_freeze_not_active", message))
}

impl Api {
    /// What stops a request that would freeze or thaw: no key, another machine, another kind of body.
    fn freeze_stop(
        &self,
        connection: &Connection,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Option<Response>, Denied> {
        self.guard.authorize(headers)?;
        if !guard::is_same_host(connection.peer().ip(), self.interfaces) {
            return Ok(Some(not_found(method, uri)));
        }
        let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim();
        if body.is_empty() || media.eq_ignore_ascii_case("application/json") {
            return Ok(None);
        }
        let message = "Content-Type must be application/json";
        Ok(Some(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)))
    }
}

async fn no_route(method: Method, uri: Uri) -> Response {
    not_found(&method, &uri)
}

fn not_found(method: &Method, uri: &Uri) -> Response {
    error(StatusCode::NOT_FOUND, "not_found", &format!("No route matches {method} {}", uri.path()))
}

fn invalid(message: &str) -> Response {
    error(StatusCode::BAD_REQUEST, "invalid_request", message)
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        match self {
            Self::UntrustedHost => error(
                StatusCode::FORBIDDEN,
                "untrusted_host",
                "Keyless loopback daemon rejects requests for unrecognized hosts; connect via 127.0.0.1 or localhost",
            ),
            Self::CrossOrigin => error(
                StatusCode::FORBIDDEN,
                "cross_origin_loopback",
                "Keyless loopback mutations must be same-origin; configure an API key for cross-origin access",
            ),
            Self::Unauthorized => {
                error(StatusCode::UNAUTHORIZED, "unauthorized", "Invalid or missing API key")
            }
            Self::TooMany => {
                let body = body("rate_limit_exceeded", "Too many requests. Please slow down.");
                let head = [(CONTENT_TYPE, "application/json"), (RETRY_AFTER, "1")];
                // The one body without a line end, as clients know it.
                (StatusCode::TOO_MANY_REQUESTS, head, body).into_response()
            }
        }
    }
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = body(code, message) + "\n";
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

fn body(code: &str, message: &str) -> String {
    #[derive(Serialize)]
    struct Refusal<'a> {
        error: &'a str,
        message: &'a str,
    }
    serde_json::to_string(&Refusal { error: code, message }).unwrap_or_default()
}

fn json(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_string(document) {
        Ok(text) => (status, [(CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(reason) => error(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", &reason.to_string()),
    }
}
