//! The gate: one after another goes through whatever changes the archive.
//!
//! Requests that wait go before background work. Who waits can be told what holds the gate and since when.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::Clock;

/// Serializes work that changes the archive. Clones are the same gate.
#[derive(Clone)]
pub struct Gate {
    shared: Arc<GateShared>,
    now: Clock,
}

/// The right to change the archive, until it is dropped.
pub struct Permit {
    gate: Gate,
}

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Somebody waits for an answer.
    Request,
    /// Nobody does.
    Background,
}

/// What holds the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What it is; empty when nobody said.
    pub label: String,
    /// Since when.
    pub started_at: Timestamp,
    /// For how long.
    pub elapsed: Duration,
}

/// Why there is no permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It was not free in time.
    Busy(Held),
    /// The daemon is shutting down.
    Draining,
}

#[derive(Default)]
struct GateShared {
    state: Mutex<GateState>,
    changed: Notify,
}

#[derive(Default)]
struct GateState {
    holder: Option<Holder>,
    requests: VecDeque<Waiter>,
    background: VecDeque<Waiter>,
    draining: bool,
}

struct Holder {
    label: String,
    started_at: Timestamp,
    since: Instant,
}

struct Waiter {
    label: String,
    pass: oneshot::Sender<Permit>,
}

impl Gate {
    /// A free gate; `now` dates what holds it.
    pub fn new(now: Clock) -> Self {
        Self { shared: Arc::default(), now }
    }

    /// Waits for the gate, as long as it takes.
    pub async fn enter(&self, label: &str, rank: Rank) -> Result<Permit, Refused> {
        let waiting = {
            let mut state = self.state();
            if state.draining {
                return Err(Refused::Draining);
            }
            if state.holder.is_none() {
                return Ok(self.admit(&mut state, label.to_owned()));
            }
            let (pass, waiting) = oneshot::channel();
            let waiter = Waiter { label: label.to_owned(), pass };
            match rank {
                Rank::Request => state.requests.push_back(waiter),
                Rank::Background => state.background.push_back(waiter),
            }
            waiting
        };
        // Only draining lets go of those who wait.
        waiting.await.map_err(|_| Refused::Draining)
    }

    /// Waits for the gate for so long at most.
    pub async fn enter_within(&self, limit: Duration, label: &str, rank: Rank) -> Result<Permit, Refused> {
        match tokio::time::timeout(limit, self.enter(label, rank)).await {
            Ok(entered) => entered,
            Err(_) => Err(self.held().map_or(Refused::Draining, Refused::Busy)),
        }
    }

    /// What holds the gate, if anything does.
    pub fn held(&self) -> Option<Held> {
        self.state().holder.as_ref().map(|holder| Held {
            label: holder.label.clone(),
            started_at: holder.started_at,
            elapsed: holder.since.elapsed(),
        })
    }

    /// Admits nobody any more and sends away who waits.
    pub fn drain(&self) {
        let mut state = self.state();
        state.draining = true;
        state.requests.clear();
        state.background.clear();
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// Waits until nothing holds the gate.
    pub async fn freed(&self) {
        self.until(|state| state.holder.is_none()).await;
    }

    /// Waits until nobody is admitted any more.
    pub async fn drained(&self) {
        self.until(|state| state.draining).await;
    }

    async fn until(&self, there: impl Fn(&GateState) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            // Listening begins before looking, so that no change falls in between.
            changed.as_mut().enable();
            if there(&self.state()) {
                return;
            }
            changed.await;
        }
    }

    fn admit(&self, state: &mut GateState, label: String) -> Permit {
        state.holder = Some(Holder { label, started_at: (self.now)(), since: Instant::now() });
        Permit { gate: self.clone() }
    }

