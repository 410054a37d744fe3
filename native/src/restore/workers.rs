//! The threads of one restore.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::error::RestoreError;

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        let workers = Workers::new(2).unwrap();
        workers.each(&[1, 2, 3], |_| Ok(())).unwrap();
        let stopped = workers.each(&[1, 2, 3], |n| if *n == 2 { panic!("on purpose") } else { Ok(()) });
        assert!(matches!(stopped, Err(RestoreError::Panicked)));
    }
}
