//! HTTP as bytes on a socket, so that no library hides a flaw.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers as they came, in their order and with their spelling.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Reply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// If it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends a request on a connection of its own and reads the answer.
///
/// # Panics
///
/// When there is no answer.
pub fn exchange(address: &str, request: &str) -> Reply {
    try_exchange(address, request).unwrap_or_else(|error| panic!("{address}: {error}"))
}

/// Sends a request on a connection of its own and reads the answer.
pub fn try_exchange(address: &str, request: &str) -> io::Result<Reply> {
    read_reply(&mut send(address, request)?)
}

/// Sends a request on a connection of its own; its answer is read later.
pub fn send(address: &str, request: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    // A failing test should say so and not hang.
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

/// A request with a `Host`, other headers and, if it is not empty, a body.
pub fn request(method: &str, path: &str, host: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    if method == "POST" {
        text.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    text + "\r\n" + body
}

/// Reads one answer.
pub fn read_reply(stream: &mut impl Read) -> io::Result<Reply> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.trim_end().split("\r\n");
    let broken = || io::Error::other(format!("no HTTP: {head:?}"));
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).ok_or_else(broken)?;
    let status = status.get(..3).and_then(|code| code.parse().ok()).ok_or_else(broken)?;
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    let headers = lines.map(|line| header(line).ok_or_else(broken)).collect::<io::Result<Vec<_>>>()?;
    let mut reply = Reply { status, headers, body: String::new() };
    let length = reply.header("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    reply.body = String::from_utf8_lossy(&body).into_owned();
    Ok(reply)
}
