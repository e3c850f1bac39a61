//! When the end of a certificate is warned of.

use std::time::UNIX_EPOCH;

use super::*;

#[test]
fn the_end_of_a_certificate_is_told_from_thirty_days_before_and_once_a_day() {
    let end = UNIX_EPOCH + DAY * 1_000;
    let mut expiry = Expiry::default();
    let mut told = Vec::new();
    for hour in 0..24 * 40 {
        let now = end - DAY * 35 + Duration::from_hours(1) * hour;
        if expiry.due(end.duration_since(now).unwrap_or_default(), now).is_some() {
            told.push(hour);
        }
    }
    let expected: Vec<_> = (5 * 24..24 * 40).step_by(24).collect();
    assert_eq!(told, expected, "also when it has expired");
}

#[test]
fn a_clock_that_is_set_back_does_not_silence_the_warning() {
    let mut expiry = Expiry::default();
    let now = UNIX_EPOCH + DAY * 1_000;
    assert_eq!(expiry.due(DAY, now), Some(DAY));
    assert_eq!(expiry.due(DAY, now), None);
    assert_eq!(expiry.due(DAY, now - DAY * 100), Some(DAY));
}

#[test]
fn a_new_certificate_is_warned_of_anew() {
    let mut expiry = Expiry::default();
    let now = UNIX_EPOCH + DAY * 1_000;
    assert!(expiry.due(DAY, now).is_some());
    assert!(expiry.due(DAY * 90, now + DAY).is_none());
    assert!(expiry.due(DAY * 30, now + DAY * 61).is_some());
}
