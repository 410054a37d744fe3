//! What `msgvault serve` answers, driven by plain HTTP and held against a record of the Go program's daemon.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use msgvault_tests::programs::{msgvault, run};
use msgvault_tests::raw_http::{Reply, exchange, read_reply, request, try_exchange};
use msgvault_tests::serve::Serve;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

const BEGIN: &str = "/api/v1/backup/freeze/begin";
const END: &str = "/api/v1/backup/freeze/end";
const KEY: &str = "k3y-0123456789abcdefghijklmnopqrs";

fn home(config: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("config.toml"), config).unwrap();
    home
}

fn home_with_key() -> TempDir {
    home(&format!("[server]\napi_key = \"{KEY}\"\n"))
}

/// One exchange of the record.
#[derive(Debug, Default, Clone)]
struct Exchange {
    title: String,
    request: String,
    reply: Option<Reply>,
}

/// The recorded exchanges, by the number of their section; none when the record is not here.
fn recorded() -> Vec<(u32, Exchange)> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/freeze/go-daemon-transcript.txt");
    let Ok(text) = fs::read_to_string(&path) else {
        let _ =
            writeln!(std::io::stderr(), "NOT RUN: the record of a daemon is not here ({})", path.display());
        return Vec::new();
    };
    let (mut section, mut exchanges) = (0, Vec::<(u32, Exchange)>::new());
    for line in text.lines() {
        if let Some(number) = line.strip_prefix("== ").and_then(|rest| rest.split_once(". ")?.0.parse().ok())
        {
            section = number;
        } else if let Some(title) = line.strip_prefix("--- ") {
            exchanges.push((section, Exchange { title: title.to_owned(), ..Exchange::default() }));
        } else if let Some((_, exchange)) = exchanges.last_mut() {
            exchange.add(line);
        }
    }
    exchanges
}

impl Exchange {
    fn add(&mut self, line: &str) {
        if let Some(body) = line.strip_prefix("> body ") {
            self.request += unquoted(body).as_str();
        } else if let Some(head) = line.strip_prefix("> ") {
            self.request += &head.replace("\\r\\n", "\r\n");
        } else if let Some(body) = line.strip_prefix("< body ") {
            self.reply.as_mut().unwrap().body = unquoted(body);
        } else if let Some(head) = line.strip_prefix("< ") {
            let head = head.trim_end_matches("\\r\\n");
            match (head.strip_prefix("HTTP/1.1 "), head.split_once(": ")) {
                (Some(status), _) => {
                    let status = status[..3].parse().unwrap();
                    self.reply = Some(Reply { status, headers: Vec::new(), body: String::new() });
                }
                (None, Some((name, value))) => {
                    self.reply.as_mut().unwrap().headers.push((name.to_owned(), value.to_owned()));
                }
                _ => {}
            }
        }
    }
}

fn unquoted(text: &str) -> String {
    text.trim_matches('\'').replace("\\n", "\n")
}

/// Plays recorded requests to a daemon and compares the answers.
struct Player<'a> {
    daemon: &'a Serve,
    key: Option<&'a str>,
    /// Recorded tokens, and what this daemon gave instead.
    tokens: HashMap<String, String>,
    open: Option<String>,
}

impl<'a> Player<'a> {
    fn new(daemon: &'a Serve, key: Option<&'a str>) -> Self {
        Self { daemon, key, tokens: HashMap::new(), open: None }
    }

    fn play(&mut self, exchange: &Exchange) {
        let expected = exchange.reply.as_ref().unwrap();
        let begins = exchange.request.contains(BEGIN) && expected.status == 200;
        if begins && let Some(open) = self.open.take() {
            // The record leaves out how windows ended that it began only to see that it could.
            self.end(&open);
        }
        let mut actual = self.ask(exchange);
        let mut tries = 1;
        while expected.status == 429 && actual.status != 429 && tries < 40 {
            (actual, tries) = (self.ask(exchange), tries + 1);
        }
        if begins {
            let token = |reply: &Reply| reply.json()["token"].as_str().unwrap().to_owned();
            self.tokens.insert(token(expected), token(&actual));
            self.open = Some(token(&actual));
        }
        assert_eq!(normalized(&actual), normalized(expected), "{}: {:?}", exchange.title, exchange.request);
    }

