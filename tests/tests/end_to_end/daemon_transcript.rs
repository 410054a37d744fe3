//! `msgvault serve` answers as the Go program's daemon did when it was recorded.

use std::time::Duration;

use msgvault_tests::raw_http::{read_reply, send};
use msgvault_tests::serve::{BEGIN, ClockedServe, Serve, home, home_with_key};
use msgvault_tests::transcript::{Exchange, KEY, Player, assert_repeated, recorded, section, titled};
use tempfile::TempDir;

#[test]
fn exchanges_of_the_go_daemon_are_repeated_to_the_byte() {
    let recorded = recorded();
    for (sections, home, key) in [
        (&[2, 3][..], home(""), None),
        (&[4], home(""), None),
        (&[8], home_with_key(KEY), Some(KEY)),
        (&[13], home_with_key(KEY), Some(KEY)),
    ] {
        let daemon = Serve::start(home.path(), &[]);
        let mut player = Player::new(&daemon.address, key);
        let exchanges: Vec<_> = sections.iter().flat_map(|number| section(&recorded, *number)).collect();
        assert!(exchanges.len() >= 5, "{sections:?}: {exchanges:?}");
        for exchange in exchanges {
            player.play(exchange);
        }
    }
}

#[test]
fn a_go_client_s_connection_is_answered_to_the_byte() {
    let recorded = recorded();
    let home = home_with_key(KEY);
    let daemon = Serve::start(home.path(), &[]);
    let mut player = Player::new(&daemon.address, Some(KEY));
    player.keep_connection();
    let proof_and_freeze: Vec<_> =
        section(&recorded, 13).filter(|exchange| exchange.title == "connection 1").collect();
    assert_eq!(proof_and_freeze.len(), 3);
    for exchange in proof_and_freeze {
        player.play(exchange);
    }
}

#[test]
fn the_watchdog_is_the_recorded_one() {
    let recorded = recorded();
    let home = home("");
    let mut clocked = ClockedServe::start(home.path(), None);
    let mut player = Player::new(&clocked.daemon.address, None);
    let exchanges: Vec<_> = section(&recorded, 6).collect();
    let [begin, late_end, rest @ ..] = exchanges.as_slice() else { panic!("{exchanges:?}") };
    player.play(begin);
    clocked.pass(Duration::from_millis(60_010));
    clocked.daemon.wait_for("level=ERROR msg=\"backup freeze watchdog fired; releasing operation gate\"");
    player.play(late_end);
    assert_eq!(rest.len(), 2);
    for exchange in rest {
        player.play(exchange);
    }
}

/// A daemon whose gate other work holds, and a begin that waits for it.
struct Waiting {
    clocked: ClockedServe,
    begin: std::net::TcpStream,
    _home: TempDir,
}

impl Waiting {
    fn behind(holder: &str, begin: &Exchange) -> Self {
        let home = home("");
        let clocked = ClockedServe::start(home.path(), Some(holder));
        let text = Player::new(&clocked.daemon.address, None).request(begin);
        let begin = send(&clocked.daemon.address, &text).unwrap();
        // It came first, and so it is the one that waits.
        assert_eq!(clocked.daemon.ask("POST", BEGIN, &[], "").status, 409);
        Self { clocked, begin, _home: home }
    }
}

#[test]
fn what_holds_the_gate_is_told_as_recorded() {
    let recorded = recorded();
    let labelled = titled(&recorded, 7, "begin while");
    let mut waiting = Waiting::behind("a scheduled sync", labelled);
    waiting.clocked.pass(Duration::from_millis(10_010));
    assert_repeated(&read_reply(&mut waiting.begin).unwrap(), labelled);
    let mut player = Player::new(&waiting.clocked.daemon.address, None);
    player.play(titled(&recorded, 7, "health while busy"));

    let unlabelled = titled(&recorded, 7, "begin, unlabeled holder");
    let mut waiting = Waiting::behind("", unlabelled);
    waiting.clocked.pass(Duration::from_millis(10_010));
    assert_repeated(&read_reply(&mut waiting.begin).unwrap(), unlabelled);
}

#[test]
fn whoever_waits_when_the_daemon_ends_is_told_as_recorded() {
    let recorded = recorded();
    let sent_away = titled(&recorded, 7, "begin queued on the gate when SIGTERM arrives");
    let mut waiting = Waiting::behind("a scheduled sync", titled(&recorded, 7, "begin while"));
    waiting.clocked.tell_to_end();
    assert_repeated(&read_reply(&mut waiting.begin).unwrap(), sent_away);
}
