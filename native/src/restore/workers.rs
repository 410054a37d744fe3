//! The threads of one restore.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::error::RestoreError;

/// Nobody who wants to stop something waits longer to be heard.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

pub(super) struct Workers(ThreadPool);

impl Workers {
    /// This many threads; 0 means one per processor.
    pub(super) fn new(jobs: usize) -> Result<Self, RestoreError> {
        Ok(Self(ThreadPoolBuilder::new().num_threads(jobs).build()?))
    }

    /// Does something with every item and stops at the first error; a panic is one.
    pub(super) fn each<T: Sync>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> Result<(), RestoreError> + Sync,
    ) -> Result<(), RestoreError> {
        let guarded = |item| {
            catch_unwind(AssertUnwindSafe(|| work(item))).unwrap_or_else(|_| Err(RestoreError::Panicked))
        };
        self.0.install(|| items.par_iter().try_for_each(guarded))
    }

    /// Does something on this thread while one of these looks after it, again and again.
    pub(super) fn beside<T>(&self, look: impl Fn() + Send, work: impl FnOnce() -> T) -> T {
        let (doing, done) = mpsc::channel::<()>();
        // The threads of the pool are there already, so that no system can refuse this one.
        self.0.in_place_scope(|pool| {
            pool.spawn(move |_| {
                while done.recv_timeout(BETWEEN_LOOKS) == Err(RecvTimeoutError::Timeout) {
                    look();
                }
            });
            // The watch ends when this is dropped, however the work ends.
            let _doing = doing;
            work()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_ends_with_what_it_watches() {
        let workers = Workers::new(1).unwrap();
        let (looked, looks) = mpsc::channel();
        let done = workers.beside(move || looked.send(()).unwrap_or(()), || looks.recv().is_ok());
        assert!(done);
    }

    #[test]
    fn a_panic_is_an_error() {
        let workers = Workers::new(2).unwrap();
        workers.each(&[1, 2, 3], |_| Ok(())).unwrap();
        let stopped = workers.each(&[1, 2, 3], |n| if *n == 2 { panic!("on purpose") } else { Ok(()) });
        assert!(matches!(stopped, Err(RestoreError::Panicked)));
    }
}
