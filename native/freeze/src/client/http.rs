//! Requests to a daemon, each bounded in time and size, on a connection of its own.

use std::net::SocketAddr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

use crate::identity::PROOF_HEADER;

/// No answer that matters is longer; the status of scheduled work is the longest.
const MAX_BODY: u64 = 256 << 10;
const MAX_HEADERS: usize = 16 << 10;
/// As much of a daemon's words as a sentence bears.
const MAX_MESSAGE: usize = 300;

#[derive(Debug)]
pub(super) struct Http {
    agent: Agent,
    authority: String,
}

/// What a daemon answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) proof: Option<String>,
    body: Vec<u8>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Refusal {
    error: String,
    message: String,
}

impl Http {
    /// `None` when the address is none.
    pub(super) fn new(address: &str) -> Option<Self> {
        Some(Self { agent: agent(0), authority: authority(address)? })
    }

    /// The same daemon, asked on one connection that stays open until this is dropped.
    pub(super) fn on_one_connection(&self) -> Self {
        Self { agent: agent(1), authority: self.authority.clone() }
    }

    /// Sends a request; `Err` says why there is no answer.
    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&'static str, String)],
        body: Option<String>,
        timeout: Duration,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.authority));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let sent = if method == "POST" {
            let request = request.header("content-type", "application/json");
            let request = request.body(body.unwrap_or_default()).map_err(|error| error.to_string())?;
            self.agent.run(self.agent.configure_request(request).timeout_global(Some(timeout)).build())
        } else {
            let request = request.body(()).map_err(|error| error.to_string())?;
            self.agent.run(self.agent.configure_request(request).timeout_global(Some(timeout)).build())
        };
        sent.and_then(Answer::read).map_err(|error| match error {
            ureq::Error::Timeout(_) => format!("no answer within {} s", timeout.as_secs_f32()),
            other => other.to_string(),
        })
    }
}

impl Answer {
    fn read(mut response: Response<Body>) -> Result<Self, ureq::Error> {
        let proof = response.headers().get(PROOF_HEADER).and_then(|value| value.to_str().ok());
        Ok(Self {
            status: response.status().as_u16(),
            proof: proof.map(str::to_owned),
            body: response.body_mut().with_config().limit(MAX_BODY).read_to_vec()?,
        })
    }

    /// The document in the body, if there is such a one.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The code of an error.
    pub(super) fn code(&self) -> String {
        self.json::<Refusal>().unwrap_or_default().error
    }

    /// The daemon's words, shortened.
    pub(super) fn message(&self) -> String {
        let message = self.json::<Refusal>().unwrap_or_default().message;
        if message.is_empty() {
            return "it gave no reason".to_owned();
        }
        message.chars().take(MAX_MESSAGE).collect()
    }
}

/// `connections` are kept open between two requests.
fn agent(connections: usize) -> Agent {
    let config = Agent::config_builder()
        // A proxy of the environment must not see requests to this machine.
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_response_header_size(MAX_HEADERS)
        .max_idle_connections(connections)
        .user_agent(concat!("msgvault/", env!("CARGO_PKG_VERSION")))
        .accept("application/json")
        .build();
    config.into()
}

/// What a URL names the address by; addresses that mean all interfaces are dialled on this machine.
fn authority(address: &str) -> Option<String> {
    if let Ok(mut socket) = address.parse::<SocketAddr>() {
        if socket.ip().is_unspecified() {
            socket.set_ip(match socket.ip() {
                std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        return (socket.port() != 0).then(|| socket.to_string());
    }
    let (host, port) = address.rsplit_once(':')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    let port: u16 = port.parse().ok()?;
    (!host.is_empty() && host.bytes().all(plain) && port != 0).then(|| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_authorities() {
        let table = [
            ("127.0.0.1:4000", Some("127.0.0.1:4000")),
            ("0.0.0.0:4000", Some("127.0.0.1:4000")),
            ("[::]:4000", Some("[::1]:4000")),
            ("[::1]:4000", Some("[::1]:4000")),
            ("localhost:4000", Some("localhost:4000")),
            ("127.0.0.1:0", None),
            ("127.0.0.1", None),
            ("user@evil:80", None),
            ("evil/path:80", None),
            (":80", None),
            ("", None),
        ];
        for (address, expected) in table {
            assert_eq!(authority(address).as_deref(), expected, "{address}");
        }
    }
}
