//! Who is cut off, as a decision.

use super::*;

const STREAM: u64 = STREAM_WINDOW_BYTES as u64;
const WINDOW: u64 = 8 * STREAM;

const NOBODY: [usize; 0] = [];

fn behind(sweeps: u32, taken: u64) -> Standing {
    Standing { sweeps, taken, left: u64::MAX }
}

#[test]
fn nobody_is_cut_off_while_there_is_room() {
    assert_eq!(slowest(&[], WINDOW), NOBODY);
    assert_eq!(slowest(&[behind(1_000, 0); 6], WINDOW), NOBODY);
    assert_eq!(slowest(&[behind(SWEEPS_BEHIND_MAX - 1, 0); 7], WINDOW), NOBODY, "they may catch up");
    assert_eq!(slowest(&[behind(0, 0); 100], WINDOW), NOBODY, "they keep up");
}

#[test]
fn who_takes_least_is_cut_off_first_and_then_who_has_been_behind_for_longest() {
    let standings = [
        behind(10, 1_000_000),
        behind(20, 0),
        behind(9, 0),
        behind(10, 10_000),
        behind(40, 3_000_000),
        behind(10, 1_000_001),
        behind(10, 2_000_000),
        behind(10, 2_000_000),
        behind(10, 2_000_000),
    ];
    assert_eq!(slowest(&standings, WINDOW), [1, 2, 3]);
}

#[test]
fn young_ones_are_cut_off_only_where_room_is_short_at_once() {
    let young = behind(1, 0);
    assert_eq!(slowest(&[young; 7], WINDOW), NOBODY);
    assert_eq!(slowest(&[young; 9], WINDOW), [0, 1]);
    let old = behind(SWEEPS_BEHIND_MAX, 1_000_000);
    assert_eq!(slowest(&[young, young, old, old, old, old, old, old, old], WINDOW), [2, 0]);
}

#[test]
fn what_waits_counts_and_not_how_many_wait_for_it() {
    let small = Standing { left: STREAM / 16, ..behind(100, 0) };
    assert_eq!(slowest(&[small; 96], WINDOW), NOBODY);
    assert_eq!(slowest(&[small; 97], WINDOW), [0]);
    let done = Standing { left: 0, ..behind(100, 0) };
    assert_eq!(slowest(&[done; 100], WINDOW), NOBODY);
}

#[test]
fn bodies_that_are_not_watched_fit_into_what_is_left() {
    let all = UNWATCHED_BYTES_MAX * u64::from(REQUEST_STREAMS_MAX);
    assert!(all <= u64::from(CONNECTION_WINDOW_BYTES) / 8);
    assert!(!Backlog::is_for(BodyLength::Known(UNWATCHED_BYTES_MAX)));
    assert!(Backlog::is_for(BodyLength::Known(UNWATCHED_BYTES_MAX + 1)));
    assert!(Backlog::is_for(BodyLength::Unknown));
}
