//! A record of requests to the Go program's daemon and of its answers, with which other answers are compared.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::net::TcpStream;

use serde_json::Value;

use crate::fixtures;
use crate::raw_http::{Reply, exchange, read_reply, request};
use crate::serve::{BEGIN, END};

/// The key of the recorded daemons that need one.
pub const KEY: &str = "k3y-0123456789abcdefghijklmnopqrs";

/// A request and its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The number of its section.
    pub section: u32,
    /// Its title in the record.
    pub title: String,
    /// The request, byte for byte; empty if it was not recorded.
    pub request: String,
    /// The answer.
    pub reply: Reply,
}

/// The recorded exchanges.
///
/// # Panics
///
/// When the record cannot be read, or is not one.
pub fn recorded() -> Vec<Exchange> {
    let text = fs::read_to_string(fixtures::folder().join("go-daemon-transcript.txt")).expect("the record");
    let (mut section, mut exchanges) = (0, Vec::<Exchange>::new());
    for line in text.lines() {
        let heading = line.strip_prefix("== ").and_then(|rest| rest.split_once(". ")?.0.parse().ok());
        let title = line.strip_prefix("--- ").or_else(|| line.strip_prefix("connection ").map(|_| line));
        if let Some(number) = heading {
            section = number;
        } else if let Some(title) = title {
            exchanges.push(Exchange::new(section, title));
        } else if let Some(sent) = line.strip_prefix("client sent ") {
            let title = exchanges.pop().expect("a heading").title;
            let requests = requests(&unquoted(sent));
            exchanges.extend(
                requests.into_iter().map(|request| Exchange { request, ..Exchange::new(section, &title) }),
            );
        } else if let Some(sent) = line.strip_prefix("daemon sent ") {
            let sent = unquoted(sent);
            let mut bytes = sent.as_bytes();
            let title = exchanges.last().expect("requests").title.clone();
            for exchange in exchanges.iter_mut().filter(|one| one.section == section && one.title == title) {
                exchange.reply = read_reply(&mut bytes).expect("an answer");
            }
        } else if let Some(exchange) = exchanges.last_mut() {
            exchange.add(line);
        }
    }
    assert!(!exchanges.is_empty(), "the record holds no exchanges");
    exchanges
}

/// The recorded exchanges of one section.
pub fn section(recorded: &[Exchange], number: u32) -> impl Iterator<Item = &Exchange> {
    recorded.iter().filter(move |exchange| exchange.section == number)
}

/// The exchange of a section whose title begins with this.
///
/// # Panics
///
/// When there is none.
pub fn titled<'a>(recorded: &'a [Exchange], number: u32, title: &str) -> &'a Exchange {
    section(recorded, number).find(|exchange| exchange.title.starts_with(title)).expect(title)
}

/// The requests that were sent one after another.
fn requests(mut text: &str) -> Vec<String> {
    let mut requests = Vec::new();
    while let Some(head) = text.find("\r\n\r\n") {
        let length = text[..head].split("\r\n").find_map(|line| line.strip_prefix("Content-Length: "));
        let end = head + 4 + length.map_or(0, |length| length.parse().expect("a length"));
        requests.push(text[..end].to_owned());
        text = &text[end..];
    }
    requests
}

impl Exchange {
    fn new(section: u32, title: &str) -> Self {
        let reply = Reply { status: 0, headers: Vec::new(), body: String::new() };
        Self { section, title: title.to_owned(), request: String::new(), reply }
    }

    fn add(&mut self, line: &str) {
        if let Some(body) = line.strip_prefix("> body ") {
            self.request += &unquoted(body);
        } else if let Some(head) = line.strip_prefix("> ") {
            self.request += &unquoted(head);
        } else if let Some(body) = line.strip_prefix("< body ") {
            self.reply.body = unquoted(body);
        } else if let Some(head) = line.strip_prefix("< ") {
            let head = head.trim_end_matches("\\r\\n");
            if let Some(status) = head.strip_prefix("HTTP/1.1 ") {
                self.reply.status = status[..3].parse().expect("a status");
            } else if let Some((name, value)) = head.split_once(": ") {
                self.reply.headers.push((name.to_owned(), value.to_owned()));
            }
        }
    }
}

fn unquoted(text: &str) -> String {
    text.trim_matches('\'').replace("\\r", "\r").replace("\\n", "\n")
}