    fn ask(&self, recorded: &Exchange) -> Reply {
        let recorded_port = recorded_port(&recorded.request);
        let port = self.daemon.address.rsplit_once(':').unwrap().1;
        let mut text = recorded.request.replace(&recorded_port, port);
        for (theirs, ours) in &self.tokens {
            text = text.replace(theirs, ours);
        }
        exchange(&self.daemon.address, &text)
    }

    fn end(&self, token: &str) {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(self.key.map(|key| ("X-Api-Key", key)));
        let _ = self.daemon.ask("POST", END, &headers, &format!("{{\"token\":\"{token}\"}}"));
    }
}

/// The recorded daemon's port, as the request names it; something that is nowhere when it does not.
fn recorded_port(request: &str) -> String {
    // 40700 is there to be wrong.
    let port = request.split("\r\n").find_map(|line| line.strip_prefix("Host: ")?.rsplit_once(':'));
    port.map(|(_, port)| port.to_owned()).filter(|port| port != "40700").unwrap_or_else(|| "\0".to_owned())
}

/// What must be the same: status, body, and the headers that are not about this very moment.
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

#[test]
fn exchanges_of_the_go_daemon_are_repeated_to_the_byte() {
    let recorded = recorded();
    let section = |number: u32| recorded.iter().filter(move |(at, _)| *at == number).map(|(_, one)| one);
    for (sections, config, key) in [
        (&[2, 3][..], String::new(), None),
        (&[4], String::new(), None),
        (&[8], format!("[server]\napi_key = \"{KEY}\"\n"), Some(KEY)),
    ] {
        let home = home(&config);
        let daemon = Serve::start(home.path(), &[]);
        let mut player = Player::new(&daemon, key);
        let exchanges: Vec<_> = sections.iter().flat_map(|number| section(*number)).collect();
        assert!(recorded.is_empty() || exchanges.len() >= 5, "{sections:?}: {exchanges:?}");
        for exchange in exchanges {
            player.play(exchange);
        }
    }
}

#[test]
fn every_answer_is_numbered_and_dated() {
    let home = home("");
    let daemon = Serve::start(home.path(), &[]);
    for number in 1..4 {
        let reply = daemon.ask("GET", "/api/ping", &[], "");
        assert_eq!(reply.header("X-Request-Id"), Some(format!("msgvault-{number}").as_str()));
        assert!(reply.header("Date").unwrap().ends_with("GMT"));
        assert_eq!(reply.json()["pid"], daemon.pid());
    }
}

#[test]
fn a_daemon_without_the_page_says_how_to_make_one_with_it() {
    let home = home("");
    let serve = Serve::start(home.path(), &[]);
    let reply = serve.ask("GET", "/verify", &[], "");
    assert_eq!(reply.status, 404, "{reply:?}");
    let message = reply.json()["message"].to_string();
    assert!(message.contains("web/build.sh") && message.contains("--features page"), "{message}");
    serve.stop();
}

#[test]
fn ten_begins_at_once_give_one_token() {
    let home = home("");
    let daemon = Serve::start(home.path(), &[]);
    let text = request("POST", BEGIN, &daemon.address, &[], "");
    let mut streams: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(&daemon.address).unwrap()).collect();
    for stream in &mut streams {
        stream.write_all(text.as_bytes()).unwrap();
    }
    let mut statuses: Vec<u16> = streams.iter_mut().map(|one| read_reply(one).unwrap().status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [[200].as_slice(), &[409; 9]].concat());
}

#[test]
fn bodies_and_heads_are_bounded() {
    let home = home("");
    let daemon = Serve::start(home.path(), &[]);
    let json = [("Content-Type", "application/json")];
    let long = format!("{{\"token\":\"{}\"}}", "x".repeat(100_000));
    let reply = daemon.ask("POST", END, &json, &long);
    assert_eq!((reply.status, &reply.json()["error"]), (400, &"invalid_request".into()));
    // Announced and never sent: the length alone allocates nothing.
    let mut stream = TcpStream::connect(&daemon.address).unwrap();
    let head = format!(
        "POST {END} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n",
        daemon.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream).unwrap().status, 400);

    let many: Vec<(String, &str)> = (0..200).map(|number| (format!("X-{number}"), "x")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let text = request("GET", "/api/ping", &daemon.address, &many, "");
    assert_eq!(exchange(&daemon.address, &text).status, 431);
    let long = "x".repeat(100_000);
    let text = request("GET", "/api/ping", &daemon.address, &[("X-Long", &long)], "");
    // The daemon may hang up before everything was sent to it.
    if let Ok(reply) = try_exchange(&daemon.address, &text) {
        assert_eq!(reply.status, 431);
    }
    let chunked = format!(
        "POST {END} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        daemon.address
    );
    assert_eq!(exchange(&daemon.address, &chunked).status, 400);
    assert_eq!(daemon.ask("GET", "/api/ping", &[], "").status, 200);
}

