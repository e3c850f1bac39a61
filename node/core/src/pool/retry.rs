//! May a request that failed at one backend be sent to another, and after which pause?

use std::time::Duration;

use super::draw::scale;
use crate::policy::RetryRule;

/// What became of a request at one backend, as far as others are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// No byte of it can have reached the backend.
    Unsent,
    /// It was sent, and the connection broke before an answer began.
    Broken,
    /// It was sent, and the answer began with this status.
    Answered(u16),
}

/// Whether a request may be sent to another backend. `repeatable` means that its method is idempotent and all of it is
/// still there. A backend that let its time pass is no reason: the client has waited long enough.
pub fn may_retry(rule: &RetryRule, retries: u32, attempt: Attempt, repeatable: bool) -> bool {
    let failed = match attempt {
        Attempt::Unsent => true,
        Attempt::Broken => repeatable,
        Attempt::Answered(status) => repeatable && is_unavailable(status),
    };
    failed && retries < rule.retries_max
}

/// The pause before the retry that follows `retries` others: anything up to the rule's, doubled each time, so that
/// clients that failed together do not come back together. `chance` is uniform over all values.
pub fn pause(rule: &RetryRule, retries: u32, chance: u32) -> Duration {
    let longest = rule.backoff.saturating_mul(1 << retries.min(4)).min(rule.backoff.saturating_mul(10));
    let micros = u32::try_from(longest.as_micros()).unwrap_or(u32::MAX);
    Duration::from_micros(scale(chance, micros).0.into())
}

/// Whether an answer of this status speaks against its backend.
pub fn is_failure(status: u16) -> bool {
    (500..600).contains(&status)
}

/// Whether an answer of this status says that another backend might do better.
fn is_unavailable(status: u16) -> bool {
    matches!(status, 502..=504)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: RetryRule = RetryRule { retries_max: 2, backoff: Duration::from_millis(25) };

    #[test]
    fn what_was_not_sent_may_always_be_sent_and_what_was_only_if_it_may_be_repeated() {
        let may = |attempt, repeatable| may_retry(&RULE, 0, attempt, repeatable);
        for repeatable in [true, false] {
            assert!(may(Attempt::Unsent, repeatable));
            assert_eq!(may(Attempt::Broken, repeatable), repeatable);
            assert_eq!(may(Attempt::Answered(503), repeatable), repeatable);
            assert!(!may(Attempt::Answered(200), repeatable));
            assert!(!may(Attempt::Answered(500), repeatable));
        }
        assert!(!may_retry(&RULE, 2, Attempt::Unsent, true));
    }

    #[test]
    fn pauses_grow_to_ten_times_the_first() {
        let longest = |retries| pause(&RULE, retries, u32::MAX).as_millis();
        assert_eq!([0, 1, 2, 3, 4, 50].map(longest), [24, 49, 99, 199, 249, 249]);
    }

    #[test]
    fn an_error_of_the_client_does_not_speak_against_the_backend() {
        assert!(is_failure(500) && is_failure(503) && is_failure(599));
        assert!(!is_failure(200) && !is_failure(404) && !is_failure(429));
    }

    proptest! {
        #[test]
        fn pauses_are_anything_up_to_the_longest(chance: u32, retries in 0u32..10) {
            prop_assert!(pause(&RULE, retries, chance) < Duration::from_millis(250));
            prop_assert_eq!(pause(&RULE, retries, 0), Duration::ZERO);
        }
    }
}
