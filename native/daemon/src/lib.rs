//! `msgvault serve`: the program that owns an archive home while it runs.
//!
//! It holds both locks of the data directory, serializes what changes the archive, lets backups freeze it
//! over HTTP, and makes them itself when they are due. docs/daemon.md is about using it.

pub mod api;
pub mod connections;
pub mod cron;
pub mod gate;
pub mod guard;
mod job;
pub mod log;
pub mod record;
pub mod schedule;
pub mod window;

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use api::Api;
use connections::Connection;
use gate::Gate;
use guard::Guard;
use job::Children;
use log::Level;
use msgvault_freeze::identity::{Challenge, SHUTDOWN_PATH};
use msgvault_freeze::ownership::{Ownership, OwnershipError};
use msgvault_freeze::process::ProcessIdentity;
use record::{Facts, RuntimeRecord};
use schedule::{Board, Schedule, Scheduler, StateFile};
use window::Window;

/// How long a freeze that is open may last when the daemon is told to end.
const GRACE: Duration = Duration::from_secs(5);
/// How often somebody looks whether the record is still there.
const RECORD_GLANCE: Duration = Duration::from_secs(10);

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The machine as a daemon needs it.
#[derive(Clone)]
pub struct DaemonEnvironment {
    /// The time now.
    pub now: Clock,
    /// 128 random bits a call.
    pub random: Arc<dyn Fn() -> u128 + Send + Sync>,
    /// What matters less is not logged.
    pub least: Level,
    /// Takes the lines of the log.
    pub sink: Arc<dyn Fn(&str) + Send + Sync>,
}

/// The page that verifies a repository in a browser, or why this program has none.
pub type Page = Result<&'static [u8], &'static str>;

/// What a daemon is told.
pub struct Settings {
    /// Where locks, record and state are.
    pub data_dir: PathBuf,
    /// Where to listen; port 0 is any that is free.
    pub listen: SocketAddr,
    /// The API key; empty when none is needed.
    pub api_key: String,
    /// The program's version.
    pub version: &'static str,
    /// This process.
    pub pid: u32,
    /// What everything that changes the archive passes; whoever runs the daemon can hold it, too.
    pub gate: Gate,
    /// When what is run.
    pub plan: Schedule,
    /// The time zone of the schedules.
    pub zone: TimeZone,
    /// This program, for scheduled work.
    pub program: PathBuf,
    /// Flags for it that name home, configuration and repository.
    pub place: Vec<OsString>,
    /// How long a hook may take.
    pub hook_time: Duration,
    /// What is served at `/verify`.
    pub page: Page,
    /// Somebody wants the log to say what runs.
    pub inquiry: Arc<Notify>,
}

/// Why a daemon cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Everybody on the network could freeze the archive.
    #[error(
        "{address} can be reached by other machines and no API key is set: write api_key under [server] in the configuration, or listen on 127.0.0.1"
    )]
    NeedsKey {
        /// The address.
        address: IpAddr,
    },
    /// The address is none.
    #[error("{address:?} is no IP address to listen on: use one of this machine, 127.0.0.1 for itself alone")]
    NoAddress {
        /// What was given.
        address: String,
    },
    /// Another daemon or writer owns the archive.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// The data directory cannot be used.
    #[error("the data directory {} cannot be used: {source}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another with --bind and --port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Reads what `bind_addr` and `--bind` say.
pub fn listen_address(bind: &str, port: u16) -> Result<SocketAddr, ServeError> {
    let ip = if bind.eq_ignore_ascii_case("localhost") {
        Ipv4Addr::LOCALHOST.into()
    } else {
        let plain = bind.strip_prefix('[').and_then(|bind| bind.strip_suffix(']')).unwrap_or(bind);
        plain.parse().map_err(|_| ServeError::NoAddress { address: bind.to_owned() })?
    };
    Ok(SocketAddr::new(ip, port))
}

/// Runs until `stop` is ready or a client who knows the shutdown token asks for it, and then ends in order.
pub async fn serve(
    settings: Settings,
    machine: DaemonEnvironment,
    stop: impl Future<Output = &'static str>,
) -> Result<(), ServeError> {
    if settings.api_key.is_empty() && !settings.listen.ip().is_loopback() {
        return Err(ServeError::NeedsKey { address: settings.listen.ip() });
    }
    let data_dir = settings.data_dir.clone();
    let unusable = |source| ServeError::DataDir { path: data_dir.clone(), source };
    make_private(&data_dir, &machine).map_err(unusable)?;
    let ownership = Ownership::take(&data_dir)?;
    let (listener, listens) = listen(settings.listen).await?;
    // A challenge is as good a secret as any: 256 random bits in hexadecimal.
    let shutdown_token = Challenge::new(&*machine.random).to_hex();
    let facts = Facts {
        pid: settings.pid,
        process: ProcessIdentity::of_this_process(),
        listens,
        version: settings.version,
        started_at: (machine.now)(),
        api_key: &settings.api_key,
        shutdown_token: &shutdown_token,
    };
    let record = Arc::new(RuntimeRecord::publish(&data_dir, &facts).map_err(unusable)?);
    let fields = [("address", listens.to_string()), ("pid", settings.pid.to_string())];
    machine.log(Level::Info, "listening", &fields);

    let shutdown = Shutdown { token: shutdown_token, asked: Arc::default() };
    let asked = Arc::clone(&shutdown.asked);
    let running = RunningDaemon::start(settings, &machine, listener, listens, shutdown, &record);
    let cause = tokio::select! {
        signal = stop => ("signal", signal.to_owned()),
        () = asked.notified() => ("request", SHUTDOWN_PATH.to_owned()),
    };
    machine.log(Level::Info, "stopping", &[cause]);
    running.end().await;
    drop(record);
    drop(ownership);
    machine.log(Level::Info, "stopped", &[]);
    Ok(())
}

