//! Is a pool asked to do more at once than it may be?

use std::ops::Deref;

use super::atomic::{AtomicU32, AtomicU64, Ordering};

/// Counts what all workers of a node have under way at one pool, up to a limit.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Breaker {
    under_way: AtomicU32,
    refused: AtomicU64,
}

/// One thing under way: it is until this is dropped. Holds its breaker by a handle of the caller's kind, so that a
/// worker need not count references in shared memory.
#[derive(Debug)]
#[must_use = "it ends as soon as this is dropped"]
pub struct BreakerGuard<B: Deref<Target = Breaker>> {
    of: B,
}

impl Breaker {
    /// Nothing under way.
    pub fn new() -> Self {
        Self { under_way: AtomicU32::new(0), refused: AtomicU64::new(0) }
    }

    /// Counts one more, unless `limit` are under way.
    pub fn enter<B: Deref<Target = Self>>(of: B, limit: u32) -> Option<BreakerGuard<B>> {
        let below = |count: u32| (count < limit).then(|| count + 1);
        if of.under_way.fetch_update(Ordering::AcqRel, Ordering::Relaxed, below).is_err() {
            of.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(BreakerGuard { of })
    }

    /// How often the limit has said no.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How many are under way.
    pub fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::Acquire)
    }
}

impl<B: Deref<Target = Breaker>> BreakerGuard<B> {
    /// What holds the breaker.
    pub fn holder(&self) -> &B {
        &self.of
    }
}

impl<B: Deref<Target = Breaker>> Drop for BreakerGuard<B> {
    fn drop(&mut self) {
        self.of.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_limit_is_exact_and_what_ends_makes_room() {
        let breaker = Breaker::new();
        let first = Breaker::enter(&breaker, 2).unwrap();
        let second = Breaker::enter(&breaker, 2).unwrap();
        assert!(Breaker::enter(&breaker, 2).is_none());
        assert_eq!(breaker.refused(), 1);
        drop(first);
        assert!(Breaker::enter(&breaker, 2).is_some());
        drop(second);
        assert_eq!(breaker.under_way(), 0);
    }

    proptest! {
        #[test]
        fn the_count_is_what_is_held(steps in prop::collection::vec((any::<bool>(), 0u32..6), 0..100)) {
            let breaker = Breaker::new();
            let mut held = Vec::new();
            for (enter, limit) in steps {
                if enter {
                    let entered = Breaker::enter(&breaker, limit);
                    prop_assert_eq!(entered.is_some(), held.len() < limit as usize);
                    held.extend(entered);
                } else {
                    held.pop();
                }
                prop_assert_eq!(breaker.under_way() as usize, held.len());
            }
        }
    }
}
