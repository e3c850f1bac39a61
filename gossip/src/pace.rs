//! How often does this node ask others? As often as suits the size of the fleet, which grows and shrinks while chitchat's
//! own interval stays as it was at its start.
//!
//! Chitchat is started for a small fleet, and in a larger one some of its rounds are left out. The failure detector
//! learns intervals from what it hears, so it needs not be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Timing;

/// The interval that suits the fleet now; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// Of the fleet as it is, in microseconds.
    now: Arc<AtomicU64>,
    /// Chitchat's own.
    first: Duration,
}

/// Which of the rounds of one start of chitchat take place.
#[derive(Debug, Clone)]
pub(crate) struct Rounds {
    pace: Pace,
    /// Chitchat's own.
    interval: Duration,
    last: Option<Instant>,
}

impl Pace {
    /// As `timing` has it, until the fleet is known.
    pub(crate) fn new(timing: &Timing) -> Self {
        Self { now: Arc::new(AtomicU64::new(micros(timing.interval))), first: timing.interval }
    }

    /// The fleet has `nodes` live nodes. Returns the timing if it is another one now.
    pub(crate) fn follow(&self, nodes: usize) -> Option<Timing> {
        let timing = Timing::for_fleet(nodes);
        let interval = micros(timing.interval);
        (self.now.swap(interval, Ordering::Relaxed) != interval).then_some(timing)
    }

    /// How long a silence is too usual to say anything, besides what chitchat's detector makes of it: at its own pace,
    /// none.
    pub(crate) fn silence_max(&self) -> Duration {
        let interval = self.interval();
        if interval > self.first { Timing::silence_of(interval) } else { Duration::ZERO }
    }

    fn interval(&self) -> Duration {
        Duration::from_micros(self.now.load(Ordering::Relaxed))
    }
}

impl Rounds {
    /// The rounds that come every `interval`.
    pub(crate) fn new(pace: &Pace, interval: Duration) -> Self {
        Self { pace: pace.clone(), interval, last: None }
    }

    /// Whether a question that chitchat would ask at `now` is asked. All questions of one round are, or none.
    pub(crate) fn take_place(&mut self, now: Instant) -> bool {
        let half = self.interval / 2;
        let since = self.last.map(|last| now.saturating_duration_since(last));
        // What comes this close is of the same round. Of later ones, that which comes next to the end of the pace.
        match since {
            Some(since) if since < half => true,
            Some(since) if since + half < self.pace.interval() => false,
            _ => {
                self.last = Some(now);
                true
            }
        }
    }
}

fn micros(interval: Duration) -> u64 {
    u64::try_from(interval.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many questions are asked in ten seconds of rounds with three questions each.
    fn asked(nodes: usize) -> usize {
        let timing = Timing::default();
        let pace = Pace::new(&timing);
        pace.follow(nodes);
        let mut rounds = Rounds::new(&pace, timing.interval);
        let mut asked = 0;
        let begun = Instant::now();
        for round in 0..40 {
            for question in 0..3 {
                let at = begun + timing.interval * round + Duration::from_millis(question);
                asked += usize::from(rounds.take_place(at));
            }
        }
        asked
    }

    #[tokio::test(start_paused = true)]
    async fn a_larger_fleet_asks_less_often_and_whole_rounds() {
        for (nodes, rounds) in [(1, 40), (50, 40), (100, 20), (150, 14), (200, 10), (1_000, 10)] {
            assert_eq!(asked(nodes), rounds * 3, "{nodes} nodes");
        }
    }

    #[test]
    fn only_a_fleet_that_slows_down_waits_longer_than_its_detector() {
        let pace = Pace::new(&Timing::default());
        for (nodes, silence_ms) in [(3, 0), (50, 0), (100, 4_000), (200, 8_000), (50, 0)] {
            pace.follow(nodes);
            assert_eq!(pace.silence_max(), Duration::from_millis(silence_ms), "{nodes} nodes");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_is_told_when_it_changes() {
        let pace = Pace::new(&Timing::default());
        assert_eq!(pace.follow(50), None);
        assert_eq!(pace.follow(200), Some(Timing::for_fleet(200)));
        assert_eq!(pace.follow(300), None);
        assert_eq!(pace.follow(3), Some(Timing::for_fleet(3)));
    }
}
