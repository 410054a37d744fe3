//! How much memory may be taken for what a repository asks for: a few kilobytes can state gigabytes.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::length::to_usize;
use crate::text::human_bytes;

/// From here on it is tried whether the system gives the memory, since asking for too much ends a program.
const TRIED_FROM: u64 = 32 << 20;
/// What of the limit is for maps of snapshots that may be needed again.
const FOR_MAPS: u64 = 8;
/// The most that is kept of them.
const MOST_MAPS: u64 = 128 << 20;

/// The limit to the memory that an object may take, and what the decoders of all threads hold of it now.
///
/// It holds for each kind of thing by itself: what a blob needs to be decompressed, for all threads together;
/// the maps of a snapshot; the hashes of all pages that a verification reads. What takes a few bytes for every
/// byte that is really there, such as the index, is not counted. A clone is the same limit.
#[derive(Debug, Clone)]
pub struct Memory {
    limit: u64,
    advice: &'static str,
    held: Arc<Held>,
}

/// What decoders hold.
#[derive(Debug, Default)]
struct Held {
    bytes: Mutex<u64>,
    given_back: Condvar,
}

/// There is not the memory to look at something, which may be intact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "too large here: {} of memory at once are needed, and {} allowed; {advice}",
    human_bytes(*needed),
    human_bytes(*limit)
)]
pub struct TooLargeHere {
    /// Bytes that it needs.
    pub needed: u64,
    /// Bytes that there may be.
    pub limit: u64,
    /// What to do about it.
    pub advice: &'static str,
}

/// Memory for a decoder, until it is dropped.
#[must_use]
pub(crate) struct Taken<'m> {
    held: &'m Held,
    bytes: u64,
}

impl Memory {
    /// No limit but the system's.
    pub fn unlimited() -> Self {
        Self::new(u64::MAX, "use a machine with more memory")
    }

    /// At most so many bytes. `advice` says what to do when that is not enough.
    pub fn new(limit: u64, advice: &'static str) -> Self {
        Self { limit, advice, held: Arc::default() }
    }

    /// Bytes that an object may take.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes of maps that may be kept, should they be needed again.
    pub(crate) fn for_maps(&self) -> u64 {
        (self.limit / FOR_MAPS).min(MOST_MAPS)
    }

    /// Refuses what alone needs more than there may be, or more than the system gives.
    pub fn allow(&self, needed: u64) -> Result<(), TooLargeHere> {
        let mut tried: Vec<u8> = Vec::new();
        if needed > self.limit || needed >= TRIED_FROM && tried.try_reserve_exact(to_usize(needed)).is_err() {
            return Err(self.refuse(needed));
        }
        Ok(())
    }

    fn refuse(&self, needed: u64) -> TooLargeHere {
        TooLargeHere { needed, limit: self.limit, advice: self.advice }
    }

    /// Takes memory for a decoder, and waits for the decoders of other threads where there is not enough. Whoever
    /// holds some takes no more, or two would wait for each other.
    pub(crate) fn take(&self, bytes: u64) -> Result<Taken<'_>, TooLargeHere> {
        if bytes > self.limit {
            return Err(self.refuse(bytes));
        }
        let mut held = self.held.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        while bytes > self.limit - *held {
            held = self.held.given_back.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        *held += bytes;
        drop(held);
        let taken = Taken { held: &self.held, bytes };
        self.allow(bytes).map(|()| taken)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut held = self.held.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *held = held.saturating_sub(self.bytes);
        self.held.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_alone_is_too_large_is_refused_with_advice() {
        let memory = Memory::new(1 << 20, "raise the limit");
        assert!(memory.allow(1 << 20).is_ok());
        let error = memory.allow(1 << 21).unwrap_err().to_string();
        let expected =
            "too large here: 2.0 MiB of memory at once are needed, and 1.0 MiB allowed; raise the limit";
        assert_eq!(error, expected);
        assert!(Memory::unlimited().allow(1 << 62).is_err(), "no system gives as much");
    }

    #[test]
    fn decoders_share_what_there_is() {
        let memory = Memory::new(100, "");
        let first = memory.take(60).unwrap();
        let (sent, received) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let second = memory.take(50).unwrap();
                sent.send("second").unwrap();
                drop(second);
            });
            assert!(memory.take(40).is_ok(), "as much is left");
            assert!(received.try_recv().is_err());
            drop(first);
            assert_eq!(received.recv(), Ok("second"));
        });
        assert!(memory.take(101).is_err());
    }
}
