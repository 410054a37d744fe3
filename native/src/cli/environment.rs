//! The machine as the program finds it: environment, clock, randomness, signals.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use msgvault_cli::{Exit, Output, Progress};
use msgvault_platform as platform;
use msgvault_platform::context::Context;
use msgvault_verifier::{Observer, Phase};
#[cfg(unix)]
use signal_hook::consts::SIGUSR1;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::home;

use super::Point;
use super::failure::Failure;

/// Signals that were received so far, and what happens at durable steps.
pub(super) struct Machine<'p> {
    stop: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
    point: &'p Point<'p>,
}

impl<'p> Machine<'p> {
    pub(super) fn new(point: &'p Point<'p>) -> Self {
        // From here on, who asks for progress ends nothing, whether or not there is any to tell.
        #[cfg(unix)]
        let _ = flag::register(SIGUSR1, Arc::default());
        Self { stop: Arc::default(), signal: Arc::default(), point }
    }

    /// Lets the first signal stop a run in order, and a second SIGINT or SIGTERM end the program at once.
    ///
    /// Hang-ups come in pairs, one passed on by the shell and one when the shell ends, and nobody means
    /// anything by the second.
    pub(super) fn catch_signals(&self) -> Result<(), Failure> {
        let caught = || -> io::Result<()> {
            for signal in [SIGINT, SIGTERM] {
                // Registered first, so that it looks at the flag before the same signal sets it.
                flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&self.stop))?;
                self.stop_at(signal)?;
            }
            platform::hang_up().map_or(Ok(()), |signal| self.stop_at(signal))
        };
        caught().map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))
    }

    fn stop_at(&self, signal: i32) -> io::Result<()> {
        let number = usize::try_from(signal).unwrap_or_default();
        flag::register_usize(signal, Arc::clone(&self.signal), number)?;
        flag::register(signal, Arc::clone(&self.stop)).map(drop)
    }

    /// How the program ends when a signal stopped it.
    pub(super) fn interrupted(&self) -> Option<Exit> {
        let signal = self.signal.load(Ordering::Relaxed);
        self.stop.load(Ordering::Relaxed).then(|| Exit::Interrupted(u8::try_from(signal).unwrap_or(2)))
    }

    /// What ended a run: its error, or the signal that made it stop.
    pub(super) fn failure(&self, error: impl Into<Failure>) -> Failure {
        let failure = error.into();
        Failure { exit: self.interrupted().unwrap_or(failure.exit), ..failure }
    }

    /// Runs a stage that shows progress, stops on signals, and knows time and randomness.
    pub(super) fn with_context<T>(
        &self,
        output: &Output,
        run: impl FnOnce(&Context<'_>) -> T,
    ) -> Result<T, Failure> {
        self.catch_signals()?;
        check_randomness()?;
        let progress = Progress::new(output, &self.stop);
        let observer = Watched { progress: &progress, point: self.point };
        let context = Context { observer: &observer, now: &Timestamp::now, random: &random };
        let done = telling(&progress, || run(&context));
        progress.finish();
        Ok(done)
    }
}

/// Says how far a run is whenever SIGUSR1 asks. Where the system refuses the thread for that, nobody is told.
#[cfg(unix)]
fn telling<T>(progress: &Progress<'_>, run: impl FnOnce() -> T) -> T {
    use signal_hook::iterator::{Handle, Signals};

    /// Ends the thread, however the run ends.
    struct Asked(Handle);
    impl Drop for Asked {
        fn drop(&mut self) {
            self.0.close();
        }
    }

    let Ok(mut signals) = Signals::new([SIGUSR1]) else { return run() };
    let handle = signals.handle();
    std::thread::scope(|scope| {
        let tell = move || signals.forever().for_each(|_| progress.tell());
        let _asked = Asked(handle);
        let _ = std::thread::Builder::new().name("progress".to_owned()).spawn_scoped(scope, tell);
        run()
    })
}

#[cfg(not(unix))]
fn telling<T>(_: &Progress<'_>, run: impl FnOnce() -> T) -> T {
    run()
}

pub(super) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

pub(super) fn home_environment() -> home::Environment {
    home::Environment {
        msgvault_home: std::env::var_os("MSGVAULT_HOME").map(PathBuf::from),
        user_home: std::env::home_dir(),
    }
}

pub(super) fn repo() -> Option<PathBuf> {
    std::env::var_os("MSGVAULT_REPO").map(PathBuf::from)
}

/// The working directory; empty when there is none.
pub(super) fn cwd() -> PathBuf {
    std::env::current_dir().unwrap_or_default()
}

/// Shows progress, and lets tests in at durable steps.
struct Watched<'a> {
    progress: &'a Progress<'a>,
    point: &'a Point<'a>,
}

impl Observer for Watched<'_> {
    fn cancelled(&self) -> bool {
        self.progress.cancelled()
    }

    fn begin(&self, phase: Phase, total: u64) {
        self.progress.begin(phase, total);
    }

    fn advance(&self, bytes: u64) {
        self.progress.advance(bytes);
    }

    fn warn(&self, message: &str) {
        self.progress.warn(message);
    }

    fn explain(&self, message: &str) {
        self.progress.explain(message);
    }

    fn reached(&self, point: &'static str) -> io::Result<()> {
        (self.point)(point)
    }
}

/// Asks for randomness once, so that a machine without it is an error here and does not pass for zeros later.
pub(super) fn check_randomness() -> Result<(), Failure> {
    let asked = getrandom::u64();
    asked.map(|_| ()).map_err(|error| Failure::failed(format!("the system has no randomness: {error}")))
}

/// 128 random bits.
pub(super) fn random() -> u128 {
    let half = || u128::from(getrandom::u64().unwrap_or_default());
    half() << 64 | half()
}

/// Lets time pass; what waits takes this as an argument, so that tests need not wait.
pub(super) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
