//! What workers of one node share: a few atomics, model-checked with loom.
//!
//! Nothing here locks or waits. Everything else that workers know is in the snapshot, which is replaced whole.

mod breaker;
mod drain;
mod in_flight;
mod pace;
mod retry_budget;
mod streak;
mod suspects;
mod tally;

#[cfg(all(test, loom))]
mod loom_tests;

pub use breaker::{Breaker, BreakerGuard};
pub use drain::Drain;
pub use in_flight::{InFlight, InFlightGauges, InFlightGuard};
pub use pace::Pace;
pub use retry_budget::RetryBudget;
pub use streak::{Row, Streak};
pub use suspects::Suspects;
pub use tally::{DURATION_BOUNDS_MS, Tallies, Tally, Totals};

/// The atomics everything here is made of: loom's when the model is checked.
mod atomic {
    #[cfg(loom)]
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
    #[cfg(not(loom))]
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
}
