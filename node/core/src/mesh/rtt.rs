//! The lowest round-trip time of the last ten seconds.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Moment;

/// A sliding minimum. Bounded; exact for up to [`SAMPLES_MAX`] samples in the window.
#[derive(Debug, Clone, Default)]
pub(super) struct LowestRtt {
    /// Times and values both rise: whatever a later and lower sample made irrelevant is gone.
    samples: VecDeque<(Moment, Duration)>,
}

impl LowestRtt {
    /// Counts a sample measured at `now`.
    pub(super) fn record(&mut self, rtt: Duration, now: Moment) {
        while self.samples.back().is_some_and(|(_, kept)| *kept >= rtt) {
            self.samples.pop_back();
        }
        let is_full = self.samples.len() >= SAMPLES_MAX;
        match self.samples.back_mut() {
            // The two latest become one, with the lower value and the later time.
            Some(last) if is_full => last.0 = now,
            _ => self.samples.push_back((now, rtt)),
        }
        self.forget(now);
    }

    /// Forgets what is out of the window, except for the last sample: an old measurement is better than none.
    pub(super) fn forget(&mut self, now: Moment) {
        while self.samples.len() > 1 && self.samples.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) {
            self.samples.pop_front();
        }
    }

    /// The lowest of the window, `None` before the first sample.
    pub(super) fn lowest(&self) -> Option<Duration> {
        self.samples.front().map(|(_, rtt)| *rtt)
    }
}

const WINDOW: Duration = Duration::from_secs(10);
const SAMPLES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_minimum_of_the_window(steps in proptest::collection::vec((100u64..2_000, 1u64..500), 1..200)) {
            let (mut window, mut all, mut now) = (LowestRtt::default(), Vec::new(), 0);
            for (wait, rtt) in steps {
                now += wait;
                all.push((now, rtt));
                window.record(Duration::from_millis(rtt), Moment::from_millis(now));
                let expected = all.iter().filter(|(at, _)| now - at <= 10_000).map(|(_, rtt)| *rtt).min();
                prop_assert_eq!(window.lowest(), expected.map(Duration::from_millis));
            }
        }

        #[test]
        fn it_stays_bounded_and_never_above_the_minimum(rtts in proptest::collection::vec(1u64..100_000, 1..2_000)) {
            let mut window = LowestRtt::default();
            for rtt in &rtts {
                window.record(Duration::from_micros(*rtt), Moment::from_millis(1));
            }
            prop_assert!(window.samples.len() <= SAMPLES_MAX);
            prop_assert_eq!(window.lowest(), rtts.iter().min().copied().map(Duration::from_micros));
        }
    }

    #[test]
    fn rising_samples_do_not_grow_it_without_bound() {
        let mut window = LowestRtt::default();
        for rtt in 1..10_000 {
            window.record(Duration::from_micros(rtt), Moment::from_micros(rtt));
        }
        assert_eq!(window.samples.len(), SAMPLES_MAX);
        assert_eq!(window.lowest(), Some(Duration::from_micros(1)));
    }

    #[test]
    fn the_last_measurement_is_kept_when_nothing_new_comes() {
        let mut window = LowestRtt::default();
        assert_eq!(window.lowest(), None);
        window.record(Duration::from_millis(5), Moment::from_millis(0));
        window.record(Duration::from_millis(9), Moment::from_millis(100));
        window.forget(Moment::from_millis(10_050));
        assert_eq!(window.lowest(), Some(Duration::from_millis(9)));
        window.forget(Moment::from_millis(900_000));
        assert_eq!(window.lowest(), Some(Duration::from_millis(9)));
    }
}
