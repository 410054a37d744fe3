//! Who may ask for what: keys, hosts, origins, and the machine that a request comes from.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use hyper::Method;
use hyper::header::{AUTHORIZATION, AsHeaderName, HOST, HeaderMap, ORIGIN};
use msgvault_freeze::identity::same_secret;
use tokio::time::Instant;

/// So many wrong keys at once are answered; after that, so many a second.
const BURST: f64 = 20.0;
const A_SECOND: f64 = 10.0;

/// What a daemon asks of every request.
pub struct Guard {
    api_key: String,
    listens: SocketAddr,
    wrong_keys: Mutex<Bucket>,
}

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The `Host` is not the daemon's: a page in a browser may have been led here.
    UntrustedHost,
    /// A page of another origin wants to change something.
    CrossOrigin,
    /// No key, or a wrong one.
    Unauthorized,
    /// Too many wrong keys in a short time.
    TooMany,
}

impl Guard {
    /// `api_key` is empty when none is needed.
    pub fn new(api_key: String, listens: SocketAddr) -> Self {
        Self { api_key, listens, wrong_keys: Mutex::new(Bucket { left: BURST, at: Instant::now() }) }
    }

    /// Keeps pages in a browser away from a daemon that needs no key.
    pub fn admit(&self, method: &Method, headers: &HeaderMap) -> Result<(), Denied> {
        if !self.api_key.is_empty() {
            return Ok(());
        }
        let host = text(headers, HOST).unwrap_or_default();
        if !self.is_own(host) {
            return Err(Denied::UntrustedHost);
        }
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
            return Ok(());
        }
        let same_origin = match headers.get(ORIGIN) {
            None => true,
            Some(origin) => origin.to_str().is_ok_and(|origin| origin == format!("http://{host}")),
        };
        let same_site = match headers.get("sec-fetch-site") {
            None => true,
            Some(site) => site == "same-origin" || site == "none",
        };
        if same_origin && same_site { Ok(()) } else { Err(Denied::CrossOrigin) }
    }

    /// Compares the key, where one is needed. `Authorization` counts before `X-Api-Key`.
    pub fn authorize(&self, headers: &HeaderMap) -> Result<(), Denied> {
        if self.api_key.is_empty() {
            return Ok(());
        }
        let given = match text(headers, AUTHORIZATION).filter(|text| !text.is_empty()) {
            Some(text) => text.strip_prefix("Bearer ").unwrap_or(text),
            None => text(headers, "x-api-key").unwrap_or_default(),
        };
        if same_secret(given.as_bytes(), self.api_key.as_bytes()) {
            return Ok(());
        }
        let mut bucket = self.wrong_keys.lock().unwrap_or_else(PoisonError::into_inner);
        Err(if bucket.take() { Denied::Unauthorized } else { Denied::TooMany })
    }

    /// Whether a `Host` names this daemon.
    fn is_own(&self, host: &str) -> bool {
        let (name, port) = split_host(host);
        if port.is_some_and(|port| port != self.listens.port().to_string()) {
            return false;
        }
        let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let own = |ip: IpAddr| ip.is_loopback() || ip == self.listens.ip();
        name.eq_ignore_ascii_case("localhost") || ip.is_ok_and(own)
    }
}

fn split_host(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    }
}

fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a peer is this machine: its address is loopback's or one of an interface.
pub fn is_same_host(peer: IpAddr, interfaces: impl FnOnce() -> Vec<IpAddr>) -> bool {
    // A socket for both protocols shows IPv4 addresses in IPv6 ones.
    let peer = peer.to_canonical();
    peer.is_loopback() || interfaces().contains(&peer)
}

/// The addresses of this machine's interfaces; none when they cannot be asked for.
pub fn interfaces() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().map(if_addrs::Interface::ip).collect()
}

