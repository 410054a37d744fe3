//! Who may freeze is told by where a request comes from: this host, by whatever address, and no other.

use msgvault_tests::network::Host;
use msgvault_tests::raw_http::{Reply, exchange, request};
use msgvault_tests::serve::{BEGIN, END, Serve, home, home_with_key};
use msgvault_tests::transcript::{KEY, Player, assert_repeated, recorded, section};

fn ask(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    exchange(address, &request(method, path, address, headers, ""))
}

#[test]
fn a_daemon_on_an_interface_freezes_only_for_its_host() {
    let (Some(own), Some(other)) = (Host::new(), Host::new()) else { return };
    own.connect("192.0.2.1/24", &other, "192.0.2.2/24");
    let home = home_with_key(KEY);
    let daemon = own.run(|| Serve::start(home.path(), &["--bind", "192.0.2.1"]));
    let key = ("X-Api-Key", KEY);
    let begin = |headers: &[(&str, &str)]| ask(&daemon.address, "POST", BEGIN, headers).status;
    assert_eq!(other.run(|| begin(&[key])), 404);
    for claim in ["X-Forwarded-For", "X-Real-Ip", "Forwarded"] {
        assert_eq!(other.run(|| begin(&[key, (claim, "127.0.0.1")])), 404, "{claim}");
    }
    assert_eq!(own.run(|| begin(&[key])), 200);
}

#[test]
fn addresses_of_this_host_are_answered_as_recorded() {
    let recorded = recorded();
    let Some(host) = Host::new() else { return };
    host.ip("addr add 192.0.2.2/24 dev lo");
    let exchanges: Vec<_> = section(&recorded, 9).collect();
    let table = [
        ("0.0.0.0", "begin via 192.0.2.2", KEY),
        ("192.0.2.2", "begin via 192.0.2.2", KEY),
        ("::1", "begin over ::1", ""),
    ];
    assert_eq!(exchanges.len(), table.len());
    for (exchange, (bind, title, key)) in exchanges.into_iter().zip(table) {
        assert!(exchange.title.starts_with(title), "{exchange:?}");
        let home = home(&format!("[server]\napi_key = {key:?}\n"));
        host.run(|| {
            let daemon = Serve::start(home.path(), &["--bind", bind]);
            let address = daemon.address.replace("0.0.0.0", "192.0.2.2");
            Player::new(&address, Some(key)).play(exchange);
        });
    }
}

#[test]
fn another_host_is_answered_as_recorded() {
    let recorded = recorded();
    let (Some(own), Some(other)) = (Host::new(), Host::new()) else { return };
    own.connect("192.0.2.2/24", &other, "198.51.100.7/24");
    let home = home_with_key(KEY);
    // A socket for both protocols, which shows IPv4 addresses in IPv6 ones.
    let daemon = own.run(|| Serve::start(home.path(), &["--bind", "::"]));
    let address = daemon.address.replace("[::]", "192.0.2.2");
    let (key, close) = (("X-Api-Key", KEY), ("Connection", "close"));
    let exchanges: Vec<_> = section(&recorded, 14).collect();
    assert_eq!(exchanges.len(), 4);
    for exchange in exchanges {
        let (method, path, headers): (_, _, &[_]) = match exchange.title.split(" from").next() {
            Some("begin, right key") => ("POST", BEGIN, &[key, close]),
            Some("end, right key") => ("POST", END, &[key, close]),
            Some("begin, no key") => ("POST", BEGIN, &[close]),
            Some("ping") => ("GET", "/api/ping", &[close]),
            _ => panic!("{exchange:?}"),
        };
        assert_repeated(&other.run(|| ask(&address, method, path, headers)), exchange);
    }
    let own_begin = own.run(|| ask(&address, "POST", BEGIN, &[key, close]));
    assert_eq!(own_begin.status, 200);
}
