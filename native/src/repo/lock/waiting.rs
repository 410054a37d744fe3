//! Waiting for locks: how much time has passed, what was seen before, and whether a lock is still anybody's.
//!
//! Time is what passes in pauses, so that no clock that somebody sets has a say in it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::folder::{FoundLock, LockFolder, distance};
use super::holder::{Holder, Liveness};
use super::{LockError, POLL_EVERY, REFRESH_EVERY, SECOND_LOOK_AFTER, STALE_AFTER};

/// What a lock is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Somebody holds it.
    Held,
    /// Its time says that nobody refreshes it; another look will show.
    Doubtful,
    /// Nobody holds it, or it is to be broken.
    Abandoned,
}

/// A wait for one lock, from the first look on.
pub(super) struct Waiting<'a> {
    pub(super) folder: &'a LockFolder<'a>,
    passed: Duration,
    sightings: BTreeMap<String, Sighting>,
    /// The medium's time, and when it was asked for.
    clock: Option<(SystemTime, Duration)>,
    told: Option<String>,
}

/// A lock as it was seen last.
struct Sighting {
    found: FoundLock,
    /// Since when it has been like that.
    since: Duration,
    /// Whether its holder was seen to refresh it.
    is_refreshed: bool,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(folder: &'a LockFolder<'a>) -> Self {
        Self { folder, passed: Duration::ZERO, sightings: BTreeMap::new(), clock: None, told: None }
    }

    /// How long the wait has been.
    pub(super) fn passed(&self) -> Duration {
        self.passed
    }

    pub(super) fn holder(&self, found: &FoundLock) -> Holder {
        self.folder.here.holder(found.record.clone())
    }

    /// Judges a lock. A time far from the medium's own proves nothing: clocks differ. Only a lock that does
    /// not change between two looks belongs to nobody.
    pub(super) fn standing(&mut self, name: &str, found: &FoundLock) -> Standing {
        if self.folder.request.force || self.holder(found).liveness == Liveness::Dead {
            return Standing::Abandoned;
        }
        let (unchanged, is_refreshed) = self.see(name, found);
        if unchanged >= STALE_AFTER {
            return Standing::Abandoned;
        }
        if is_refreshed || distance(found.modified, self.medium_time()) <= STALE_AFTER {
            return Standing::Held;
        }
        if unchanged >= SECOND_LOOK_AFTER { Standing::Abandoned } else { Standing::Doubtful }
    }

    /// How long a lock has been as it is, and whether it was refreshed before that.
    fn see(&mut self, name: &str, found: &FoundLock) -> (Duration, bool) {
        let now = self.passed;
        let first = || Sighting { found: found.clone(), since: now, is_refreshed: false };
        let sighting = self.sightings.entry(name.to_owned()).or_insert_with(first);
        if sighting.found != *found {
            let is_refreshed = sighting.found.record == found.record;
            *sighting = Sighting { is_refreshed, ..first() };
        }
        (now.saturating_sub(sighting.since), sighting.is_refreshed)
    }

    fn medium_time(&mut self) -> SystemTime {
        let now = self.passed;
        let (time, asked) = match self.clock {
            Some((time, asked)) if now.saturating_sub(asked) < REFRESH_EVERY => (time, asked),
            _ => (self.folder.medium_time(), now),
        };
        self.clock = Some((time, asked));
        time + now.saturating_sub(asked)
    }

    /// Lets some time pass for a lock that is in the way, or gives up.
    pub(super) fn wait_for(&mut self, standing: Standing, found: &FoundLock) -> Result<(), LockError> {
        let (holder, request) = (self.holder(found), self.folder.request);
        if standing == Standing::Held && self.passed >= request.patience {
            return Err(LockError::Held { holder, operation: request.operation.to_owned() });
        }
        self.tell(match standing {
            Standing::Doubtful => format!(
                "the lock of {holder} seems to be abandoned; watching for {} whether it is refreshed",
                text(SECOND_LOOK_AFTER)
            ),
            _ => format!("waiting up to {} for {holder}", text(request.patience)),
        });
        self.pause()
    }

    /// Tells whom this is waiting for, once.
    pub(super) fn tell(&mut self, message: String) {
        if self.told.as_ref() != Some(&message) {
            self.folder.context.observer.warn(&message);
            self.told = Some(message);
        }
    }

    pub(super) fn pause(&mut self) -> Result<(), LockError> {
        if self.folder.context.observer.cancelled() {
            return Err(LockError::Cancelled);
        }
        (self.folder.request.pause)(POLL_EVERY);
        self.passed += POLL_EVERY;
        Ok(())
    }
}

/// A duration for people.
pub(super) fn text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds > 0 && seconds.is_multiple_of(60) {
        format!("{} min", seconds / 60)
    } else {
        format!("{seconds} s")
    }
}