/// What is left of a burst, refilled as time passes.
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self) -> bool {
        let now = Instant::now();
        let refill = now.duration_since(self.at).as_secs_f64() * A_SECOND;
        self.left = (self.left + refill).min(BURST);
        self.at = now;
        let there = self.left >= 1.0;
        if there {
            self.left -= 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    type Headers<'a> = &'a [(&'a str, &'a str)];

    fn headers(list: Headers<'_>) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        };
        list.iter().map(pair).collect()
    }

    fn guard(key: &str) -> Guard {
        Guard::new(key.to_owned(), "127.0.0.1:4000".parse().unwrap())
    }

    #[tokio::test]
    async fn without_a_key_only_the_own_address_and_origin_are_answered() {
        let own = "127.0.0.1:4000";
        let table: &[(Headers<'_>, Result<(), Denied>)] = &[
            (&[("host", own)], Ok(())),
            (&[("host", "127.0.0.1")], Ok(())),
            (&[("host", "LOCALHOST:4000")], Ok(())),
            (&[("host", "[::1]:4000")], Ok(())),
            (&[("host", "[::1]")], Ok(())),
            (&[], Err(Denied::UntrustedHost)),
            (&[("host", "127.0.0.1:4001")], Err(Denied::UntrustedHost)),
            (&[("host", "evil.example:4000")], Err(Denied::UntrustedHost)),
            (&[("host", "localhost.evil.example")], Err(Denied::UntrustedHost)),
            (&[("host", "192.0.2.2:4000")], Err(Denied::UntrustedHost)),
            (&[("host", own), ("origin", "http://127.0.0.1:4000")], Ok(())),
            (&[("host", own), ("origin", "http://evil.example")], Err(Denied::CrossOrigin)),
            (&[("host", own), ("origin", "null")], Err(Denied::CrossOrigin)),
            (&[("host", own), ("sec-fetch-site", "cross-site")], Err(Denied::CrossOrigin)),
            (&[("host", own), ("sec-fetch-site", "same-origin")], Ok(())),
        ];
        for (list, expected) in table {
            assert_eq!(guard("").admit(&Method::POST, &headers(list)), *expected, "{list:?}");
        }
        let page = headers(&[("host", own), ("origin", "http://evil.example")]);
        assert_eq!(guard("").admit(&Method::GET, &page), Ok(()), "it cannot read the answer");
        let led_here = headers(&[("host", "evil.example")]);
        assert_eq!(guard("").admit(&Method::GET, &led_here), Err(Denied::UntrustedHost));
        assert_eq!(guard("key").admit(&Method::POST, &led_here), Ok(()), "a key is enough");
    }

    #[tokio::test]
    async fn a_key_is_taken_from_two_headers() {
        let table: &[(Headers<'_>, bool)] = &[
            (&[("x-api-key", "key")], true),
            (&[("authorization", "Bearer key")], true),
            (&[("authorization", "key")], true),
            (&[("authorization", ""), ("x-api-key", "key")], true),
            (&[("authorization", "Bearer wrong"), ("x-api-key", "key")], false),
            (&[("x-api-key", "ke")], false),
            (&[("x-api-key", "keys")], false),
            (&[("x-api-key", "")], false),
            (&[], false),
        ];
        for (list, expected) in table {
            assert_eq!(guard("key").authorize(&headers(list)).is_ok(), *expected, "{list:?}");
        }
        assert_eq!(guard("").authorize(&headers(&[])), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_keys_are_slowed_down_and_right_ones_are_not() {
        let guard = guard("key");
        let wrong = headers(&[("x-api-key", "wrong")]);
        for _ in 0..20 {
            assert_eq!(guard.authorize(&wrong), Err(Denied::Unauthorized));
        }
        assert_eq!(guard.authorize(&wrong), Err(Denied::TooMany));
        assert_eq!(guard.authorize(&headers(&[("x-api-key", "key")])), Ok(()));
        tokio::time::advance(Duration::from_millis(150)).await;
        assert_eq!(guard.authorize(&wrong), Err(Denied::Unauthorized));
        assert_eq!(guard.authorize(&wrong), Err(Denied::TooMany));
    }

    #[test]
    fn the_same_host_is_told_by_the_address_of_the_peer() {
        let lan: IpAddr = "192.0.2.2".parse().unwrap();
        let table = [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("192.0.2.2", true),
            ("::ffff:192.0.2.2", true),
            ("192.0.2.3", false),
            ("2001:db8::1", false),
        ];
        for (peer, expected) in table {
            assert_eq!(is_same_host(peer.parse().unwrap(), || vec![lan]), expected, "{peer}");
        }
    }
}
