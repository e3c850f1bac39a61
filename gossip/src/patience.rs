//! When a node doubts itself before it calls others dead: after its own loop has lagged, or its chitchat has fallen.
//!
//! A process that was stopped, starved or suspended finds everybody's last sign of life to be old, and one that has
//! just begun has heard of nobody. The fault is its own, so for a while nobody is declared dead who was alive before.

use std::time::Duration;

use tokio::time::Instant;

/// Whether this node trusts its own clock of others' silence.
#[derive(Debug)]
pub(crate) struct Patience {
    interval: Duration,
    silence_max: Duration,
    doubts_until: Option<Instant>,
}

impl Patience {
    /// For a loop that turns every `interval`, where `silence_max` of silence makes a node dead.
    pub(crate) fn new(interval: Duration, silence_max: Duration) -> Self {
        Self { interval, silence_max, doubts_until: None }
    }

    /// The loop turned at `now`, and was to turn at `due`.
    pub(crate) fn turn(&mut self, due: Instant, now: Instant) {
        let lag = now.saturating_duration_since(due);
        if lag >= self.interval {
            // As long as it was away, and then as long as it takes to hear from everybody again.
            self.doubt(lag + self.silence_max, now);
        }
    }

    /// From now on `silence_max` of silence makes a node dead: the fleet speaks more or less often.
    pub(crate) fn expect_silence(&mut self, silence_max: Duration) {
        self.silence_max = silence_max;
    }

    /// Chitchat begins again at `now`, and has to meet everybody before it hears from them.
    pub(crate) fn begin_again(&mut self, now: Instant) {
        self.doubt(self.silence_max * 2, now);
    }

    /// Whether deaths are not to be believed yet.
    pub(crate) fn doubts_itself(&self, now: Instant) -> bool {
        self.doubts_until.is_some_and(|until| now < until)
    }

    fn doubt(&mut self, span: Duration, now: Instant) {
        self.doubts_until = self.doubts_until.max(Some(now + span.min(DOUBT_MAX)));
    }
}

/// However long the loop was away.
const DOUBT_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(250);
    const SILENCE_MAX: Duration = Duration::from_secs(2);

    fn patience_after(lag: Duration) -> (Patience, Instant) {
        let due = Instant::now();
        let mut patience = Patience::new(INTERVAL, SILENCE_MAX);
        patience.turn(due, due + lag);
        (patience, due + lag)
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_in_time_believes_what_it_sees() {
        let (patience, now) = patience_after(Duration::from_millis(249));
        assert!(!patience.doubts_itself(now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_was_away_waits_as_long_again_and_for_everybody_to_speak() {
        let lag = Duration::from_secs(3);
        let (mut patience, now) = patience_after(lag);
        let end = now + lag + SILENCE_MAX;
        assert!(patience.doubts_itself(now) && patience.doubts_itself(end - Duration::from_millis(1)));
        assert!(!patience.doubts_itself(end));
        patience.turn(now + INTERVAL, now + INTERVAL * 2);
        assert!(
            patience.doubts_itself(end - Duration::from_millis(1)),
            "a shorter lag does not cut a longer"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_fall_there_is_time_to_meet_and_to_hear() {
        let now = Instant::now();
        let mut patience = Patience::new(INTERVAL, SILENCE_MAX);
        patience.begin_again(now);
        assert!(patience.doubts_itself(now + SILENCE_MAX + INTERVAL));
        assert!(!patience.doubts_itself(now + SILENCE_MAX * 2));
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_fleet_that_speaks_less_often_it_waits_longer() {
        let now = Instant::now();
        let mut patience = Patience::new(INTERVAL, SILENCE_MAX);
        patience.expect_silence(SILENCE_MAX * 2);
        patience.begin_again(now);
        assert!(patience.doubts_itself(now + SILENCE_MAX * 4 - Duration::from_millis(1)));
        assert!(!patience.doubts_itself(now + SILENCE_MAX * 4));
    }

    #[tokio::test(start_paused = true)]
    async fn doubt_ends() {
        let (patience, now) = patience_after(Duration::from_hours(24));
        assert!(!patience.doubts_itself(now + DOUBT_MAX));
    }
}