/// How a client ends a daemon.
struct Shutdown {
    /// What it must know, which is in the record.
    token: String,
    /// Somebody who knew it asked.
    asked: Arc<Notify>,
}

/// The tasks of a daemon.
struct RunningDaemon {
    gate: Gate,
    window: Window,
    stop_children: watch::Sender<bool>,
    stop_http: watch::Sender<bool>,
    scheduler: tokio::task::JoinHandle<()>,
    http: tokio::task::JoinHandle<()>,
    keeper: tokio::task::JoinHandle<()>,
    reporter: tokio::task::JoinHandle<()>,
}

impl RunningDaemon {
    fn start(
        settings: Settings,
        machine: &DaemonEnvironment,
        listener: TcpListener,
        listens: SocketAddr,
        shutdown: Shutdown,
        record: &Arc<RuntimeRecord>,
    ) -> Self {
        let gate = settings.gate;
        let window = Window::new(gate.clone(), machine.clone());
        let (stop_children, children_stop) = watch::channel(false);
        let (stop_http, http_stop) = watch::channel(false);

        let file = StateFile::new(schedule::state_path(&settings.data_dir));
        let verify_budget = settings.plan.verify_budget.clone();
        let (board, complaint) = Board::new(settings.plan, &file);
        if let Some(complaint) = complaint {
            machine.log(Level::Warn, &complaint, &[]);
        }
        let (program, place, hook_time) = (settings.program, settings.place, settings.hook_time);
        let by_hand = job::by_hand(&program, &place);
        let scheduler = Scheduler {
            board: board.clone(),
            file,
            zone: settings.zone,
            gate: gate.clone(),
            runner: Children { program, place, verify_budget, hook_time, stop: children_stop },
            machine: machine.clone(),
        };
        let reporter = report(settings.inquiry, gate.clone(), board.clone(), machine.clone());
        let api = Api {
            pid: settings.pid,
            version: settings.version,
            shutdown,
            guard: Guard::new(settings.api_key, listens),
            gate: gate.clone(),
            window: window.clone(),
            board,
            by_hand,
            page: settings.page,
            machine: machine.clone(),
            requests: AtomicU64::new(0),
            interfaces: guard::interfaces,
        };
        let api = Arc::new(api);
        let answer = move |connection: Arc<Connection>, request| {
            let api = Arc::clone(&api);
            async move { api.answer(&connection, request).await }
        };
        Self {
            gate,
            window,
            stop_children,
            stop_http,
            scheduler: tokio::spawn(scheduler.run()),
            http: tokio::spawn(connections::serve(listener, answer, http_stop)),
            keeper: tokio::spawn(keep(Arc::clone(record), machine.clone())),
            reporter: tokio::spawn(reporter),
        }
    }

    /// Lets nobody in any more, lets end what runs, and stops answering last, so that a client in its window
    /// can still end it.
    async fn end(self) {
        self.gate.drain();
        let _ = self.stop_children.send(true);
        let _ = tokio::time::timeout(GRACE, self.gate.freed()).await;
        self.window.expire("shutting down; ending the open backup freeze");
        let _ = self.scheduler.await;
        let _ = self.stop_http.send(true);
        let _ = self.http.await;
        self.reporter.abort();
        self.keeper.abort();
        let _ = self.keeper.await;
    }
}

/// Writes the record again when somebody removed it.
async fn keep(record: Arc<RuntimeRecord>, machine: DaemonEnvironment) {
    loop {
        tokio::time::sleep(RECORD_GLANCE).await;
        match record.restore() {
            Ok(false) => {}
            Ok(true) => {
                machine.log(Level::Warn, "the runtime record had vanished and was written again", &[]);
            }
            Err(error) => {
                let fields = [("error", error.to_string())];
                machine.log(Level::Error, "the runtime record cannot be kept", &fields);
            }
        }
    }
}

/// Logs what holds the gate, what runs and what is next, whenever somebody asks.
async fn report(inquiry: Arc<Notify>, gate: Gate, board: Board, machine: DaemonEnvironment) {
    loop {
        inquiry.notified().await;
        let held = gate.held().map_or_else(|| "nothing".to_owned(), |held| held.label);
        let mut fields = vec![("gate", held)];
        fields.extend(board.status().standings());
        machine.log(Level::Info, "asked what runs", &fields);
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let listens = listener.local_addr().map_err(failed)?;
    Ok((listener, listens))
}

/// Keeps other users away from the record, which everybody could read otherwise, and whose token proves who
/// the daemon is.
#[cfg(unix)]
fn make_private(data_dir: &Path, machine: &DaemonEnvironment) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(data_dir)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        std::fs::set_permissions(data_dir, PermissionsExt::from_mode(0o700))?;
        let fields = [("path", data_dir.display().to_string()), ("mode", format!("{mode:03o}"))];
        machine.log(Level::Warn, "other users had access to the data directory; now it is 700", &fields);
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(data_dir: &Path, _: &DaemonEnvironment) -> io::Result<()> {
    std::fs::metadata(data_dir).map(|_| ())
}

impl DaemonEnvironment {
    /// Writes a line of the log.
    pub fn log(&self, level: Level, message: &str, fields: &[(&str, String)]) {
        if level >= self.least {
            (self.sink)(&log::line((self.now)(), level, message, fields));
        }
    }
}

#[cfg(test)]
mod tests;