#[test]
fn what_is_said_about_scheduled_work_needs_the_key() {
    let home = home_with_key();
    let daemon = Serve::start(home.path(), &[]);
    let path = "/api/v1/backup/status";
    assert_eq!(daemon.ask("GET", path, &[], "").status, 401);
    let reply = daemon.ask("GET", path, &[("X-Api-Key", KEY)], "");
    assert_eq!((reply.status, &*reply.body), (200, "{\"jobs\":[]}\n"));
}

#[test]
fn an_archive_has_one_daemon_and_other_machines_need_a_key() {
    let home = home("");
    let serve = |args: &[&str]| {
        let mut command = msgvault();
        run(command.arg("serve").arg("--home").arg(home.path()).args(args))
    };
    let exposed = serve(&["--bind", "0.0.0.0"]);
    assert_eq!(exposed.code, 1);
    assert!(exposed.stderr.contains("no API key is set"), "{}", exposed.stderr);
    assert!(serve(&["--bind", "example.org"]).stderr.contains("is no IP address"));

    let daemon = Serve::start(home.path(), &["--bind", "::1"]);
    assert!(daemon.address.starts_with("[::1]:"), "{}", daemon.address);
    assert_eq!(daemon.ask("POST", BEGIN, &[], "").status, 200);
    let second = serve(&[]);
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("daemon.lock is held by process"), "{}", second.stderr);

    let port = daemon.address.rsplit_once(':').unwrap().1.to_owned();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = msgvault();
    command.arg("serve").arg("--home").arg(elsewhere.path()).args(["--bind", "::1", "--port", &port]);
    let taken = run(&mut command);
    assert!(taken.stderr.contains("cannot listen on"), "{}", taken.stderr);
    assert!(!elsewhere.path().join("daemon.json").exists());
}

#[test]
fn both_signals_end_a_daemon_and_take_its_record_away() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = home("");
        let mut daemon = Serve::start(home.path(), &[]);
        let record = home.path().join(format!("daemon.{}.json", daemon.pid()));
        assert!(record.exists());
        daemon.signal(signal);
        assert!(daemon.wait().success());
        assert!(!record.exists());
        assert!(daemon.log().last().unwrap().contains("msg=stopped"), "{:?}", daemon.log());
    }
}

#[test]
fn a_daemon_that_ends_lets_an_open_window_end_first() {
    let home = home("");
    let mut daemon = Serve::start(home.path(), &[]);
    let token = daemon.begin();
    daemon.signal(Signal::TERM);
    // Nobody gets in any more, and the client that is inside still gets out.
    loop {
        let reply = daemon.ask("POST", BEGIN, &[], "");
        if daemon.log().iter().any(|line| line.contains("msg=stopping")) {
            assert_eq!(reply.status, 409);
            break;
        }
    }
    assert_eq!(daemon.end(&token).status, 200);
    assert!(daemon.wait().success());
    assert!(!daemon.log().iter().any(|line| line.contains("level=ERROR")), "{:?}", daemon.log());
}

#[test]
fn status_and_stop_are_commands() {
    let home = home_with_key();
    let command = |args: &[&str]| {
        let mut command = msgvault();
        run(command.arg("daemon").arg("--home").arg(home.path()).args(args))
    };
    let nothing = command(&["status", "--json"]);
    assert_eq!((nothing.code, &nothing.json()["running"]), (1, &false.into()));
    let nothing = command(&["stop"]);
    assert!(nothing.code == 1 && nothing.stderr.contains("no daemon runs"), "{nothing:?}");

    let mut daemon = Serve::start(home.path(), &[]);
    let status = command(&["status", "--json"]).done().json();
    assert_eq!(status["pid"], daemon.pid());
    assert_eq!(status["address"], daemon.address);
    assert_eq!((&status["running"], &status["busy_with"]), (&true.into(), &Value::Null));
    let begun = daemon.ask("POST", BEGIN, &[("X-Api-Key", KEY)], "");
    let text = command(&["status"]).done().stdout;
    assert!(text.contains("busy      backup freeze since 2"), "{text}");
    let end = [("X-Api-Key", KEY), ("Content-Type", "application/json")];
    assert_eq!(daemon.ask("POST", END, &end, &begun.body).status, 200);

    // A key that was changed meanwhile stops everything but this.
    fs::write(home.path().join("config.toml"), "[server]\napi_key = \"new\"\n").unwrap();
    let other = command(&["status"]);
    assert!(other.code == 1 && other.stderr.contains("restart the daemon"), "{other:?}");
    assert!(command(&["stop"]).done().stdout.contains("stopped the daemon"));
    assert!(daemon.wait().success());
}

