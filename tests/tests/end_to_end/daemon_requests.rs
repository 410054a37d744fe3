//! What `msgvault serve` answers to requests of every kind, driven by plain HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use msgvault_tests::raw_http::{exchange, read_reply, request, send, try_exchange};
use msgvault_tests::serve::{BEGIN, ClockedServe, END, Serve, home, home_with_key};

const KEY: &str = "a key";

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
fn a_daemon_without_the_page_says_how_to_build_it() {
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
fn slow_clients_are_not_waited_for() {
    let home = home("");
    let mut clocked = ClockedServe::start(home.path(), None);
    let address = clocked.daemon.address.clone();
    let ping = request("GET", "/api/ping", &address, &[], "");
    let mut silent = send(&address, "").unwrap();
    let mut half_a_head = send(&address, &ping[..30]).unwrap();
    let mut idle = send(&address, &ping).unwrap();
    assert_eq!(read_reply(&mut idle).unwrap().status, 200);
    let head = format!(
        "POST {END} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"
    );
    let mut half_a_body = send(&address, &(head + "{\"token\"")).unwrap();
    // Who is answered came last, and the others are known by then.
    assert_eq!(exchange(&address, &ping).status, 200);

    clocked.pass(Duration::from_millis(10_010));
    assert_eq!(read_reply(&mut half_a_body).unwrap().status, 400);
    clocked.pass(Duration::from_secs(20));
    for stream in [&mut silent, &mut half_a_head, &mut idle] {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it was not hung up on");
    }
    assert_eq!(exchange(&address, &ping).status, 200);
}

#[test]
fn the_status_of_scheduled_work_needs_the_key() {
    let home = home_with_key(KEY);
    let daemon = Serve::start(home.path(), &[]);
    let path = "/api/v1/backup/status";
    assert_eq!(daemon.ask("GET", path, &[], "").status, 401);
    let reply = daemon.ask("GET", path, &[("X-Api-Key", KEY)], "");
    assert_eq!((reply.status, &*reply.body), (200, "{\"jobs\":[]}\n"));
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

#[test]
fn a_go_client_is_told_what_to_type() {
    let home = home_with_key(KEY);
    let daemon = Serve::start(home.path(), &[]);
    let ask = |headers: &[(&str, &str)]| {
        daemon.ask("POST", "/api/v1/cli/run", headers, "{\"args\":[\"backup\",\"create\"]}")
    };
    let json = ("Content-Type", "application/json");
    assert_eq!(ask(&[json]).status, 401);
    let reply = ask(&[json, ("X-Api-Key", KEY)]);
    assert_eq!((reply.status, &reply.json()["error"]), (501, &"not_implemented".into()));
    let message = reply.json()["message"].as_str().unwrap().to_owned();
    let home = home.path().display().to_string();
    assert!(message.contains("backup create") && message.contains(&home), "{message}");
    // Versions of releases begin with a digit, and an older one would be replaced.
    let version = daemon.ask("GET", "/api/ping", &[], "").json()["version"].as_str().unwrap().to_owned();
    assert!(version.starts_with("rust-"), "{version}");
}

#[test]
fn a_shutdown_without_the_token_is_refused() {
    let home = home_with_key(KEY);
    let daemon = Serve::start(home.path(), &[]);
    for headers in [&[][..], &[("X-Msgvault-Daemon-Token", "0")], &[("X-Api-Key", KEY)]] {
        let reply = daemon.ask("POST", "/api/daemon/shutdown", headers, "");
        assert_eq!(reply.status, 401, "{reply:?}");
        assert_eq!(reply.json()["message"], "Invalid or missing daemon shutdown token");
    }
    assert_eq!(daemon.ask("GET", "/api/ping", &[], "").status, 200);
    let record = home.path().join(format!("daemon.{}.json", daemon.pid()));
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    let token = record["metadata"]["shutdown_token"].as_str().unwrap().to_owned();
    let reply = daemon.ask("POST", "/api/daemon/shutdown", &[("X-Msgvault-Daemon-Token", &token)], "");
    assert_eq!((reply.status, &*reply.body), (202, "{\"status\":\"shutting_down\"}"));
    let mut daemon = daemon;
    assert!(daemon.wait().success());
}
