//! Suspicion: soon enough after a death, and of nobody who lives.

use proptest::prelude::*;

use super::*;
use crate::decide::testing::tenant_id;

fn report() -> Report {
    Report {
        load: 0.25,
        draining: false,
        fleet_version: 1,
        policy_digest: [0; 32],
        exceptions: Exceptions::default(),
    }
}

fn at(micros: u64) -> Moment {
    Moment::from_micros(micros)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A probed peer on a link: what it receives until `dies_at` it answers.
struct Link {
    peer: Peer,
    now: Moment,
    next_probe: Moment,
    seq: u64,
    /// When which answer arrives.
    answers: Vec<(Moment, u64)>,
    dies_at: Option<Moment>,
}

impl Link {
    fn new(first_probe: Moment, rtt_guess: Duration) -> Self {
        let mut peer = Peer::new(rtt_guess);
        peer.connected(Moment::default());
        Self {
            peer,
            now: Moment::default(),
            next_probe: first_probe,
            seq: 0,
            answers: Vec::new(),
            dies_at: None,
        }
    }

    /// Runs until `end` or until the peer is suspect. `rtt` gives each probe's round trip, `None` if it is lost.
    fn run(&mut self, end: Moment, mut rtt: impl FnMut(u64) -> Option<Duration>) -> Option<Moment> {
        while self.now < end {
            let answer = self.answers.iter().map(|(at, _)| *at).min();
            let next =
                [Some(self.next_probe), answer, self.peer.poll_timeout(), Some(end)].into_iter().flatten();
            self.now = next.min().unwrap().max(self.now);
            self.deliver();
            if self.now >= self.next_probe {
                self.probe(rtt(self.seq));
            }
            self.peer.handle_timeout(self.now, Duration::ZERO);
            if self.peer.condition() == Condition::Suspect {
                return Some(self.now);
            }
        }
        None
    }

    fn deliver(&mut self) {
        let now = self.now;
        let (arrived, later) = self.answers.iter().partition(|(at, _)| *at <= now);
        self.answers = later;
        let arrived: Vec<(Moment, u64)> = arrived;
        for (_, seq) in arrived {
            self.peer.probe_answered(seq, report(), now);
        }
    }

    fn probe(&mut self, rtt: Option<Duration>) {
        self.seq += 1;
        self.peer.probe_sent(self.seq, self.now);
        self.next_probe = self.now + PROBE_INTERVAL;
        if let Some(rtt) = rtt.filter(|rtt| self.dies_at.is_none_or(|death| self.now + *rtt / 2 < death)) {
            self.answers.push((self.now + rtt, self.seq));
        }
    }
}

#[test]
fn patience_is_three_round_trips_within_the_promise() {
    // max(150, 3 x RTT), and at most max(250, 3 x RTT) + RTT / 2 - 110, in milliseconds.
    for (rtt, expected) in
        [(0, 140), (20, 150), (50, 150), (60, 170), (80, 180), (100, 240), (200, 590), (300, 900)]
    {
        assert_eq!(patience(ms(rtt)), ms(expected), "for {rtt} ms");
    }
}

proptest! {
    #[test]
    fn a_killed_peer_is_suspect_in_time_at_any_phase_and_distance(
        rtt in 1_000u64..400_000, phase in 0u64..100_000, death in 2_000_000u64..2_500_000
    ) {
        let rtt = Duration::from_micros(rtt);
        let mut link = Link::new(at(phase), rtt);
        link.dies_at = Some(at(death));
        let suspected = link.run(at(9_000_000), |_| Some(rtt)).expect("a dead peer is suspected");
        let promised = at(death) + ms(250).max(rtt * 3);
        prop_assert!(suspected > at(death));
        // Moments count whole microseconds.
        prop_assert!(suspected + SLACK <= promised + Duration::from_micros(2), "{:?} after it died", suspected.since(at(death)));
    }

    #[test]
    fn a_living_peer_is_not_suspected_whatever_its_jitter_up_to_two_round_trips(
        rtt in 1_000u64..400_000, extra in proptest::collection::vec(0u64..1_000, 40)
    ) {
        let base = Duration::from_micros(rtt);
        let mut link = Link::new(at(0), base);
        link.run(at(0) + base, |_| Some(base));
        let jitter = |seq: u64| base + base.mul_f64(extra[seq as usize % 40] as f64 / 1_001.0);
        prop_assert_eq!(link.run(at(20_000_000), |seq| Some(jitter(seq))), None);
    }

    #[test]
    fn patience_rises_with_distance_and_is_never_less_than_two_round_trips(rtt in 0u64..2_000_000, more in 0u64..100_000) {
        let (near, far) = (Duration::from_micros(rtt), Duration::from_micros(rtt + more));
        prop_assert!(patience(near) <= patience(far));
        prop_assert!(patience(near) >= near * 2);
    }

    #[test]
    fn nothing_a_peer_does_or_leaves_breaks_the_machine(
        inputs in proptest::collection::vec((0u8..6, 0u64..50, 0u64..300), 0..300)
    ) {
        let (mut peer, mut now) = (Peer::new(ms(10)), at(0));
        for (input, number, wait) in inputs {
            now = now + ms(wait);
            match input {
                0 => peer.connected(now),
                1 => peer.disconnected(),
                2 => peer.probe_sent(number, now),
                3 => peer.probe_answered(number, report(), now),
                4 => peer.unanswered(now - ms(number), now),
                _ => peer.handle_timeout(now, ms(number)),
            }
            prop_assert!(peer.condition() != Condition::Suspect || peer.poll_timeout().is_none());
            peer.handle_timeout(now, Duration::ZERO);
            prop_assert!(peer.poll_timeout().is_none_or(|deadline| deadline > now), "a timeout that was handled is gone");
        }
    }
}

#[test]
fn one_lost_probe_accuses_nobody_when_the_next_is_answered() {
    let mut link = Link::new(at(0), ms(20));
    assert_eq!(link.run(at(10_000_000), |seq| (seq % 10 != 5).then_some(ms(20))), None);
}

#[test]
fn a_suspect_is_trusted_when_something_sent_later_is_answered() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    peer.probe_sent(1, at(1_000));
    peer.probe_sent(2, at(101_000));
    peer.handle_timeout(at(151_000), Duration::ZERO);
    assert_eq!(peer.condition(), Condition::Suspect);
    assert_eq!(peer.unanswered_since(), Some(at(1_000)));
    peer.probe_answered(2, report(), at(160_000));
    assert_eq!(peer.condition(), Condition::Usable);
}