    /// Frees the gate and lets the next one in.
    fn leave(&self) {
        let mut state = self.state();
        state.holder = None;
        while let Some(waiter) = state.requests.pop_front().or_else(|| state.background.pop_front()) {
            if waiter.pass.is_closed() {
                continue;
            }
            let permit = self.admit(&mut state, waiter.label);
            drop(state);
            // Who stopped waiting meanwhile gives the permit back, and it leaves in its turn.
            drop(waiter.pass.send(permit));
            return;
        }
        drop(state);
        self.shared.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.leave();
    }
}

impl Held {
    /// What it says to who waits: `a scheduled sync has been running for 10s`.
    pub fn sentence(&self) -> String {
        if self.label.is_empty() {
            return "another operation is running".to_owned();
        }
        format!("{} has been running for {}", self.label, rounded(self.elapsed))
    }
}

/// `10s`, `1m5s`, `2h0m5s`.
fn rounded(elapsed: Duration) -> String {
    let seconds = elapsed.as_millis().saturating_add(500) / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    fn gate() -> Gate {
        Gate::new(Arc::new(|| Timestamp::UNIX_EPOCH))
    }

    /// Starts to wait, and is queued when this returns.
    async fn queue(
        gate: &Gate,
        label: &'static str,
        rank: Rank,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Permit, Refused>>>> {
        let gate = gate.clone();
        let mut waiting = Box::pin(async move { gate.enter(label, rank).await });
        std::future::poll_fn(|context| {
            assert!(waiting.as_mut().poll(context).is_pending(), "{label} need not wait");
            Poll::Ready(())
        })
        .await;
        waiting
    }

    fn label(gate: &Gate) -> String {
        gate.held().map(|held| held.label).unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_go_before_background_work() {
        let gate = gate();
        let first = gate.enter("sync", Rank::Background).await.unwrap();
        let night = queue(&gate, "night", Rank::Background).await;
        let one = queue(&gate, "one", Rank::Request).await;
        let two = queue(&gate, "two", Rank::Request).await;
        drop(first);
        assert_eq!(label(&gate), "one");
        drop(one.await.unwrap());
        assert_eq!(label(&gate), "two");
        drop(two.await.unwrap());
        assert_eq!(label(&gate), "night");
        drop(night.await.unwrap());
        assert_eq!(gate.held(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_what_holds_the_gate() {
        let gate = gate();
        let _held = gate.enter("a scheduled sync", Rank::Background).await.unwrap();
        let refused = gate.enter_within(Duration::from_secs(10), "freeze", Rank::Request).await.err();
        let Some(Refused::Busy(held)) = refused else { panic!("{refused:?}") };
        assert_eq!(held.sentence(), "a scheduled sync has been running for 10s");
        assert_eq!(held.started_at, Timestamp::UNIX_EPOCH);
        let unlabelled = Held { label: String::new(), ..held };
        assert_eq!(unlabelled.sentence(), "another operation is running");
        for (seconds, text) in [(0, "0s"), (59, "59s"), (65, "1m5s"), (7205, "2h0m5s")] {
            assert_eq!(rounded(Duration::from_secs(seconds)), text);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_does_not_block_the_gate() {
        let gate = gate();
        let first = gate.enter("first", Rank::Request).await.unwrap();
        let gone = queue(&gate, "gone", Rank::Request).await;
        let served = queue(&gate, "served", Rank::Request).await;
        let stays = queue(&gate, "stays", Rank::Request).await;
        drop(gone);
        drop(first);
        assert_eq!(label(&gate), "served");
        // Its permit was handed over already, and nobody took it.
        drop(served);
        assert_eq!(label(&gate), "stays");
        drop(stays.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn draining_sends_away_who_waits_and_lets_work_end() {
        let gate = gate();
        let works = gate.enter("works", Rank::Request).await.unwrap();
        let waits = queue(&gate, "waits", Rank::Request).await;
        gate.drain();
        assert_eq!(waits.await.err(), Some(Refused::Draining));
        assert_eq!(gate.enter("late", Rank::Request).await.err(), Some(Refused::Draining));
        assert!(tokio::time::timeout(Duration::from_secs(1), gate.freed()).await.is_err());
        drop(works);
        gate.freed().await;
    }
}