/// Sends a daemon the requests that the recorded one was sent.
#[derive(Debug)]
pub struct Player<'a> {
    address: String,
    key: Option<&'a str>,
    /// Recorded tokens, and those that this daemon gave instead.
    tokens: HashMap<String, String>,
    open: Option<String>,
    kept: Option<TcpStream>,
}

impl<'a> Player<'a> {
    /// Talks to the daemon at this address.
    pub fn new(address: &str, key: Option<&'a str>) -> Self {
        Self { address: address.to_owned(), key, tokens: HashMap::new(), open: None, kept: None }
    }

    /// From now on sends everything on one connection.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn keep_connection(&mut self) {
        self.kept = Some(TcpStream::connect(&self.address).expect("a connection"));
    }

    /// Sends a recorded request and checks that the answer is the same.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub fn play(&mut self, recorded: &Exchange) {
        let expected = &recorded.reply;
        let begins = recorded.request.contains(BEGIN) && expected.status == 200;
        if begins && let Some(open) = self.open.take() {
            // The record does not show the end of windows that were only begun as a check.
            self.end(&open);
        }
        let mut actual = self.ask(recorded);
        let mut tries = 1;
        while expected.status == 429 && actual.status != 429 && tries < 40 {
            (actual, tries) = (self.ask(recorded), tries + 1);
        }
        if begins {
            let token = |reply: &Reply| reply.json()["token"].as_str().expect("a token").to_owned();
            self.tokens.insert(token(expected), token(&actual));
            self.open = Some(token(&actual));
        }
        assert_repeated(&actual, recorded);
    }

    /// The recorded request as it is sent to this daemon.
    pub fn request(&self, recorded: &Exchange) -> String {
        let port = self.address.rsplit_once(':').map_or("", |(_, port)| port);
        let mut text = match recorded_port(&recorded.request) {
            Some(theirs) => recorded.request.replace(&format!(":{theirs}\r\n"), &format!(":{port}\r\n")),
            None => recorded.request.clone(),
        };
        for (theirs, ours) in &self.tokens {
            text = text.replace(theirs, ours);
        }
        text
    }

    fn ask(&mut self, recorded: &Exchange) -> Reply {
        let text = self.request(recorded);
        let Some(stream) = &mut self.kept else { return exchange(&self.address, &text) };
        stream.write_all(text.as_bytes()).expect("a connection");
        read_reply(stream).expect("an answer")
    }

    fn end(&self, token: &str) {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(self.key.map(|key| ("X-Api-Key", key)));
        let body = format!("{{\"token\":\"{token}\"}}");
        let _ = exchange(&self.address, &request("POST", END, &self.address, &headers, &body));
    }
}

/// The recorded daemon's port, as it appears in the request.
fn recorded_port(request: &str) -> Option<&str> {
    let host = request.split("\r\n").find_map(|line| line.strip_prefix("Host: "))?;
    // 40700 is wrong on purpose.
    host.rsplit_once(':').map(|(_, port)| port).filter(|port| *port != "40700")
}

/// Checks that an answer equals the recorded one, apart from what depends on the time.
///
/// # Panics
///
/// When it is not.
pub fn assert_repeated(actual: &Reply, recorded: &Exchange) {
    let (actual, expected) = (normalized(actual), normalized(&recorded.reply));
    assert_eq!(actual, expected, "{}: {:?}", recorded.title, recorded.request);
}

/// What must be the same: status, body, and the headers that do not depend on the time.
fn normalized(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<(String, String)> = reply
        .headers
        .iter()
        .filter(|(name, _)| !["Date", "Content-Length", "X-Request-Id"].contains(&name.as_str()))
        .map(|(name, value)| match name.as_str() {
            "X-Msgvault-Daemon-Proof" => (name.clone(), format!("{} digits", value.len())),
            _ => (name.clone(), value.clone()),
        })
        .collect();
    headers.sort();
    let mut body = reply.body.clone();
    if let Ok(Value::Object(mut document)) = serde_json::from_str(&body) {
        for moment in ["version", "pid", "token"] {
            document.entry(moment).and_modify(|value| body = body.replace(&value.to_string(), "X"));
        }
        if let Some(started) = document.get("operation").and_then(|operation| operation.get("started_at")) {
            body = body.replace(&started.to_string(), "X");
        }
    }
    (reply.status, headers, body)
}
