//! What a region costs: latency and a penalty for its load.

use std::time::Duration;

use graticule_geo::Coordinates;

/// What a region costs: latency and a penalty for its load, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cost(pub u32);

impl Cost {
    /// More than anything that can be reached; also what more than 71 minutes cost.
    pub const MAX: Self = Self(u32::MAX);

    /// The cost of a region `rtt` away under `load`: the round trip, and 50 ms for every 0.2 of load above
    /// [`LOAD_SOFT_LIMIT`]. A load that is not a number adds nothing.
    pub fn of(rtt: Duration, load: f32) -> Self {
        let over = (load - LOAD_SOFT_LIMIT).max(0.0);
        let penalty = PENALTY.mul_f32((over / (LOAD_HARD_LIMIT - LOAD_SOFT_LIMIT)).min(PENALTIES_MAX));
        Self(u32::try_from(rtt.saturating_add(penalty).as_micros()).unwrap_or(u32::MAX))
    }

    /// Whether going here rather than there is worth a change: 10 ms and 15 % cheaper.
    pub(super) fn is_clearly_below(self, other: Self) -> bool {
        let (here, there) = (u64::from(self.0), u64::from(other.0));
        here + GAIN_MIN_MICROS <= there && here * 100 <= there * (100 - GAIN_MIN_PERCENT)
    }
}

/// The round-trip time between two places before anything was measured: the great-circle distance there and back at two
/// thirds of the speed of light, which is what glass does to it.
pub fn rtt_by_distance(a: Coordinates, b: Coordinates) -> Duration {
    let seconds = 2.0 * a.distance(b).0 / (LIGHT_KM_PER_S * 2.0 / 3.0);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// From this load on, a region costs more than the way to it.
pub const LOAD_SOFT_LIMIT: f32 = 0.75;

/// From this load on, a region loses to any below the soft limit.
pub const LOAD_HARD_LIMIT: f32 = 0.95;

const PENALTY: Duration = Duration::from_millis(50);
const PENALTIES_MAX: f32 = 1_000.0;
const GAIN_MIN_MICROS: u64 = 10_000;
const GAIN_MIN_PERCENT: u64 = 15;
const LIGHT_KM_PER_S: f64 = 299_792.458;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn below_the_soft_limit_only_the_way_counts() {
        assert_eq!(Cost::of(ms(20), 0.0), Cost(20_000));
        assert_eq!(Cost::of(ms(20), 0.75), Cost(20_000));
    }

    #[test]
    fn a_region_at_the_hard_limit_is_fifty_milliseconds_further() {
        assert!(Cost::of(ms(20), 0.95).0.abs_diff(70_000) <= 1);
        assert!(Cost::of(ms(0), 0.85).0.abs_diff(25_000) <= 1);
        assert!(Cost::of(ms(0), 1.15).0.abs_diff(100_000) <= 1);
    }

    #[test]
    fn a_change_takes_ten_milliseconds_and_fifteen_percent() {
        assert!(Cost(0).is_clearly_below(Cost(10_000)));
        assert!(!Cost(0).is_clearly_below(Cost(9_999)));
        assert!(Cost(85_000).is_clearly_below(Cost(100_000)));
        assert!(!Cost(85_001).is_clearly_below(Cost(100_000)), "15 ms, but not 15 %");
        assert!(!Cost(41_000).is_clearly_below(Cost(50_000)), "18 %, but not 10 ms");
    }

    #[test]
    fn half_around_the_world_takes_two_hundred_milliseconds() {
        let (a, b) = (Coordinates::new(0.0, 0.0).unwrap(), Coordinates::new(0.0, 180.0).unwrap());
        // Half the circumference is 20,015 km: 2 x 20,015 km / 199,862 km/s.
        assert!(rtt_by_distance(a, b).abs_diff(Duration::from_micros(200_290)) < Duration::from_micros(100));
        assert_eq!(rtt_by_distance(a, a), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn more_load_never_costs_less(rtt in 0u64..10_000, load in 0f32..50.0, more in 0f32..50.0) {
            prop_assert!(Cost::of(ms(rtt), load) <= Cost::of(ms(rtt), load + more));
        }

        #[test]
        fn any_load_has_a_cost(rtt: u64, load: f32) {
            prop_assert!(Cost::of(Duration::from_micros(rtt), load) >= Cost::of(Duration::from_micros(rtt), 0.0));
        }

        #[test]
        fn no_two_regions_are_clearly_cheaper_than_each_other(a: u32, b: u32) {
            prop_assert!(!(Cost(a).is_clearly_below(Cost(b)) && Cost(b).is_clearly_below(Cost(a))));
        }
    }
}
