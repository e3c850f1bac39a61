//! When to dial a peer again: jittered exponential back-off.

use std::time::Duration;

/// Delays between attempts to reach one peer: from 100 ms, doubling, to at most 10 s.
///
/// Each is drawn from the upper half of its range, so that peers that failed together do not come back together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after an attempt has failed or a connection was lost. `chance` is uniform over all values.
    pub fn next(&mut self, chance: u32) -> Duration {
        let ceiling = DELAY_MIN.saturating_mul(2 << self.failures.min(DOUBLINGS_MAX)).min(DELAY_MAX);
        self.failures = self.failures.saturating_add(1);
        let half = ceiling / 2;
        half + half.mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }

    /// A connection has ended that stood for `stood`. Begins again with the shortest delay if that was long enough: a
    /// peer that accepts and dies, or that refuses once it has seen who dials, is not dialled without rest.
    pub fn ended(&mut self, stood: Duration) {
        if stood >= STOOD_MIN {
            self.failures = 0;
        }
    }
}

const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(10);
const DOUBLINGS_MAX: u32 = 16;
/// Longer than any handshake whose refusal is still on its way, and any connection that only waits for its idle limit.
const STOOD_MIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ranges_double_up_to_the_limit() {
        let lowest: Vec<_> = delays(0).into_iter().map(|delay| delay.as_millis()).collect();
        assert_eq!(lowest, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        let highest: Vec<_> = delays(u32::MAX).into_iter().map(|delay| delay.as_millis()).collect();
        assert_eq!(highest, [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
    }

    fn delays(chance: u32) -> Vec<Duration> {
        let mut backoff = Backoff::default();
        (0..8).map(|_| backoff.next(chance)).collect()
    }

    proptest! {
        #[test]
        fn every_delay_is_within_its_limits(failures in 0u32..10_000, chance: u32) {
            let delay = Backoff { failures }.next(chance);
            prop_assert!((DELAY_MIN..=DELAY_MAX).contains(&delay), "{delay:?}");
        }

        #[test]
        fn only_a_connection_that_stood_brings_back_the_shortest_delay(
            chances in proptest::collection::vec(any::<u32>(), 1..40), stood_ms in 0u64..20_000
        ) {
            let mut backoff = Backoff::default();
            for chance in &chances {
                backoff.next(*chance);
            }
            let before = backoff.failures;
            backoff.ended(Duration::from_millis(stood_ms));
            prop_assert_eq!(backoff.failures, if stood_ms >= 10_000 { 0 } else { before });
        }
    }
}
