//! How long is a backend expected to take? A mean of what it took, which believes bad news at once.

use std::time::Duration;

use crate::Moment;

/// One worker's expectation of one backend.
///
/// An answer that took longer than expected is expected from then on; faster ones, and time, bring the expectation down
/// with a time constant of [`DECAY`](Self::DECAY). So a backend that turns slow is left at once and tried again later.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PeakEwma {
    micros: f32,
    /// When that was so; nothing is known before the first answer.
    at: Option<Moment>,
}

impl PeakEwma {
    /// How fast the past is forgotten.
    pub const DECAY: Duration = Duration::from_secs(10);

    /// What a failure counts as, if it did not take even longer. A broken backend is often the fastest of all.
    pub const FAILURE: Duration = Duration::from_secs(1);

    /// An answer began `latency` after its request.
    pub fn answered(&mut self, latency: Duration, now: Moment) {
        // Faster than the clock can tell is still not free: requests under way have to count.
        let latency = latency.as_micros().max(1) as f32;
        let expected = self.expected(now);
        self.micros = match expected {
            Some(expected) if latency < expected => {
                let kept = kept(self.since(now));
                self.micros * kept + latency * (1.0 - kept)
            }
            _ => latency,
        };
        self.at = Some(now);
    }

    /// A request failed after `latency`.
    pub fn failed(&mut self, latency: Duration, now: Moment) {
        self.answered(latency.max(Self::FAILURE), now);
    }

    /// The expectation in microseconds; `None` if there has been no answer yet.
    pub fn expected(&self, now: Moment) -> Option<f32> {
        self.at.map(|_| self.micros * kept(self.since(now)))
    }

    fn since(&self, now: Moment) -> Duration {
        self.at.map_or(Duration::ZERO, |at| now.since(at))
    }
}

/// The first of two if it is expected to be done no later: the expectation times the requests that it would have then.
/// If either is unknown, the one with fewer requests.
pub(super) fn first_is_better(first: (Option<f32>, u32), second: (Option<f32>, u32)) -> bool {
    let busy = |requests: u32| requests as f32 + 1.0;
    match (first.0, second.0) {
        (Some(one), Some(other)) => one * busy(first.1) <= other * busy(second.1),
        _ => first.1 <= second.1,
    }
}

/// What is left of the past after `passed`: close to `exp(-passed / DECAY)`, for the price of a division.
fn kept(passed: Duration) -> f32 {
    let parts = passed.as_micros() as f32 / PeakEwma::DECAY.as_micros() as f32;
    1.0 / (1.0 + parts + parts * parts / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Moment = Moment::from_millis(5_000);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn bad_news_is_believed_at_once_and_forgotten_slowly() {
        let mut ewma = PeakEwma::default();
        assert_eq!(ewma.expected(START), None);
        ewma.answered(millis(2), START);
        ewma.answered(millis(500), START);
        assert_eq!(ewma.expected(START), Some(500_000.0));
        let later = START + millis(100);
        ewma.answered(millis(2), later);
        assert!(ewma.expected(later).unwrap() > 400_000.0);
        assert!(ewma.expected(later + PeakEwma::DECAY * 20).unwrap() < 5_000.0);
    }

    #[test]
    fn failing_fast_is_not_being_fast() {
        let mut ewma = PeakEwma::default();
        ewma.failed(millis(1), START);
        assert_eq!(ewma.expected(START), Some(1_000_000.0));
    }

    #[test]
    fn without_expectations_the_less_busy_is_better() {
        assert!(first_is_better((None, 1), (Some(1.0), 1)));
        assert!(!first_is_better((Some(1.0), 2), (None, 1)));
        assert!(first_is_better((Some(1_000.0), 0), (Some(300.0), 4)));
        assert!(!first_is_better((Some(1_000.0), 0), (Some(300.0), 1)));
    }

    proptest! {
        #[test]
        fn an_expectation_is_never_above_the_slowest_answer_nor_below_zero(
            answers in prop::collection::vec((0u64..10_000, 0u64..60_000), 1..50),
        ) {
            let (mut ewma, mut now) = (PeakEwma::default(), START);
            let slowest = answers.iter().map(|(latency, _)| *latency).max().unwrap();
            for (latency, pause) in answers {
                now = now + millis(pause);
                ewma.answered(millis(latency), now);
                let expected = ewma.expected(now).unwrap();
                prop_assert!(expected >= millis(latency).as_micros() as f32 * 0.999);
                prop_assert!(expected <= (millis(slowest).as_micros().max(1)) as f32 * 1.001);
            }
            prop_assert!(ewma.expected(now + millis(1)) <= ewma.expected(now));
        }
    }
}
