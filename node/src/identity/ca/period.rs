//! From when until when is a certificate valid?

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, date_time_ymd};

use crate::identity::IdentityError;

/// Two dates, whole seconds from 1970 to 9999, as certificates have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    begin: Duration,
    end: Duration,
}

impl Period {
    /// From an hour before `now`, so that clocks may differ, to `days` after it.
    pub(super) fn new(days: u32, now: SystemTime) -> Result<Self, IdentityError> {
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(IdentityError::Order(format!("{days} days: expected 1 to {DAYS_MAX}")));
        }
        let now = since_epoch(now);
        let end = now + Duration::from_secs(u64::from(days) * SECONDS_PER_DAY);
        if end > SECOND_MAX {
            return Err(IdentityError::Order("the clock of this machine is wrong by millennia".to_owned()));
        }
        Ok(Self { begin: now.saturating_sub(CLOCK_SKEW_MAX), end })
    }

    /// From `begin` to `end`, as an existing certificate says.
    pub(super) fn of(begin: SystemTime, end: SystemTime) -> Self {
        Self { begin: since_epoch(begin), end: since_epoch(end) }
    }

    /// What of this lies within `outer`.
    pub(super) fn within(self, outer: &Self) -> Self {
        Self { begin: self.begin.max(outer.begin), end: self.end.min(outer.end) }
    }

    /// The last moment.
    pub(super) fn end(&self) -> SystemTime {
        UNIX_EPOCH + self.end
    }

    pub(super) fn write(&self, params: &mut CertificateParams) {
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + self.begin;
        params.not_after = epoch + self.end;
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(since.as_secs()).min(SECOND_MAX)
}

/// A century; more is a typing error.
const DAYS_MAX: u32 = 36_500;
const SECONDS_PER_DAY: u64 = 86_400;
/// How far a node's clock may lag behind that of the authority's machine.
const CLOCK_SKEW_MAX: Duration = Duration::from_hours(1);
/// The end of the year 9999: no certificate can name a later moment.
const SECOND_MAX: Duration = Duration::from_secs(253_402_300_799);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_period_begins_an_hour_early_and_never_before_1970() {
        let period = Period::new(2, at(10_000)).unwrap();
        assert_eq!(period, Period::of(at(6_400), at(182_800)));
        assert_eq!(Period::new(1, at(10)).unwrap(), Period::of(at(0), at(86_410)));
    }

    #[test]
    fn days_have_limits() {
        assert!(Period::new(0, at(0)).is_err());
        assert!(Period::new(DAYS_MAX, at(0)).is_ok());
        assert!(Period::new(DAYS_MAX + 1, at(0)).is_err());
    }

    #[test]
    fn a_clock_in_the_far_future_is_an_error_and_no_panic() {
        assert!(Period::new(1, at(253_402_300_799)).is_err());
        assert!(Period::new(DAYS_MAX, at(u64::from(u32::MAX) * 1_000)).is_err());
    }

    #[test]
    fn the_inner_period_keeps_within_the_outer() {
        let outer = Period::of(at(100), at(200));
        assert_eq!(Period::of(at(50), at(150)).within(&outer), Period::of(at(100), at(150)));
        assert_eq!(Period::of(at(150), at(900)).within(&outer), Period::of(at(150), at(200)));
    }
}
