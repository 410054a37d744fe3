//! `msgvault serve`.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use msgvault_cli::{Exit, NO_PAGE, PAGE};
use msgvault_daemon::cron::Cron;
use msgvault_daemon::gate::Gate;
use msgvault_daemon::log::Level;
use msgvault_daemon::schedule::Schedule;
use msgvault_daemon::{self as daemon, Clock, DaemonEnvironment, Settings};
use msgvault_platform as platform;
use msgvault_verifier::repository::read_config;
use msgvault_verifier::store::DirectoryStore;
use tokio::sync::Notify;

use crate::home::{BackupSettings, Home};

use super::Invocation;
use super::backup::verify::budget;
use super::environment::{check_randomness, cwd, random};
use super::failure::Failure;

/// Clients of the Go program end a daemon whose version is an older one of theirs; one that begins with no
/// digit is not.
const VERSION: &str = concat!("rust-", env!("CARGO_PKG_VERSION"));

#[derive(Args)]
pub(super) struct ServeArgs {
    /// The address to listen on [default: `[server] bind_addr` of the configuration, else 127.0.0.1]
    #[arg(long, value_name = "ADDR")]
    bind: Option<String>,
    /// The port to listen on; 0 is any that is free [default: `[server] api_port`, else 0]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
}

pub(super) fn run(invocation: &Invocation<'_>, args: &ServeArgs) -> Result<Exit, Failure> {
    let home = invocation.home()?;
    check_archive(&home)?;
    let server = &home.server;
    let bind = args.bind.as_deref().unwrap_or(&server.bind_addr);
    let now: Clock = Arc::new(Timestamp::now);
    let settings = Settings {
        data_dir: home.data_dir.clone(),
        listen: daemon::listen_address(bind, args.port.unwrap_or(server.api_port))?,
        api_key: server.api_key.clone(),
        version: VERSION,
        pid: std::process::id(),
        gate: Gate::new(now.clone()),
        plan: plan(invocation, &home.backup)?,
        zone: TimeZone::system(),
        program: std::env::current_exe()?,
        place: place(invocation, &home),
        hook_time: home.backup.hook_time,
        page: PAGE.ok_or(NO_PAGE),
        inquiry: Arc::default(),
    };
    check_randomness()?;
    let least = match invocation.output.args() {
        args if args.quiet => Level::Warn,
        args if args.verbose => Level::Debug,
        _ => Level::Info,
    };
    let machine = DaemonEnvironment { now, random: Arc::new(random), least, sink: Arc::new(print) };
    announce(invocation, &machine, &settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let inquiry = Arc::clone(&settings.inquiry);
    let serve = async { daemon::serve(settings, machine, signal(inquiry)?).await.map_err(Failure::from) };
    runtime.block_on(serve)?;
    // Nothing that is left may hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(Exit::Done)
}

/// A daemon without an archive has nothing to keep, and most likely another folder was meant.
fn check_archive(home: &Home) -> Result<(), Failure> {
    let reason = match std::fs::metadata(&home.database) {
        Ok(found) if found.is_file() => return Ok(()),
        Ok(_) => "it is not a regular file".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Failure::failed(format!(
        "there is no archive to serve at {}: {reason}; name the archive's home with --home or MSGVAULT_HOME",
        home.database.display()
    )))
}

/// Logs what is scheduled for which repository, and whether that can be reached: now, and not at three at
/// night.
fn announce(invocation: &Invocation<'_>, machine: &DaemonEnvironment, settings: &Settings) {
    let Schedule { create, check, verify, prune, .. } = &settings.plan;
    if create.is_none() && check.is_none() {
        machine.log(Level::Warn, "no backups are scheduled", &[]);
    }
    for (job, cron) in [("create", create), ("check", check), ("verify", verify), ("prune", prune)] {
        let Some(cron) = cron else { continue };
        let next = cron.next_after((machine.now)(), &settings.zone);
        let next = next.map(|next| {
            next.to_zoned_datetime(settings.zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
        });
        let fields = [
            ("job", job.to_owned()),
            ("schedule", cron.text().to_owned()),
            ("next", next.unwrap_or_else(|| "never".to_owned())),
        ];
        machine.log(Level::Info, "scheduled", &fields);
    }
    if settings.plan.is_empty() {
        return;
    }
    match reach(invocation) {
        Ok(repository) => {
            let fields = [("repository", repository.display().to_string())];
            machine.log(Level::Info, "the repository can be reached", &fields);
        }
        Err(failure) => {
            let fields = [("error", failure.message)];
            machine.log(
                Level::Error,
                "the repository cannot be reached: scheduled work fails until it can",
                &fields,
            );
        }
    }
}

/// The repository's folder, after a look at its configuration.
fn reach(invocation: &Invocation<'_>) -> Result<PathBuf, Failure> {
    let repository = invocation.repo()?;
    read_config(&DirectoryStore::new(&repository))?;
    Ok(repository)
}

/// What the configuration schedules; a schedule without a repository is refused now and not at three at
/// night.
fn plan(invocation: &Invocation<'_>, backup: &BackupSettings) -> Result<Schedule, Failure> {
    let cron = |setting: &str, text: &Option<String>| -> Result<Option<Cron>, Failure> {
        let parsed = text.as_deref().map(Cron::parse).transpose();
        parsed.map_err(|error| Failure::failed(format!("[backup] {setting}: {error}")))
    };
    if let Some(Err(error)) = backup.verify_budget.as_deref().map(budget) {
        return Err(Failure::failed(format!("[backup] verify_budget: {error}")));
    }
    let plan = Schedule {
        create: cron("schedule", &backup.schedule)?,
        check: cron("check_schedule", &backup.check_schedule)?,
        verify: cron("verify_schedule", &backup.verify_schedule)?,
        verify_budget: backup.verify_budget.clone(),
        forget: backup.forget,
        prune: cron("prune_schedule", &backup.prune_schedule)?,
        on_success: backup.on_success.clone(),
        on_failure: backup.on_failure.clone(),
        on_alarm: backup.on_alarm.clone(),
    };
    if !plan.is_empty() {
        invocation.repo()?;
    }
    Ok(plan)
}

/// The flags that make a child find what this process found.
fn place(invocation: &Invocation<'_>, home: &Home) -> Vec<OsString> {
    let cwd = cwd();
    let mut flags = Vec::new();
    let mut flag = |name: &str, path: &Path| {
        flags.extend([OsString::from(name), cwd.join(path).into_os_string()]);
    };
    flag("--home", &home.home);
    if let Some(config) = invocation.place.config.as_deref() {
        flag("--config", config);
    }
    if let Ok(repo) = invocation.repo() {
        flag("--repo", &repo);
    }
    flags
}

/// Is ready when somebody wants the daemon to end, and says who. SIGUSR1 is an inquiry and ends nothing.
fn signal(inquiry: Arc<Notify>) -> std::io::Result<impl Future<Output = &'static str>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut asked = signal(SignalKind::user_defined1())?;
        let inquiries = async move {
            while asked.recv().await.is_some() {
                inquiry.notify_one();
            }
            std::future::pending::<()>().await;
        };
        let mut hang_ups = platform::hang_up().map(SignalKind::from_raw).map(signal).transpose()?;
        let gone = async move {
            match &mut hang_ups {
                Some(received) => received.recv().await,
                None => std::future::pending().await,
            }
        };
        Ok(async move {
            tokio::select! {
                _ = term.recv() => "SIGTERM",
                _ = int.recv() => "SIGINT",
                _ = gone => "SIGHUP",
                () = inquiries => "SIGUSR1",
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async move {
        let _inquiry = inquiry;
        let _ = tokio::signal::ctrl_c().await;
        "interrupt"
    })
}

fn print(line: &str) {
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
