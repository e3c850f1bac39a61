//! What part of its share does a backend get that has just come, or come back?

use std::time::Duration;

use super::draw::scale;
use crate::Moment;

/// The part of its share in thousandths: a tenth at first, all of it after `window`, evenly between.
fn share(since: Moment, window: Duration, now: Moment) -> u32 {
    let passed = now.since(since).as_micros();
    let window = window.as_micros();
    if passed >= window {
        return WHOLE;
    }
    FIRST + (u128::from(WHOLE - FIRST) * passed / window) as u32
}

/// Whether a backend that has been there since then and was drawn takes the request, as `chance` wants it.
pub(super) fn takes(since: Moment, window: Duration, now: Moment, chance: u32) -> bool {
    scale(chance, WHOLE).0 < share(since, window, now)
}

const WHOLE: u32 = 1_000;
const FIRST: u32 = 100;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Moment = Moment::from_millis(5_000);
    const WINDOW: Duration = Duration::from_secs(30);

    #[test]
    fn a_tenth_at_first_all_at_the_end() {
        assert_eq!(share(START, WINDOW, START), 100);
        assert_eq!(share(START, WINDOW, START + WINDOW / 2), 550);
        assert_eq!(share(START, WINDOW, START + WINDOW), 1_000);
        assert_eq!(share(START, Duration::ZERO, START), 1_000);
    }

    proptest! {
        #[test]
        fn the_share_only_grows_and_is_what_is_taken(at in 0u64..40_000, later in 0u64..10_000, chance: u32) {
            let (now, then) = (START + Duration::from_millis(at), START + Duration::from_millis(at + later));
            prop_assert!(share(START, WINDOW, now) <= share(START, WINDOW, then));
            if takes(START, WINDOW, now, chance) {
                prop_assert!(takes(START, WINDOW, then, chance));
            }
            let draws = 10_000u32;
            let taken = (0..draws).filter(|at| takes(START, WINDOW, now, at * (u32::MAX / draws))).count() as u32;
            prop_assert!(taken.abs_diff(share(START, WINDOW, now) * 10) <= 10);
        }
    }
}
