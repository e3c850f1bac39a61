//! What an expectation is made of, and what it makes of a backend that turns slow and of one that recovers.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::policy::Pool;
use crate::pool::testing::{address, member};
use crate::pool::{Ask, Loads, PoolState};

const START: Moment = Moment::from_millis(5_000);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn bad_news_is_believed_at_once_and_forgotten_within_ten_seconds() {
    let mut ewma = PeakEwma::default();
    assert_eq!(ewma.expected(START), None);
    ewma.answered(millis(2), START);
    ewma.answered(millis(1_500), START);
    assert_eq!(ewma.expected(START), Some(1_500_000.0));
    for second in 1..=10 {
        let now = START + Duration::from_secs(second);
        let expected = 2_000.0 + 1_498_000.0 * (1.0 - second as f32 / 10.0);
        ewma.answered(millis(2), now);
        assert!((ewma.expected(now).unwrap() / expected - 1.0).abs() < 0.001, "after {second} s");
    }
}

#[test]
fn without_answers_for_ten_seconds_nothing_is_known() {
    let mut ewma = PeakEwma::default();
    ewma.answered(millis(1_500), START);
    let over = START + Duration::from_secs(10);
    assert_eq!(ewma.expected(over - millis(1)), Some(1_500_000.0));
    assert_eq!(ewma.expected(over), None);
    ewma.answered(millis(2), over);
    assert_eq!(ewma.expected(over), Some(2_000.0));
}

#[test]
fn what_is_unknown_is_asked_once_a_second_until_it_answers() {
    let mut ewma = PeakEwma::default();
    ewma.asked(START);
    assert_eq!(ewma.expected(START + millis(999)), Some(1_000_000.0));
    ewma.asked(START + millis(999));
    assert_eq!(ewma.expected(START + millis(1_000)), None);
    ewma.answered(millis(3), START + millis(1_200));
    assert_eq!(ewma.expected(START + millis(1_200)), Some(3_000.0));
}

#[test]
fn failing_fast_is_not_being_fast() {
    let mut ewma = PeakEwma::default();
    ewma.failed(millis(1), START);
    assert_eq!(ewma.expected(START), Some(1_000_000.0));
}

#[test]
fn the_unknown_is_tried_and_of_two_the_less_busy() {
    assert!(first_is_better((None, 1), (Some(1.0), 0)));
    assert!(!first_is_better((Some(1.0), 0), (None, 1)));
    assert!(first_is_better((None, 1), (None, 1)));
    assert!(!first_is_better((None, 2), (None, 1)));
    assert!(first_is_better((Some(1_000.0), 0), (Some(300.0), 4)));
    assert!(!first_is_better((Some(1_000.0), 0), (Some(300.0), 1)));
}

/// Three backends, the last of which turns slow; 120 requests a second for one worker.
struct Rehearsal {
    state: PoolState,
    backends: [PeakEwma; 3],
    /// When each request under way ends, at which backend, and how long it took.
    under_way: Vec<(Moment, usize, Duration)>,
    chance: u32,
    now: Moment,
}

impl Loads for Rehearsal {
    fn requests(&self, member: usize) -> u32 {
        self.under_way.iter().filter(|(_, at, _)| *at == member).count() as u32
    }

    fn all_requests(&self) -> u32 {
        self.under_way.len() as u32
    }

    fn expected_micros(&self, member: usize, now: Moment) -> Option<f32> {
        self.backends[member].expected(now)
    }
}

impl Rehearsal {
    const PAUSE: Duration = Duration::from_micros(8_333);

    fn new(chance: u32) -> Self {
        let members = (0..3).map(|at| member(at.into(), address(at))).collect();
        let state = PoolState::new(&Pool::of([]), members, false, Arc::default(), START);
        Self { state, backends: Default::default(), under_way: Vec::new(), chance, now: START }
    }

    /// How many requests each backend gets in so many seconds, in which the last takes `latency` and others 0.2 ms.
    fn run(&mut self, seconds: u32, latency: Duration) -> [u32; 3] {
        let mut got = [0; 3];
        for _ in 0..seconds * 120 {
            self.now = self.now + Self::PAUSE;
            self.end_what_is_over();
            self.chance = self.chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let ask = Ask { tried: &[], key: None, turn: 0, chance: self.chance, now: self.now };
            let chosen = self.state.choose(&ask, self).unwrap();
            self.backends[chosen].asked(self.now);
            let took = if chosen == 2 { latency } else { Duration::from_micros(200) };
            self.under_way.push((self.now + took, chosen, took));
            got[chosen] += 1;
        }
        got
    }

    fn end_what_is_over(&mut self) {
        let (over, rest) = self.under_way.iter().partition(|(end, ..)| *end <= self.now);
        self.under_way = rest;
        let mut over: Vec<_> = over;
        over.sort_unstable();
        for (end, at, took) in over {
            self.backends[at].answered(took, end);
        }
    }
}

proptest! {
    #[test]
    fn a_backend_that_has_recovered_has_its_share_again_after_ten_seconds(chance: u32) {
        let fast = Duration::from_micros(200);
        let mut rehearsal = Rehearsal::new(chance);
        let before = rehearsal.run(10, fast);
        prop_assert!(before.iter().all(|got| (320..=480).contains(got)), "{:?}", before);
        // Some requests of a second find out that it is slow. They are over 1.5 s later, and forgotten 10 s after that.
        rehearsal.run(1, millis(1_500));
        rehearsal.run(12, fast);
        let after = rehearsal.run(10, fast);
        prop_assert!(after.iter().all(|got| (320..=480).contains(got)), "{:?}", after);
    }

    /// Each 11.5 s it is tried, and once more before the first trial's answer has come after 1.5 s.
    #[test]
    fn a_backend_that_stays_slow_is_only_tried(chance: u32) {
        let mut rehearsal = Rehearsal::new(chance);
        rehearsal.run(10, Duration::from_micros(200));
        rehearsal.run(4, millis(1_500));
        let [one, other, slow] = rehearsal.run(60, millis(1_500));
        prop_assert!((4..=12).contains(&slow), "{}", slow);
        prop_assert_eq!(one + other + slow, 7_200);
    }

    #[test]
    fn an_expectation_is_never_above_the_slowest_answer_nor_below_the_last(
        answers in prop::collection::vec((0u64..10_000, 0u64..60_000), 1..50),
    ) {
        let (mut ewma, mut now) = (PeakEwma::default(), START);
        let slowest = answers.iter().map(|(latency, _)| *latency).max().unwrap();
        for (latency, pause) in answers {
            now = now + millis(pause);
            ewma.answered(millis(latency), now);
            let expected = ewma.expected(now).unwrap();
            prop_assert!(expected >= millis(latency).as_micros() as f32 * 0.999);
            prop_assert!(expected <= (millis(slowest).as_micros().max(1)) as f32 * 1.001);
        }
        prop_assert!(ewma.expected(now + millis(1)) <= ewma.expected(now));
    }
}
