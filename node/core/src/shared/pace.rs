//! Has there been too much of something lately? So many a second, and as many at once after a rest.

use std::time::Duration;

use super::atomic::{AtomicU64, Ordering};
use crate::Moment;

/// What all workers of a node together may do so often. Over any time: done <= rate x time + rate.
#[derive(Debug)]
pub struct Pace {
    /// What one costs, in nanoseconds; `None` if none is allowed.
    cost: Option<u64>,
    /// Nanoseconds of the clock that are spent, one second of which may lie ahead.
    spent: AtomicU64,
}

impl Pace {
    /// At most so many a second.
    pub fn new(per_second_max: u32) -> Self {
        Self { cost: SECOND.checked_div(per_second_max.into()), spent: AtomicU64::new(0) }
    }

    /// Counts one more at `now`, unless that is too many.
    pub fn take(&self, now: Moment) -> bool {
        let Some(cost) = self.cost else { return false };
        let now = now.as_micros().saturating_mul(1_000);
        let spend = |spent: u64| {
            let spent = spent.max(now).saturating_add(cost);
            (spent <= now.saturating_add(SECOND)).then_some(spent)
        };
        self.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }
}

const SECOND: u64 = Duration::from_secs(1).as_nanos() as u64;

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(pace: &Pace, now_ms: u64) -> usize {
        (0..10_000).filter(|_| pace.take(Moment::from_millis(now_ms))).count()
    }

    #[test]
    fn a_second_has_so_many_and_a_rest_saves_no_more() {
        for rate in [1, 3, 7, 4_096] {
            let pace = Pace::new(rate);
            assert_eq!(taken(&pace, 0), rate as usize);
            assert_eq!(taken(&pace, 1_000), rate as usize);
            assert_eq!(taken(&pace, 100_000), rate as usize);
        }
        let pace = Pace::new(10);
        assert_eq!([0, 100, 300, 349].map(|now_ms| taken(&pace, now_ms)), [10, 1, 2, 0]);
    }

    #[test]
    fn of_none_there_is_none() {
        assert_eq!(taken(&Pace::new(0), 5_000), 0);
    }

    proptest! {
        #[test]
        fn no_time_has_more_than_its_share_and_one_rest(
            rate in 1u32..100, steps in prop::collection::vec((0u64..500, 0usize..60), 1..60),
        ) {
            let pace = Pace::new(rate);
            let (mut now_ms, mut taken) = (0, Vec::new());
            for (pause_ms, asked) in steps {
                now_ms += pause_ms;
                let count = (0..asked).filter(|_| pace.take(Moment::from_millis(now_ms))).count();
                taken.push((now_ms, count as f64));
            }
            for (at, (from_ms, _)) in taken.iter().enumerate() {
                let mut sum = 0.0;
                for (until_ms, count) in &taken[at..] {
                    sum += count;
                    let share = f64::from(rate) * (until_ms - from_ms) as f64 / 1_000.0;
                    prop_assert!(sum <= share + f64::from(rate) + 1e-6, "{sum} from {from_ms} to {until_ms}");
                }
            }
        }
    }
}
