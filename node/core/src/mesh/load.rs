//! How busy this node is: one number, averaged over a second.

use std::time::Duration;

use crate::Moment;

/// max(CPU, requests in flight / limit) as an exponentially weighted mean with a time constant of one second.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    mean: Option<(f32, Moment)>,
}

impl Load {
    /// Counts an observation: `cpu` from 0 to 1 of what this node may use, and the requests in flight against their
    /// limit (a limit of 0 means that none may be in flight: full). Observations may come at any interval; the first
    /// counts at once.
    pub fn observe(&mut self, cpu: f32, in_flight: u32, in_flight_limit: u32, now: Moment) {
        let share = if in_flight_limit == 0 { 1.0 } else { in_flight as f32 / in_flight_limit as f32 };
        let seen = if cpu.is_finite() { cpu.clamp(0.0, LOAD_MAX).max(share) } else { share }.min(LOAD_MAX);
        self.mean = Some(match self.mean {
            None => (seen, now),
            Some((mean, last)) => {
                let weight = 1.0 - (-now.since(last).as_secs_f32() / TIME_CONSTANT.as_secs_f32()).exp();
                (mean + (seen - mean) * weight, now.max(last))
            }
        });
    }

    /// The mean: 0 idle, 1 at the limit, at most 4. 0 before the first observation.
    pub fn value(&self) -> f32 {
        self.mean.map_or(0.0, |(mean, _)| mean)
    }
}

/// A load as a peer reports it: within what loads can be. What is not a number counts as full.
pub(super) fn checked(reported: f32) -> f32 {
    if reported.is_nan() { 1.0 } else { reported.clamp(0.0, LOAD_MAX) }
}

/// Beyond this, more load makes no difference.
const LOAD_MAX: f32 = 4.0;
const TIME_CONSTANT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_observation_counts_at_once() {
        let mut load = Load::default();
        assert!(load.value().abs() < f32::EPSILON);
        load.observe(0.4, 0, 10, Moment::from_millis(5));
        assert!((load.value() - 0.4).abs() < 1e-6);
    }

    #[test]
    fn the_busier_of_cpu_and_requests_counts() {
        let mut load = Load::default();
        load.observe(0.2, 9, 10, Moment::default());
        assert!((load.value() - 0.9).abs() < 1e-6);
    }

    #[test]
    fn after_a_second_two_thirds_of_a_step_are_seen() {
        let (mut coarse, mut fine) = (Load::default(), Load::default());
        coarse.observe(0.0, 0, 1, Moment::default());
        fine.observe(0.0, 0, 1, Moment::default());
        coarse.observe(1.0, 0, 1, Moment::from_millis(1_000));
        (1..=100).for_each(|at| fine.observe(1.0, 0, 1, Moment::from_millis(at * 10)));
        // 1 - 1/e, however often it is observed.
        assert!((coarse.value() - 0.632_12).abs() < 1e-4, "{}", coarse.value());
        assert!((fine.value() - 0.632_12).abs() < 1e-4, "{}", fine.value());
    }

    #[test]
    fn nonsense_from_a_peer_counts_as_full() {
        assert!((checked(f32::NAN) - 1.0).abs() < f32::EPSILON);
        assert!((checked(f32::INFINITY) - LOAD_MAX).abs() < f32::EPSILON);
        assert!(checked(-3.0).abs() < f32::EPSILON);
    }

    proptest! {
        #[test]
        fn the_mean_stays_within_what_was_seen(
            seen in proptest::collection::vec((any::<f32>(), any::<u32>(), any::<u32>(), 0u64..5_000), 1..50)
        ) {
            let (mut load, mut now) = (Load::default(), 0);
            for (cpu, in_flight, limit, wait) in seen {
                now += wait;
                load.observe(cpu, in_flight, limit, Moment::from_millis(now));
                prop_assert!((0.0..=LOAD_MAX).contains(&load.value()), "{}", load.value());
            }
        }
    }
}
