//! When is a backend that fails requests out, and when does it come back?

use std::time::Duration;

use crate::Moment;
use crate::policy::EjectionRule;

/// One backend of one pool, as the outcomes of its requests show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ejection {
    /// When it comes back; `None` while it is in.
    until: Option<Moment>,
    /// How long it was out last.
    last: Duration,
    /// When it came back last.
    back: Moment,
}

impl Ejection {
    /// A full row of failures: it is out now. The first time for as long as the rule says, then for twice as long as
    /// the last, unless it has been in since then for as long as it was out.
    pub(super) fn eject(&mut self, rule: &EjectionRule, now: Moment) {
        let again = !self.last.is_zero() && now.since(self.back) < self.last;
        let out = if again { self.last.saturating_mul(2) } else { rule.base };
        self.last = out.min(rule.max);
        self.until = Some(now + self.last);
    }

    /// Whether it is out.
    pub(super) fn is_out(&self) -> bool {
        self.until.is_some()
    }

    /// When it comes back, if it is out.
    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        self.until
    }

    /// Time has passed: whether it has come back with that.
    pub(super) fn handle_timeout(&mut self, now: Moment) -> bool {
        let over = self.until.is_some_and(|until| until <= now);
        if over {
            (self.until, self.back) = (None, now);
        }
        over
    }
}

/// Whether one more of so many backends may be out: never more than half of them.
pub(super) fn may_eject(members: usize, out: usize) -> bool {
    out < members / 2
}

/// Whether too few backends are left to spare any: less than `panic_percent` of them, or none.
pub(super) fn is_panic(members: usize, left: usize, panic_percent: u32) -> bool {
    left == 0 || left * 100 < members * panic_percent as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Moment = Moment::from_millis(5_000);

    fn out_for(ejection: &Ejection, now: Moment) -> u64 {
        ejection.poll_timeout().unwrap().since(now).as_secs()
    }

    #[test]
    fn each_time_that_follows_soon_is_twice_as_long_up_to_the_maximum() {
        let (mut ejection, mut now, mut out) = (Ejection::default(), START, Vec::new());
        for _ in 0..6 {
            ejection.eject(&EjectionRule::default(), now);
            out.push(out_for(&ejection, now));
            now = ejection.poll_timeout().unwrap();
            assert!(ejection.handle_timeout(now));
            now = now + Duration::from_secs(1);
        }
        assert_eq!(out, [30, 60, 120, 240, 300, 300]);
    }

    #[test]
    fn a_backend_that_was_well_for_as_long_as_it_was_out_begins_anew() {
        let mut ejection = Ejection::default();
        ejection.eject(&EjectionRule::default(), START);
        let back = START + Duration::from_secs(30);
        assert!(!ejection.handle_timeout(back - Duration::from_millis(1)));
        assert!(ejection.handle_timeout(back));
        assert!(!ejection.handle_timeout(back));
        ejection.eject(&EjectionRule::default(), back + Duration::from_secs(30));
        assert_eq!(out_for(&ejection, back + Duration::from_secs(30)), 30);
    }

    #[test]
    fn a_pool_of_one_is_never_emptied_and_half_of_others_stays() {
        let out = |members: usize| (0..=members).find(|out| !may_eject(members, *out)).unwrap();
        assert_eq!([1, 2, 3, 4, 5, 100].map(out), [0, 1, 1, 2, 2, 50]);
    }

    #[test]
    fn panic_begins_below_its_share() {
        assert!(!is_panic(4, 2, 50));
        assert!(is_panic(4, 1, 50));
        assert!(!is_panic(4, 1, 0));
        assert!(is_panic(4, 0, 0));
    }

    proptest! {
        #[test]
        fn nobody_is_out_for_longer_than_the_maximum(pauses in prop::collection::vec(0u64..900, 1..30)) {
            let (rule, mut ejection, mut now) = (EjectionRule::default(), Ejection::default(), START);
            for pause in pauses {
                ejection.eject(&rule, now);
                let until = ejection.poll_timeout().unwrap();
                prop_assert!(until.since(now) >= rule.base && until.since(now) <= rule.max);
                ejection.handle_timeout(until);
                now = until + Duration::from_secs(pause);
            }
        }
    }
}