#[test]
fn a_late_answer_alone_does_not_clear_what_was_sent_after_it() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    peer.probe_sent(1, at(0));
    peer.probe_sent(2, at(1_000));
    peer.handle_timeout(at(200_000), Duration::ZERO);
    peer.probe_answered(1, report(), at(200_000));
    // That answer showed a round trip of 200 ms, so the second probe has more time; when it is over, suspicion is back.
    let deadline = peer.poll_timeout().unwrap();
    assert_eq!(deadline, at(1_000) + patience(ms(200)));
    peer.handle_timeout(deadline, Duration::ZERO);
    assert_eq!(peer.condition(), Condition::Suspect);
}

#[test]
fn a_request_left_unanswered_accuses_before_the_next_probe_does() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    peer.probe_sent(1, at(10_000));
    peer.probe_answered(1, report(), at(20_000));
    peer.probe_sent(2, at(110_000));
    peer.unanswered(at(30_000), at(180_000));
    assert_eq!(peer.condition(), Condition::Suspect);
}

#[test]
fn a_request_sent_before_an_answered_probe_accuses_nobody() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    peer.probe_sent(1, at(10_000));
    peer.probe_answered(1, report(), at(20_000));
    peer.unanswered(at(9_000), at(300_000));
    assert_eq!(peer.condition(), Condition::Usable);
}

#[test]
fn a_node_that_lags_doubts_itself_first_but_not_forever() {
    let mut peer = Peer::new(Duration::ZERO);
    peer.connected(at(0));
    peer.probe_sent(1, at(1));
    let deadline = peer.poll_timeout().unwrap();
    let late = deadline + ms(300);
    peer.handle_timeout(late, ms(300));
    assert_eq!(peer.condition(), Condition::Usable, "the answer may be waiting to be read");
    peer.handle_timeout(late + CATCHING_UP, Duration::ZERO);
    assert_eq!(peer.condition(), Condition::Suspect, "it was not");

    let mut peer = Peer::new(Duration::ZERO);
    peer.connected(at(0));
    peer.probe_sent(1, at(1));
    peer.handle_timeout(at(2), Duration::from_hours(24));
    assert!(peer.poll_timeout().unwrap() <= at(1) + ms(1_200));
}

#[test]
fn lag_does_not_acquit_a_suspect() {
    let mut peer = Peer::new(Duration::ZERO);
    peer.connected(at(0));
    peer.probe_sent(1, at(1));
    peer.handle_timeout(at(200_000), Duration::ZERO);
    peer.handle_timeout(at(201_000), ms(500));
    assert_eq!(peer.condition(), Condition::Suspect);
}

#[test]
fn conditions_follow_connection_and_reports() {
    let mut peer = Peer::new(ms(10));
    assert_eq!(peer.condition(), Condition::Unreachable);
    assert_eq!(peer.poll_timeout(), None);
    peer.connected(at(0));
    assert_eq!(peer.condition(), Condition::Usable);
    peer.probe_sent(1, at(0));
    peer.probe_answered(1, Report { draining: true, load: f32::NAN, ..report() }, at(7_000));
    assert_eq!(peer.condition(), Condition::Draining);
    assert_eq!((peer.load(), peer.rtt()), (Some(1.0), Some(ms(7))));
    peer.disconnected();
    assert_eq!(peer.condition(), Condition::Unreachable);
    peer.connected(at(10_000));
    assert_eq!(
        (peer.condition(), peer.load()),
        (Condition::Usable, None),
        "a new life, nothing reported yet"
    );
    assert_eq!(peer.rtt(), Some(ms(7)), "the way is as long as before");
}

#[test]
fn exceptions_are_kept_until_a_report_differs() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    let excepting = || Report { exceptions: Exceptions::new([tenant_id("b"), tenant_id("a")]), ..report() };
    peer.probe_sent(1, at(0));
    peer.probe_answered(1, excepting(), at(1));
    let before = Arc::clone(peer.exceptions());
    assert!(before.listed().contains(&tenant_id("a")));
    peer.probe_sent(2, at(2));
    peer.probe_answered(2, excepting(), at(3));
    assert!(Arc::ptr_eq(&before, peer.exceptions()));
    peer.probe_sent(3, at(4));
    peer.probe_answered(3, report(), at(5));
    assert!(peer.exceptions().listed().tenants.is_empty());
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    peer.probe_answered(7, Report { draining: true, ..report() }, at(1));
    assert_eq!((peer.condition(), peer.rtt()), (Condition::Usable, None));
}
