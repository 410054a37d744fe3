//! How fast a run is, and how long it still takes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The rate is that of the last 15 seconds: long enough to hold still, short enough to follow a change.
const WINDOW: Duration = Duration::from_secs(15);
/// Between two samples, and before the first rate is told.
const STEP: Duration = Duration::from_millis(500);

/// What was done when, back to the beginning of the window.
pub(crate) struct Rate {
    samples: VecDeque<Sample>,
}

struct Sample {
    at: Instant,
    done: u64,
}

impl Rate {
    /// Begins at `at` with nothing done.
    pub(crate) fn new(at: Instant) -> Self {
        Self { samples: VecDeque::from([Sample { at, done: 0 }]) }
    }

    /// Takes in that `done` bytes were done at `at`, and returns bytes per second; none when it is too early
    /// to tell, and when nothing was done for the whole window.
    pub(crate) fn update(&mut self, at: Instant, done: u64) -> Option<u64> {
        let since = |sample: &Sample| at.saturating_duration_since(sample.at);
        if self.samples.back().is_none_or(|last| since(last) >= STEP) {
            self.samples.push_back(Sample { at, done });
        }
        // The first sample is the last one that lies before the window.
        while self.samples.get(1).is_some_and(|second| since(second) >= WINDOW) {
            self.samples.pop_front();
        }
        let first = self.samples.front().filter(|first| since(first) >= STEP)?;
        let bytes = u128::from(done.saturating_sub(first.done));
        u64::try_from(bytes * 1000 / since(first).as_millis()).ok().filter(|rate| *rate > 0)
    }
}

/// How long `bytes` take at so many per second, in words that do not change with every glance.
pub(crate) fn time_for(bytes: u64, per_second: u64) -> String {
    let seconds = bytes.div_ceil(per_second.max(1));
    let (minutes, hours) = (seconds.div_ceil(60), seconds.div_ceil(3600));
    match seconds {
        0..=60 => format!("{seconds} s"),
        61..=3590 => {
            let tens = seconds.div_ceil(10) * 10;
            format!("{} min {} s", tens / 60, tens % 60)
        }
        3591..=86_340 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_the_last_seconds() {
        let began = Instant::now();
        let mut rate = Rate::new(began);
        let mut at = |tenths: u64, done| rate.update(began + Duration::from_millis(tenths * 100), done);
        assert_eq!(at(1, 50), None, "too early");
        assert_eq!(at(10, 1000), Some(1000));
        // A burst moves it less than it would a rate of the last moment.
        assert_eq!(at(100, 10_000), Some(1000));
        assert_eq!(at(101, 12_000), Some(1188));
        // What is slower from now on is what counts after a while.
        let mut told = None;
        for tenths in 102..=300 {
            told = at(tenths, 12_000 + (tenths - 101) * 10);
        }
        assert_eq!(told, Some(100));
        // A pause counts as such.
        assert_eq!(at(600, 13_990), None);
    }

    #[test]
    fn times_are_told_in_two_units() {
        let table = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "60 s"),
            (61, "1 min 10 s"),
            (130, "2 min 10 s"),
            (3590, "59 min 50 s"),
            (3591, "1 h 0 min"),
            (7300, "2 h 2 min"),
            (86_340, "23 h 59 min"),
            (86_341, "1 d 0 h"),
            (200_000, "2 d 8 h"),
        ];
        for (seconds, expected) in table {
            assert_eq!(time_for(seconds * 7, 7), expected);
        }
        assert_eq!(time_for(1, 7), "1 s");
        assert_eq!(time_for(u64::MAX, 1), "213503982334601 d 8 h");
    }
}
