//! The freeze window: one client holds the gate for the moment in which it pins the archive.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use ulid::Ulid;

use super::DaemonEnvironment;
use super::gate::{Gate, Permit, Rank, Refused};
use super::log::Level;

/// How long a client waits for the gate.
const GATE_WAIT: Duration = Duration::from_secs(10);
/// How long writers wait for a client that does not come back.
const WATCHDOG: Duration = Duration::from_mins(1);
/// What the window is called where it holds the gate.
const LABEL: &str = "backup freeze";

/// At most one freeze window. Clones are the same one.
#[derive(Clone)]
pub struct Window {
    gate: Gate,
    machine: DaemonEnvironment,
    state: Arc<Mutex<WindowState>>,
}

/// Why a window did not begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeginError {
    /// There is one, or one is about to be.
    Active,
    /// The gate said no.
    Gate(Refused),
}

enum WindowState {
    Closed,
    Waiting,
    Open { token: String, watchdog: AbortHandle, _permit: Permit },
}

impl Window {
    /// No window yet.
    pub fn new(gate: Gate, machine: DaemonEnvironment) -> Self {
        Self { gate, machine, state: Arc::new(Mutex::new(WindowState::Closed)) }
    }

    /// Opens the window and returns the token that ends it.
    pub async fn begin(&self) -> Result<String, BeginError> {
        let waiting = Waiting::start(self).ok_or(BeginError::Active)?;
        let entered = self.gate.enter_within(GATE_WAIT, LABEL, Rank::Request).await;
        let permit = entered.map_err(BeginError::Gate)?;
        let milliseconds = u64::try_from((self.machine.now)().as_millisecond()).unwrap_or(0);
        let token = Ulid::from_parts(milliseconds, (self.machine.random)()).to_string().to_lowercase();
        waiting.open(token.clone(), permit);
        Ok(token)
    }

    /// Ends the window of this token; `false` when there is none.
    pub fn end(&self, token: &str) -> bool {
        let mut state = self.state();
        match &*state {
            WindowState::Open { token: open, watchdog, .. } if open == token => {
                watchdog.abort();
                let ended = std::mem::replace(&mut *state, WindowState::Closed);
                drop(state);
                drop(ended);
                true
            }
            _ => false,
        }
    }

    /// Ends the window of this token, if it is open: its client has gone away.
    pub fn abandon(&self, token: &str) {
        self.expire_of(token, "the client of the backup freeze is gone; releasing operation gate");
    }

    /// Ends whatever window is open, because of `reason`.
    pub fn expire(&self, reason: &str) {
        let token = match &*self.state() {
            WindowState::Open { token, .. } => token.clone(),
            _ => return,
        };
        self.expire_of(&token, reason);
    }

    fn expire_of(&self, token: &str, reason: &str) {
        if self.end(token) {
            self.machine.log(Level::Error, reason, &[("token", token.to_owned())]);
        }
    }

    fn state(&self) -> MutexGuard<'_, WindowState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reserves the window while its client waits for the gate; gives it back when the client goes away.
struct Waiting<'a> {
    window: &'a Window,
}

impl<'a> Waiting<'a> {
    fn start(window: &'a Window) -> Option<Self> {
        let mut state = window.state();
        if !matches!(*state, WindowState::Closed) {
            return None;
        }
        *state = WindowState::Waiting;
        Some(Self { window })
    }

    fn open(self, token: String, permit: Permit) {
        let (window, watched) = (self.window.clone(), token.clone());
        let watchdog = tokio::spawn(async move {
            tokio::time::sleep(WATCHDOG).await;
            window.expire_of(&watched, "backup freeze watchdog fired; releasing operation gate");
        });
        *self.window.state() =
            WindowState::Open { token, watchdog: watchdog.abort_handle(), _permit: permit };
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.window.state();
        if matches!(*state, WindowState::Waiting) {
            *state = WindowState::Closed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LogRecorder, machine};
    use super::*;

    fn window() -> (Window, Gate, LogRecorder) {
        let (machine, log) = machine();
        let gate = Gate::new(machine.now.clone());
        (Window::new(gate.clone(), machine), gate, log)
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_holds_the_gate_from_begin_to_end() {
        let (window, gate, log) = window();
        let token = window.begin().await.unwrap();
        assert_eq!(token.len(), 26);
        assert_eq!(gate.held().unwrap().label, "backup freeze");
        assert_eq!(window.begin().await, Err(BeginError::Active));
        for wrong in ["", "00000000000000000000000000", &token.to_uppercase()] {
            assert!(!window.end(wrong));
        }
        assert!(window.end(&token));
        assert_eq!(gate.held(), None);
        assert!(!window.end(&token), "a token ends one window");
        assert_eq!(log.lines(), Vec::<String>::new());
        let next = window.begin().await.unwrap();
        assert_ne!(next, token);
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_ends_a_window_whose_client_does_not_come_back() {
        let (window, gate, log) = window();
        let token = window.begin().await.unwrap();
        tokio::time::sleep(Duration::from_millis(59_999)).await;
        assert!(gate.held().is_some());
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(gate.held(), None);
        assert!(!window.end(&token), "the late end fails");
        assert!(log.lines()[0].contains("watchdog fired"), "{:?}", log.lines());

        // The watchdog of a window that ended does not reach the next one.
        let first = window.begin().await.unwrap();
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert!(window.end(&first));
        let second = window.begin().await.unwrap();
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert!(window.end(&second));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_waits_for_the_gate_has_the_window_reserved() {
        let (window, gate, _) = window();
        let sync = gate.enter("a scheduled sync", Rank::Background).await.unwrap();
        let (first, second) = tokio::join!(window.begin(), window.begin());
        let Err(BeginError::Gate(Refused::Busy(held))) = first else { panic!("{first:?}") };
        assert_eq!(held.sentence(), "a scheduled sync has been running for 10s");
        assert_eq!(second, Err(BeginError::Active));

        // Who hangs up while waiting reserves nothing.
        let hung_up = tokio::time::timeout(Duration::from_secs(1), window.begin()).await;
        assert!(hung_up.is_err());
        drop(sync);
        window.begin().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn shutting_down_refuses_who_waits_and_ends_what_is_open() {
        let (window, gate, log) = window();
        let token = window.begin().await.unwrap();
        gate.drain();
        window.expire("shutting down; ending the open backup freeze");
        assert!(!window.end(&token));
        assert_eq!(log.lines().len(), 1);
        assert_eq!(window.begin().await, Err(BeginError::Gate(Refused::Draining)));
        window.expire("nothing is open");
        assert_eq!(log.lines().len(), 1);
    }
}
