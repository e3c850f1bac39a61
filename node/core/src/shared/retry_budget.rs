//! May a request be sent again? At most one retry for every five requests that succeed.

use super::atomic::{AtomicU32, AtomicU64, Ordering};

/// One tenant's retries at one node.
///
/// Requests that succeed pay for retries, a fifth of one each, up to [`RETRIES_SAVED_MAX`](Self::RETRIES_SAVED_MAX),
/// which are there from the beginning. So over any time, retries that are not given back <= successes / 5 +
/// `RETRIES_SAVED_MAX`; and while nothing succeeds, nothing is paid in, and an outage sees that many retries in all,
/// however long it lasts.
#[derive(Debug)]
#[repr(align(128))]
pub struct RetryBudget {
    /// In fifths of a retry.
    saved: AtomicU32,
    taken: AtomicU64,
    denied: AtomicU64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryBudget {
    /// Retries that can be saved up.
    pub const RETRIES_SAVED_MAX: u32 = 10;

    /// Successes that pay for one retry.
    pub const SUCCESSES_PER_RETRY: u32 = 5;

    /// Everything saved that can be.
    pub fn new() -> Self {
        Self { saved: AtomicU32::new(FULL), taken: AtomicU64::new(0), denied: AtomicU64::new(0) }
    }

    /// A request succeeded. Costs one read while nothing has been spent.
    pub fn succeeded(&self) {
        if self.saved.load(Ordering::Relaxed) < FULL {
            let more = |saved: u32| (saved < FULL).then(|| saved + 1);
            // Full again in the meantime is as good.
            let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
    }

    /// A retry that was taken has succeeded elsewhere: it took load from where it failed first, and is paid back.
    pub fn give_back(&self) {
        let more = |saved: u32| (saved < FULL).then(|| FULL.min(saved + Self::SUCCESSES_PER_RETRY));
        // Full again in the meantime is as good.
        let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Takes one retry, if one is saved.
    pub fn take(&self) -> bool {
        let less = |saved: u32| saved.checked_sub(Self::SUCCESSES_PER_RETRY);
        let taken = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        let counter = if taken { &self.taken } else { &self.denied };
        counter.fetch_add(1, Ordering::Relaxed);
        taken
    }

    /// Retries that are saved now.
    pub fn saved(&self) -> u32 {
        self.saved.load(Ordering::Relaxed) / Self::SUCCESSES_PER_RETRY
    }

    /// Retries that were taken so far.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Retries that were wanted and not paid for.
    pub fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }
}

const FULL: u32 = RetryBudget::RETRIES_SAVED_MAX * RetryBudget::SUCCESSES_PER_RETRY;

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_outage_sees_only_what_was_saved() {
        let budget = RetryBudget::new();
        let retries = (0..10_000).filter(|_| budget.take()).count();
        assert_eq!(retries, RetryBudget::RETRIES_SAVED_MAX as usize);
        assert_eq!((budget.saved(), budget.taken(), budget.denied()), (0, 10, 9_990));
    }

    #[test]
    fn a_full_budget_saves_no_more() {
        let budget = RetryBudget::new();
        (0..10_000).for_each(|_| budget.succeeded());
        assert_eq!((0..100).filter(|_| budget.take()).count(), 10);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_is_never_more_than_was_saved() {
        let budget = RetryBudget::new();
        for _ in 0..100 {
            assert!(budget.take());
            budget.give_back();
        }
        budget.give_back();
        assert_eq!((0..100).filter(|_| budget.take()).count(), RetryBudget::RETRIES_SAVED_MAX as usize);
    }

    proptest! {
        #[test]
        fn retries_never_pass_a_fifth_of_successes_and_what_was_saved(steps in prop::collection::vec(any::<bool>(), 0..500)) {
            let budget = RetryBudget::new();
            let (mut successes, mut retries) = (0, 0);
            for success in steps {
                if success {
                    budget.succeeded();
                    successes += 1;
                } else {
                    retries += u32::from(budget.take());
                }
                prop_assert!(retries <= successes / 5 + RetryBudget::RETRIES_SAVED_MAX);
            }
        }
    }
}
