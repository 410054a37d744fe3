//! How long writers wait for a backup: measures the freeze window with a daemon.
//!
//! `freeze-window HOME [RUNS]` pins the archive again and again, as `backup create` does, and prints the
//! milliseconds from begin to end, and the length of the WAL afterwards. `sample-archive make HOME --ledger`
//! creates homes of any size, and `restless-writer` keeps one busy meanwhile. docs/daemon.md has the command
//! lines.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use msgvault::archive::session::{Session, SessionError};
use msgvault_freeze::{self as freeze, FreezeError};
use msgvault_platform::context::Context;
use msgvault_tests::serve::Serve;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(home) = arguments.next() else {
        return Err("usage: freeze-window HOME [RUNS]".into());
    };
    let runs: usize = arguments.next().map_or(Ok(100), |runs| runs.parse())?;
    let home = Path::new(&home);
    let daemon = Serve::start(home, &[]);
    let mut windows = Vec::new();
    let (mut longest_log, database) = (0, home.join("msgvault.db"));
    for _ in 0..runs {
        windows.push(window(home, &database)?);
        // What the next backup would find; a long log would make its window long.
        longest_log =
            longest_log.max(std::fs::metadata(home.join("msgvault.db-wal")).map_or(0, |log| log.len()));
    }
    daemon.stop();
    windows.sort();
    let at = |share: usize| windows[(windows.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    println!(
        "database {} MB, {runs} windows: median {:.2} ms, 99th percentile {:.2} ms, longest {:.2} ms; WAL at most {} KB",
        std::fs::metadata(&database)?.len() / 1_000_000,
        at(50),
        at(99),
        at(100),
        longest_log / 1000
    );
    Ok(())
}

/// Freezes, pins and thaws, and measures that; then releases the pin.
fn window(home: &Path, database: &Path) -> Result<Duration, Box<dyn Error>> {
    let random = || u128::from(std::process::id());
    let context = Context { observer: &(), now: &Timestamp::now, random: &random };
    let asked = freeze::Request {
        data_dir: home,
        api_key: "",
        patience: Duration::from_secs(10),
        pause: &std::thread::sleep,
    };
    let mut freezer = freeze::acquire(&context, &asked)?;
    let session = Session::open(database, &())?;
    let began = Instant::now();
    let pinned = freeze::during(freezer.as_mut(), || -> Result<_, Failed> {
        Ok(session.pin(&(), &std::thread::sleep)?)
    })?;
    let window = began.elapsed();
    pinned.check_same_file()?;
    pinned.let_go()?;
    Ok(window)
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Freeze(#[from] FreezeError),
    #[error(transparent)]
    Session(#[from] SessionError),
}
