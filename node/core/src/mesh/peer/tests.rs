//! Suspicion: soon enough after a death, and of nobody who lives.

use proptest::prelude::*;

use super::super::patience::SLACK;
use super::*;
use crate::decide::testing::tenant_id;

fn report() -> Report {
    Report {
        load: 0.25,
        draining: false,
        fleet_version: 1,
        policy_digest: [0; 32],
        exceptions: ExceptionsDigest::NONE,
    }
}

fn at(micros: u64) -> Moment {
    Moment::from_micros(micros)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What a peer says at once when it hears probe `heard`.
fn answer(heard: u64) -> Probe {
    Probe { seq: heard, heard, at_once: true, wanted: false, deaf: false, report: report() }
}

/// What a peer says of itself.
fn says(heard: u64, report: Report) -> Probe {
    Probe { report, ..answer(heard) }
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
            self.peer.heard(&answer(seq), now);
        }
    }

    fn probe(&mut self, rtt: Option<Duration>) {
        self.seq += 1;
        self.peer.probe_sent(self.seq, self.now);
        self.next_probe = self.now + self.peer.probe_interval();
        if let Some(rtt) = rtt.filter(|rtt| self.dies_at.is_none_or(|death| self.now + *rtt / 2 < death)) {
            self.answers.push((self.now + rtt, self.seq));
        }
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
    fn a_living_peer_is_not_suspected_whatever_its_jitter_within_what_silence_leaves(
        rtt in 1_000u64..400_000, extra in proptest::collection::vec(0u64..1_000, 40)
    ) {
        let base = Duration::from_micros(rtt);
        let mut link = Link::new(at(0), base);
        link.run(at(0) + base, |_| Some(base));
        let left = silence(base).saturating_sub(probe_interval(base));
        let jitter = |seq: u64| base + left.mul_f64(extra[seq as usize % 40] as f64 / 1_001.0);
        prop_assert_eq!(link.run(at(20_000_000), |seq| Some(jitter(seq))), None);
    }

    #[test]
    fn nothing_a_peer_does_or_leaves_breaks_the_machine(
        inputs in proptest::collection::vec((0u8..7, 0u64..50, 0u64..300), 0..300)
    ) {
        let (mut peer, mut now) = (Peer::new(ms(10)), at(0));
        for (input, number, wait) in inputs {
            now = now + ms(wait);
            match input {
                0 => peer.connected(now),
                1 => peer.disconnected(),
                2 => peer.probe_sent(number, now),
                3 => peer.heard(&answer(number), now),
                4 => peer.unanswered(now - ms(number), now),
                5 => peer.set_exceptions(Exceptions::new([tenant_id(&format!("t{number}"))])),
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
    for rtt in [1, 20, 83, 150, 300] {
        let mut link = Link::new(at(0), ms(rtt));
        assert_eq!(link.run(at(10_000_000), |seq| (seq % 10 != 5).then_some(ms(rtt))), None, "{rtt} ms");
    }
}

#[test]
fn a_suspect_is_trusted_as_soon_as_it_is_heard_and_answers() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    peer.probe_sent(1, at(1_000));
    peer.probe_sent(2, at(101_000));
    peer.handle_timeout(at(0) + silence(ms(10)), Duration::ZERO);
    assert_eq!(peer.condition(), Condition::Suspect);
    assert_eq!(peer.unanswered_since(), Some(at(0)));
    peer.heard(&answer(2), at(260_000));
    assert_eq!(peer.condition(), Condition::Usable);
}

#[test]
fn a_peer_that_is_heard_and_hears_nothing_is_suspect() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    peer.probe_sent(1, at(1_000));
    let mut now = at(0);
    while peer.condition() == Condition::Usable {
        now = now + ms(50);
        assert!(now < at(1_000_000), "it answers nothing");
        peer.heard(&answer(0), now);
        peer.handle_timeout(now, Duration::ZERO);
    }
    // max(250 ms, 3 x RTT), and an interval for one that answers with its own next probe.
    assert_eq!(now, at(400_000));
    peer.heard(&answer(1), now);
    assert_eq!(peer.condition(), Condition::Usable);
}

#[test]
fn a_peer_that_says_that_it_hears_nothing_is_suspect_until_it_says_otherwise() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    peer.probe_sent(1, at(1_000));
    peer.heard(&Probe { deaf: true, ..answer(0) }, at(100_000));
    assert_eq!(peer.condition(), Condition::Suspect);
    peer.handle_timeout(at(200_000), Duration::ZERO);
    assert_eq!(peer.condition(), Condition::Suspect);
    peer.heard(&answer(1), at(200_000));
    assert_eq!(peer.condition(), Condition::Usable);
}

