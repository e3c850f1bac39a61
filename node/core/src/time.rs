//! When: a reading of the node's clock, handed in by whoever calls a core.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A reading of the node's boot-time clock (it counts suspended time), in microseconds from an arbitrary start.
///
/// Readings of one process can be compared; readings of two cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// The reading `micros` microseconds after the clock's start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The reading `millis` milliseconds after the clock's start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the clock's start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to this reading, zero if `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn milliseconds_are_a_thousand_microseconds() {
        assert_eq!(Moment::from_millis(2), Moment::from_micros(2_000));
        assert_eq!(Moment::from_millis(u64::MAX).as_micros(), u64::MAX);
    }

    #[test]
    fn time_never_runs_backwards_or_over() {
        let (early, late) = (Moment::from_millis(1), Moment::from_millis(3));
        assert_eq!(late.since(early), Duration::from_millis(2));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early - Duration::from_secs(9), Moment::default());
        assert_eq!(late + Duration::MAX, Moment::from_micros(u64::MAX));
    }

    proptest! {
        #[test]
        fn what_is_added_has_passed(start in 0u64..1 << 60, micros in 0u64..1 << 60) {
            let (start, passed) = (Moment::from_micros(start), Duration::from_micros(micros));
            prop_assert_eq!((start + passed).since(start), passed);
            prop_assert_eq!(start + passed - passed, start);
        }
    }
}
