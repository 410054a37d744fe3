//! `msgvault serve` with a clock that moves only on command.
//!
//! `clocked-daemon HOME [LABEL]` serves without a schedule; with a label, other work of that name holds the
//! gate. A line of standard input is a number of milliseconds to let pass, which is answered with `passed`,
//! or `end`.

use std::error::Error;
use std::io::{Write, stdin};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use msgvault::home::{Environment, Flags, Home};
use msgvault_daemon::gate::{Gate, Rank};
use msgvault_daemon::log::Level;
use msgvault_daemon::schedule::Schedule;
use msgvault_daemon::{self as daemon, Clock, DaemonEnvironment, Settings};
use tokio::sync::oneshot;
use tokio::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(home), label) = (arguments.next(), arguments.next()) else {
        return Err("usage: clocked-daemon HOME [LABEL]".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(serve(Path::new(&home), label));
    // The thread that reads lines may wait for one that never comes.
    runtime.shutdown_background();
    served
}

async fn serve(home: &Path, label: Option<String>) -> Result<(), Box<dyn Error>> {
    tokio::time::pause();
    let (start, began) = (Timestamp::now(), Instant::now());
    let now: Clock = Arc::new(move || start + SignedDuration::try_from(began.elapsed()).unwrap_or_default());
    let gate = Gate::new(now.clone());
    let _held = match label {
        Some(label) => gate.enter(&label, Rank::Background).await.ok(),
        None => None,
    };
    let flags = Flags { home: Some(home.to_owned()), config: None };
    let home = Home::resolve(&flags, &Environment::default(), &std::env::current_dir()?)?;
    let settings = Settings {
        data_dir: home.data_dir,
        listen: "127.0.0.1:0".parse()?,
        api_key: home.server.api_key,
        version: "dev",
        pid: std::process::id(),
        gate,
        plan: Schedule::default(),
        zone: TimeZone::UTC,
        program: std::env::current_exe()?,
        place: Vec::new(),
        hook_time: Duration::from_secs(1),
        page: Err("no page"),
        inquiry: Arc::default(),
    };
    let counter = AtomicU64::new(0);
    let random = move || u128::from(counter.fetch_add(1, Ordering::Relaxed));
    let sink = |line: &str| eprintln!("{line}");
    let machine =
        DaemonEnvironment { now, random: Arc::new(random), least: Level::Info, sink: Arc::new(sink) };
    let (end, ended) = oneshot::channel();
    tokio::spawn(follow_orders(end));
    let stop = async {
        let _ = ended.await;
        "order"
    };
    Ok(daemon::serve(settings, machine, stop).await?)
}

/// Moves the clock. It does not move by itself while somebody waits for a line.
async fn follow_orders(end: oneshot::Sender<()>) {
    let mut end = Some(end);
    while let Ok(Some(order)) = tokio::task::spawn_blocking(read_order).await {
        match order.parse() {
            Ok(milliseconds) => {
                tokio::time::advance(Duration::from_millis(milliseconds)).await;
                let _ = writeln!(std::io::stdout(), "passed");
            }
            Err(_) => drop(end.take()),
        }
    }
    drop(end);
}

fn read_order() -> Option<String> {
    let mut line = String::new();
    let read = stdin().read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim().to_owned())
}