/// A thousand sockets in this process and the daemon's usual limit: raised where it is lower.
#[test]
fn a_thousand_slow_connections_do_not_stop_a_begin() {
    const MANY: usize = 1000;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    if limit.maximum.is_some_and(|most| most < 1200) {
        let _ = writeln!(std::io::stderr(), "NOT RUN: this process may not open a thousand connections");
        return;
    }
    let home = home("");
    let daemon = Serve::start(home.path(), &[]);
    let text = request("POST", BEGIN, &daemon.address, &[], "");
    let mut bytes = text.bytes().cycle();
    let mut slow: Vec<TcpStream> = (0..MANY).map(|_| TcpStream::connect(&daemon.address).unwrap()).collect();
    // A byte at a time from everybody, while others ask.
    for _ in 0..3 {
        let byte = [bytes.next().unwrap()];
        for stream in &mut slow {
            // Those that were given up for newer ones are closed.
            let _ = stream.write_all(&byte);
        }
        let token = daemon.begin();
        assert_eq!(daemon.end(&token).status, 200);
    }
    // The daemon's own number of connections stayed bounded: most were closed.
    let mut closed = 0;
    for stream in &mut slow {
        stream.set_nonblocking(true).unwrap();
        closed += usize::from(!matches!(
            stream.read(&mut [0]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock
        ));
    }
    assert!(closed >= MANY - 128, "{closed} of {MANY} were closed");
}

/// Runs a script in a network of its own; `None`, loudly, where that is not possible.
fn in_own_network(script: &str, args: &[&Path]) -> Option<String> {
    let possible = Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        let _ = writeln!(std::io::stderr(), "NOT RUN: this user cannot make network namespaces");
        return None;
    }
    let output =
        Command::new("unshare").args(["--net", "bash", "-euc", script, "test"]).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{text}{complaints}");
    Some(text)
}

#[test]
fn a_daemon_on_an_interface_freezes_for_its_own_host_alone() {
    let home = home_with_key();
    // Two hosts with a cable between them: this one and, in a namespace of its own, another.
    let script = r#"
        program=$1 home=$2 key=k3y-0123456789abcdefghijklmnopqrs
        ip link set lo up
        unshare --net sleep 1000 & other=$!
        while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do :; done
        ip link add here type veth peer name there netns $other
        ip addr add 192.0.2.1/24 dev here && ip link set here up
        nsenter --net=/proc/$other/ns/net sh -c 'ip addr add 192.0.2.2/24 dev there && ip link set there up'
        exec {log}< <(exec "$program" serve --home "$home" --bind 192.0.2.1 2>&1)
        daemon=$!
        line= ; until [[ $line == *address=* ]]; do read -r line <&$log; done
        address=${line#*address=} address=${address%% *}
        ask() {
            printf 'POST /api/v1/backup/freeze/begin HTTP/1.1\r\nHost: x\r\nX-Api-Key: %s\r\n%s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' \
                "$key" "${1:-X-Nothing: x}" >&$tcp
            head -n 1 <&$tcp
        }
        export -f ask; export key address
        on() { "$@" bash -euc 'exec {tcp}<>/dev/tcp/${address%:*}/${address#*:}; ask "$forwarded"'; }
        export forwarded=
        echo "other: $(on nsenter --net=/proc/$other/ns/net)"
        export forwarded='X-Forwarded-For: 127.0.0.1'
        echo "forwarded: $(on nsenter --net=/proc/$other/ns/net)"
        export forwarded=
        echo "own: $(on env)"
        kill $other $daemon
    "#;
    let program = msgvault_tests::programs::program("msgvault");
    let Some(text) = in_own_network(script, &[&program, home.path()]) else { return };
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let expected =
        ["other: HTTP/1.1 404 Not Found", "forwarded: HTTP/1.1 404 Not Found", "own: HTTP/1.1 200 OK"];
    assert_eq!(lines, expected);
}
