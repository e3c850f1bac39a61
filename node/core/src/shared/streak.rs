//! How many requests to one backend have failed in a row, at all workers together.

use super::atomic::{AtomicU32, Ordering};

/// Failures since the last success. A success costs one read while there are none.
#[derive(Debug, Default)]
pub struct Streak {
    failures: AtomicU32,
    /// What the last of them was, in the words of whoever counts.
    last: AtomicU32,
}

/// What one more failure makes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// It is the first.
    Begun,
    /// It completes another full row.
    Full,
}

impl Streak {
    /// No failures.
    pub fn new() -> Self {
        Self { failures: AtomicU32::new(0), last: AtomicU32::new(0) }
    }

    /// A request succeeded.
    pub fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A request failed, `why`. What that makes of the row: of `limit` failures with no success between them, at whatever
    /// workers, exactly one completes it, and exactly one begins it.
    pub fn failed(&self, limit: u32, why: u32) -> Option<Row> {
        self.last.store(why, Ordering::Relaxed);
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if failures.is_multiple_of(limit.max(1)) {
            Some(Row::Full)
        } else {
            (failures == 1).then_some(Row::Begun)
        }
    }

    /// Failures since the last success, for reports.
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Why the last request failed that did; 0 if none has.
    pub fn last(&self) -> u32 {
        self.last.load(Ordering::Relaxed)
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
                    let expected = if row % limit == 0 { Some(Row::Full) } else { (row == 1).then_some(Row::Begun) };
                    prop_assert_eq!(streak.failed(limit, row), expected);
                    prop_assert_eq!(streak.last(), row);
                }
                prop_assert_eq!(streak.failures(), row);
            }
        }
    }
}
