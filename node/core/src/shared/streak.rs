//! How many requests to one backend have failed in a row, at all workers together.

use super::atomic::{AtomicU32, Ordering};

/// Failures since the last success. A success costs one read while there are none.
#[derive(Debug, Default)]
pub struct Streak {
    failures: AtomicU32,
}

impl Streak {
    /// No failures.
    pub fn new() -> Self {
        Self { failures: AtomicU32::new(0) }
    }

    /// A request succeeded.
    pub fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A request failed. Whether it completes another `limit` in a row: of `limit` failures with no success between them,
    /// at whatever workers, exactly one does.
    pub fn failed(&self, limit: u32) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        failures.is_multiple_of(limit.max(1))
    }

    /// Failures since the last success, for reports.
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_full_row_is_told_once(outcomes in prop::collection::vec(any::<bool>(), 0..100), limit in 1u32..8) {
            let streak = Streak::new();
            let mut row = 0;
            for success in outcomes {
                if success {
                    streak.succeeded();
                    row = 0;
                } else {
                    row += 1;
                    prop_assert_eq!(streak.failed(limit), row % limit == 0);
                }
                prop_assert_eq!(streak.failures(), row);
            }
        }
    }
}
