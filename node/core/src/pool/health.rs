//! Is one backend healthy, as one check sees it, and when is it to be checked again?

use crate::Moment;
use crate::policy::HealthCheck;

/// The health of one check's target.
///
/// A target counts as healthy until its first result, and the first result decides at once: a node that has just
/// started sends requests everywhere rather than nowhere, and believes a failure before it has seen a success.
/// After that, [`HealthCheck::fall`] failures in a row make a healthy target fail, and [`HealthCheck::rise`] successes
/// in a row make a failed one healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    belief: Belief,
    /// Results in a row that speak against the belief.
    against: u32,
    checking: bool,
    due: Moment,
}

/// A target has changed sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// It was healthy, or nobody knew.
    Failed,
    /// It had failed.
    Recovered,
}

/// What the results so far show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Belief {
    /// There is none yet.
    Unknown,
    Healthy,
    Failed,
}

impl Health {
    /// Nothing is known, and the first check is due at `first`.
    pub fn new(first: Moment) -> Self {
        Self { belief: Belief::Unknown, against: 0, checking: false, due: first }
    }

    /// What this believes, carried over to a check with another rhythm, which is first due at `first`.
    pub fn rescheduled(self, first: Moment) -> Self {
        Self { against: 0, checking: false, due: first, ..self }
    }

    /// Whether requests may be sent there.
    pub fn is_healthy(&self) -> bool {
        self.belief != Belief::Failed
    }

    /// What is believed.
    pub(super) fn belief(&self) -> Belief {
        self.belief
    }

    /// When the next check is due; `None` while one is under way.
    pub fn poll_timeout(&self) -> Option<Moment> {
        (!self.checking).then_some(self.due)
    }

    /// A check has been started. The next is due an interval later, or when this one ends if that is later.
    pub fn handle_start(&mut self, check: &HealthCheck, now: Moment) {
        self.checking = true;
        self.due = now + check.interval;
    }

    /// A check has ended. Says whether that changes what is believed.
    pub fn handle_result(&mut self, check: &HealthCheck, success: bool) -> Option<Transition> {
        self.checking = false;
        let (confirms, needed) = match self.belief {
            Belief::Unknown => (false, 1),
            Belief::Healthy => (success, check.fall),
            Belief::Failed => (!success, check.rise),
        };
        self.against = if confirms { 0 } else { self.against.saturating_add(1) };
        if !confirms && self.against >= needed { self.believe(success) } else { None }
    }

    fn believe(&mut self, healthy: bool) -> Option<Transition> {
        let before = self.is_healthy();
        self.belief = if healthy { Belief::Healthy } else { Belief::Failed };
        self.against = 0;
        match (before, healthy) {
            (true, false) => Some(Transition::Failed),
            (false, true) => Some(Transition::Recovered),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const START: Moment = Moment::from_millis(1_000);

    fn check(fall: u32, rise: u32) -> HealthCheck {
        HealthCheck {
            interval: Duration::from_secs(5),
            fall,
            rise,
            ..HealthCheck::http("/healthz", "backend")
        }
    }

    fn after(results: &[bool]) -> Health {
        let mut health = Health::new(START);
        for success in results {
            health.handle_result(&check(3, 2), *success);
        }
        health
    }

    #[test]
    fn an_unknown_target_is_healthy_and_the_first_result_decides() {
        assert!(Health::new(START).is_healthy());
        assert!(after(&[true]).is_healthy());
        assert!(!after(&[false]).is_healthy());
        assert_eq!(Health::new(START).handle_result(&check(3, 2), false), Some(Transition::Failed));
        assert_eq!(Health::new(START).handle_result(&check(3, 2), true), None);
    }

    #[test]
    fn it_falls_with_the_third_failure_in_a_row() {
        let mut health = after(&[true, false, false]);
        assert!(health.is_healthy());
        assert_eq!(health.handle_result(&check(3, 2), false), Some(Transition::Failed));
        assert!(!health.is_healthy());
    }

    #[test]
    fn a_success_between_failures_starts_the_count_again() {
        assert!(after(&[true, false, false, true, false, false]).is_healthy());
        assert!(!after(&[true, false, false, true, false, false, false]).is_healthy());
    }

    #[test]
    fn it_rises_with_the_second_success_in_a_row() {
        let mut health = after(&[false, true, false, true]);
        assert!(!health.is_healthy());
        assert_eq!(health.handle_result(&check(3, 2), true), Some(Transition::Recovered));
        assert!(health.is_healthy());
    }

    #[test]
    fn a_check_that_outlasts_its_interval_is_not_started_twice() {
        let mut health = Health::new(START);
        assert_eq!(health.poll_timeout(), Some(START));
        health.handle_start(&check(3, 2), START);
        assert_eq!(health.poll_timeout(), None);
        health.handle_result(&check(3, 2), true);
        assert_eq!(health.poll_timeout(), Some(START + Duration::from_secs(5)));
    }

    #[test]
    fn another_rhythm_keeps_the_belief_but_not_the_count() {
        let later = START + Duration::from_mins(1);
        let mut failed = after(&[false, true]).rescheduled(later);
        assert!(!failed.is_healthy());
        assert_eq!(failed.poll_timeout(), Some(later));
        assert_eq!(failed.handle_result(&check(3, 2), true), None);
        assert_eq!(failed.handle_result(&check(3, 2), true), Some(Transition::Recovered));
    }

    proptest! {
        /// The belief is a function of the history: the last run of `fall` failures or `rise` successes decides, and
        /// before either the first result.
        #[test]
        fn belief_follows_the_last_decisive_run(
            results in prop::collection::vec(any::<bool>(), 0..40),
            fall in 1_u32..5,
            rise in 1_u32..5,
        ) {
            let check = check(fall, rise);
            let mut health = Health::new(START);
            let mut expected = true;
            for (at, success) in results.iter().enumerate() {
                let run = results[..=at].iter().rev().take_while(|result| *result == success).count();
                let needed = if *success { rise } else { fall } as usize;
                if at == 0 || run >= needed {
                    expected = *success;
                }
                let before = health.is_healthy();
                let transition = health.handle_result(&check, *success);
                prop_assert_eq!(health.is_healthy(), expected);
                prop_assert_eq!(transition.is_some(), before != expected);
            }
        }
    }
}
