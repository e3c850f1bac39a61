//! How often a peer is probed, and how long it may be silent or leave something unanswered.

use std::time::Duration;

/// How often to probe a peer with this lowest round-trip time: a little less often than every round trip, so that an answer
/// comes before the next probe, which confirms it; between [`PROBE_INTERVAL_MIN`] and [`PROBE_INTERVAL_MAX`].
///
/// What a probe tells takes half a round trip to arrive, so that telling it far more often makes hardly any difference.
/// However far a peer is, one probe may be lost before silence makes it suspect: where that is less than two intervals,
/// and some jitter, at 50 to 100 ms, it is probed a little more often.
pub fn probe_interval(rtt: Duration) -> Duration {
    let wanted = (rtt.saturating_mul(11) / 10).clamp(PROBE_INTERVAL_MIN, PROBE_INTERVAL_MAX);
    wanted.min(silence(rtt).saturating_sub(3 * SLACK) / 2)
}

/// How long a peer with this lowest round-trip time may leave a request unanswered.
pub fn patience(rtt: Duration) -> Duration {
    rtt.saturating_mul(3).max(PATIENCE_MIN)
}

/// How long nothing may be heard of a peer that lives: so that a dead one is given no more requests max(250 ms, 3 x RTT)
/// after its death. What it said last arrives half a round trip after it died:
///
/// ```text
/// RTT / 2 + silence + slack = max(250 ms, 3 x RTT)
/// ```
///
/// The slack is for timers and for publishing what follows.
pub(super) fn silence(rtt: Duration) -> Duration {
    promised(rtt).saturating_sub(rtt / 2 + SLACK)
}

/// How long a peer that is heard may leave a probe unanswered: it may be this node that is not heard. Whoever answers
/// late answers with its own next probe.
pub(super) fn answer_patience(rtt: Duration) -> Duration {
    promised(rtt).saturating_add(probe_interval(rtt))
}

/// When requests to a dead peer end.
fn promised(rtt: Duration) -> Duration {
    rtt.saturating_mul(3).max(SILENCE_MAX)
}

/// How often the nearest peers are probed.
pub const PROBE_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// How often the farthest peers are probed.
pub const PROBE_INTERVAL_MAX: Duration = Duration::from_millis(250);
const PATIENCE_MIN: Duration = Duration::from_millis(150);
const SILENCE_MAX: Duration = Duration::from_millis(250);
pub(super) const SLACK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn limits_follow_the_round_trip() {
        // RTT; interval; patience max(150, 3 x RTT); silence max(250, 3 x RTT) - RTT / 2 - 10; in milliseconds.
        for (rtt, interval, requests, silent) in [
            (0, 100, 150, 240),
            (20, 100, 150, 230),
            (40, 95, 150, 220),
            (80, 85, 240, 200),
            (100, 105, 300, 240),
            (200, 220, 600, 490),
            (300, 250, 900, 740),
        ] {
            let rtt = ms(rtt);
            let limits = (probe_interval(rtt), patience(rtt), silence(rtt));
            assert_eq!(limits, (ms(interval), ms(requests), ms(silent)), "for {rtt:?}");
        }
    }

    proptest! {
        #[test]
        fn of_a_living_peer_one_probe_may_be_lost_however_far_it_is(rtt in 0u64..2_000_000) {
            let rtt = Duration::from_micros(rtt);
            prop_assert!(silence(rtt) >= 2 * probe_interval(rtt) + 3 * SLACK, "{:?}", silence(rtt));
            prop_assert!(probe_interval(rtt) >= Duration::from_millis(80));
            prop_assert!(answer_patience(rtt) >= rtt + 2 * probe_interval(rtt));
        }
    }
}