#[test]
fn a_node_that_paused_is_missed_and_accuses_nobody_for_saying_so() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    peer.probe_sent(1, at(1_000));
    peer.heard(&answer(1), at(11_000));
    // It stood still until 500 ms; what the peer said meanwhile waited for it.
    peer.probe_sent(2, at(500_000));
    peer.heard(&Probe { deaf: true, ..answer(1) }, at(500_000));
    assert_eq!(peer.condition(), Condition::Usable);
}

#[test]
fn a_peer_is_told_that_it_is_silent_as_soon_as_it_is_suspect_for_that() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    // max(250 ms, 3 x RTT) - RTT / 2 - 10 ms, and as much longer as this node's own timer was late.
    let due = at(235_000);
    assert!(!peer.is_silent(due), "nobody has looked yet");
    peer.handle_timeout(due, ms(20));
    assert!(!peer.is_silent(due));
    peer.handle_timeout(due + ms(20) + CATCHING_UP, Duration::ZERO);
    assert!(peer.is_silent(due + ms(30)));
    peer.heard(&answer(0), at(300_000));
    assert!(!peer.is_silent(at(300_000)));
}

#[test]
fn only_an_answer_at_once_measures_a_round_trip() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    peer.probe_sent(1, at(0));
    peer.heard(&Probe { at_once: false, ..answer(1) }, at(90_000));
    assert_eq!(peer.rtt(), None);
    peer.probe_sent(2, at(100_000));
    peer.heard(&answer(2), at(107_000));
    peer.heard(&answer(2), at(108_000));
    assert_eq!(peer.rtt(), Some(ms(7)), "and that only once");
}

#[test]
fn a_request_left_unanswered_accuses_although_the_peer_is_heard() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    peer.probe_sent(1, at(10_000));
    peer.heard(&answer(1), at(20_000));
    peer.probe_sent(2, at(110_000));
    peer.unanswered(at(30_000), at(180_000));
    assert_eq!(peer.condition(), Condition::Suspect);
    peer.heard(&answer(2), at(190_000));
    assert_eq!(peer.condition(), Condition::Usable, "what was sent later is answered");
}

#[test]
fn a_request_sent_before_an_answered_probe_accuses_nobody() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    peer.probe_sent(1, at(10_000));
    peer.heard(&answer(1), at(20_000));
    peer.unanswered(at(9_000), at(200_000));
    assert_eq!(peer.condition(), Condition::Usable);
}

#[test]
fn a_node_that_lags_doubts_itself_first_but_not_forever() {
    let mut peer = Peer::new(Duration::ZERO);
    peer.connected(at(0));
    let deadline = peer.poll_timeout().unwrap();
    let late = deadline + ms(300);
    peer.handle_timeout(late, ms(300));
    assert_eq!(peer.condition(), Condition::Usable, "the answer may be waiting to be read");
    peer.handle_timeout(late + CATCHING_UP, Duration::ZERO);
    assert_eq!(peer.condition(), Condition::Suspect, "it was not");

    let mut peer = Peer::new(Duration::ZERO);
    peer.connected(at(0));
    peer.handle_timeout(at(2), Duration::from_hours(24));
    assert!(peer.poll_timeout().unwrap() <= at(0) + ms(1_300));
}

#[test]
fn lag_does_not_acquit_a_suspect() {
    let mut peer = Peer::new(Duration::ZERO);
    peer.connected(at(0));
    peer.handle_timeout(at(300_000), Duration::ZERO);
    peer.handle_timeout(at(301_000), ms(500));
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
    peer.heard(&says(1, Report { draining: true, load: f32::NAN, ..report() }), at(7_000));
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
fn exceptions_are_asked_for_when_others_are_told_of_and_kept_until_then() {
    let mut peer = Peer::new(ms(10));
    peer.connected(at(0));
    let exceptions = Exceptions::new([tenant_id("b"), tenant_id("a")]);
    let excepting = Report { exceptions: exceptions.digest(), ..report() };
    peer.heard(&says(0, report()), at(1));
    assert!(!peer.wants_exceptions());
    peer.heard(&says(0, excepting), at(2));
    assert!(peer.wants_exceptions());
    peer.set_exceptions(exceptions);
    let known = Arc::clone(peer.exceptions());
    assert!(known.listed().contains(&tenant_id("a")) && !peer.wants_exceptions());
    peer.heard(&says(0, excepting), at(3));
    assert!(Arc::ptr_eq(&known, peer.exceptions()));
    peer.heard(&says(0, report()), at(4));
    assert!(peer.exceptions().listed().tenants.is_empty() && !peer.wants_exceptions(), "none need no asking");
}

#[test]
fn a_peer_without_a_tunnel_is_not_heard() {
    let mut peer = Peer::new(ms(10));
    peer.heard(&says(7, Report { draining: true, ..report() }), at(1));
    assert_eq!((peer.condition(), peer.rtt()), (Condition::Unreachable, None));
    assert_eq!(peer.poll_timeout(), None);
}
