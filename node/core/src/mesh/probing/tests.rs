//! Two nodes that probe each other over a way that takes its time and loses things.

use proptest::prelude::*;

use super::*;
use crate::mesh::ExceptionsDigest;

fn report() -> Report {
    Report {
        load: 0.0,
        draining: false,
        fleet_version: 1,
        policy_digest: [0; 32],
        exceptions: ExceptionsDigest::NONE,
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

/// `a` leads.
const A: usize = 0;
const B: usize = 1;
const INTERVAL: Duration = Duration::from_millis(100);

/// What crossed, and what came of it.
#[derive(Debug, Clone)]
struct Crossed {
    left: Moment,
    from: usize,
    /// Over the tunnel that this one dialled.
    tunnel: usize,
    probe: Probe,
    /// Whether it is lost.
    lost: bool,
}

/// Both ends of a pair, and the tunnels that exist, by who dialled.
struct Two {
    sides: [Probing; 2],
    /// `tunnels[side][who dialled]`.
    tunnels: [[Option<ProbedTunnel>; 2]; 2],
    one_way: Duration,
    now: Moment,
    under_way: Vec<(Moment, Crossed)>,
    crossed: Vec<Crossed>,
    /// When each side heard something.
    heard: [Vec<Moment>; 2],
}

impl Two {
    fn new(one_way: Duration, dialled: [bool; 2]) -> Self {
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut sides = [Probing::new(&a, &b), Probing::new(&b, &a)];
        let tunnels = [A, B]
            .map(|side| [A, B].map(|dialler| dialled[dialler].then(|| sides[side].tunnel(dialler == side))));
        let (under_way, crossed) = (Vec::new(), Vec::new());
        Self { sides, tunnels, one_way, now: at(0), under_way, crossed, heard: [Vec::new(), Vec::new()] }
    }

    /// Runs for so long; `loses` says of each probe whether it is lost.
    fn run(&mut self, time: Duration, mut loses: impl FnMut(&Crossed) -> bool) {
        let end = self.now + time;
        while self.now < end {
            let due = (0..4).filter_map(|at| {
                let (side, tunnel) = (at / 2, at % 2);
                let probed = self.tunnels[side][tunnel].as_ref()?;
                Some((self.sides[side].due(probed, INTERVAL)?.max(self.now), side, tunnel))
            });
            let due = due.min_by_key(|(at, ..)| *at);
            let arrival = self.under_way.iter().map(|(at, _)| *at).min();
            match (due, arrival) {
                (_, Some(at)) if at <= end && due.is_none_or(|(due, ..)| at <= due) => {
                    self.arrive(at, &mut loses);
                }
                (Some((at, side, tunnel)), _) if at <= end => {
                    self.now = at;
                    self.send(side, tunnel, false, &mut loses);
                }
                _ => self.now = end,
            }
        }
    }

    fn send(&mut self, from: usize, tunnel: usize, at_once: bool, loses: &mut impl FnMut(&Crossed) -> bool) {
        let Some(probed) = self.tunnels[from][tunnel].as_mut() else { return };
        let probe = self.sides[from].next(probed, (at_once, true), report(), self.now);
        let mut crossed = Crossed { left: self.now, from, tunnel, probe, lost: false };
        crossed.lost = loses(&crossed);
        if !crossed.lost {
            self.under_way.push((self.now + self.one_way, crossed.clone()));
        }
        self.crossed.push(crossed);
    }

    fn arrive(&mut self, moment: Moment, loses: &mut impl FnMut(&Crossed) -> bool) {
        self.now = moment;
        let first = self.under_way.iter().position(|(at, _)| *at == moment).unwrap();
        let (_, Crossed { from, tunnel, probe, .. }) = self.under_way.remove(first);
        let to = 1 - from;
        let Some(probed) = self.tunnels[to][tunnel].as_mut() else { return };
        self.heard[to].push(moment);
        if self.sides[to].heard(probed, &probe, moment) {
            self.send(to, tunnel, true, loses);
        }
    }

    /// The longest that a side heard nothing between two moments.
    fn longest_silence(&self, side: usize, (from, to): (Moment, Moment)) -> Duration {
        let heard = self.heard[side].iter().copied().filter(|at| (from..to).contains(at));
        let moments: Vec<_> = [from].into_iter().chain(heard).chain([to]).collect();
        moments.windows(2).map(|two| two[1].since(two[0])).max().unwrap()
    }

    fn count(&self, from: usize, tunnel: usize) -> usize {
        self.crossed.iter().filter(|crossed| (crossed.from, crossed.tunnel) == (from, tunnel)).count()
    }
}

#[test]
fn when_both_have_dialled_probes_cross_the_leaders_tunnel_and_serve_both() {
    let mut two = Two::new(ms(30), [true, true]);
    two.run(ms(10_000), |_| false);
    // A probe each 100 ms and its answer, and each second one more, by which the other measures.
    let (by_leader, by_other) = (two.count(A, A), two.count(B, A));
    assert!((100..=112).contains(&by_leader) && (98..=102).contains(&by_other), "{by_leader}, {by_other}");
    assert!(two.count(B, B) <= 2 && two.count(A, B) <= 2, "the other tunnel is used before that only");
    for side in [A, B] {
        assert!(two.longest_silence(side, (at(1_000), at(10_000))) <= ms(101));
    }
}

#[test]
fn every_answer_at_once_is_a_round_trip_of_whoever_is_answered() {
    let mut two = Two::new(ms(30), [true, true]);
    two.run(ms(10_000), |_| false);
    let measured = |side: usize| {
        let answers = two.crossed.iter().filter(|answer| answer.from != side && answer.probe.at_once);
        let asked = |answer: &Crossed| {
            let asked =
                two.crossed.iter().find(|ask| ask.from == side && ask.probe.seq == answer.probe.heard);
            asked.map(|asked| answer.left.since(asked.left))
        };
        answers.map(|answer| asked(answer).unwrap()).collect::<Vec<_>>()
    };
    let (leader, other) = (measured(A), measured(B));
    assert!(leader.len() >= 98 && (9..=12).contains(&other.len()), "{} and {}", leader.len(), other.len());
    assert!(leader.iter().chain(&other).all(|took| *took == ms(30)), "one way, and no time between");
}

#[test]
fn one_who_is_not_dialled_answers_and_sends_nothing_else() {
    for dialler in [A, B] {
        let mut dialled = [false, false];
        dialled[dialler] = true;
        let mut two = Two::new(ms(30), dialled);
        two.run(ms(10_000), |_| false);
        let (asked, answered) = (two.count(dialler, dialler), two.count(1 - dialler, dialler));
        assert!(asked >= 100 && answered.abs_diff(100) <= 2, "{asked}, {answered}");
    }
}

#[test]
fn a_tunnel_that_ends_is_replaced_at_once_by_the_other() {
    let mut two = Two::new(ms(50), [true, true]);
    two.run(ms(1_000), |_| false);
    for side in [A, B] {
        let ended = two.tunnels[side][A].take().unwrap();
        two.sides[side].ended(&ended);
    }
    two.run(ms(2_000), |_| false);
    // What was under way is lost with it: a round trip more than usual.
    for side in [A, B] {
        let silence = two.longest_silence(side, (at(950), at(3_000)));
        assert!(silence <= ms(100) + ms(100), "{side} was silent for {silence:?}");
    }
}

#[test]
fn what_one_side_sends_arrives_although_nothing_arrives_there() {
    let mut two = Two::new(ms(10), [true, true]);
    two.run(ms(1_000), |_| false);
    // From here on the leader hears nothing.
    two.run(ms(2_000), |crossed| crossed.from == B);
    assert!(two.longest_silence(B, (at(1_000), at(3_000))) <= ms(110));
    // And now the other.
    two.run(ms(1_000), |_| false);
    two.run(ms(1_500), |crossed| crossed.from == A);
    assert!(two.longest_silence(A, (at(4_100), at(5_500))) <= ms(150));
}

#[test]
fn answers_are_not_answered_and_what_is_wanted_is_done_now_and_then() {
    let (mut sides, probe) = (Two::new(ms(0), [true, false]).sides, |at_once, wanted| Probe {
        seq: 1,
        heard: 0,
        at_once,
        wanted,
        deaf: false,
        report: report(),
    });
    let mut accepted = sides[B].tunnel(false);
    assert!(!sides[B].heard(&mut accepted, &probe(true, true), at(1)));
    assert!(sides[B].heard(&mut accepted, &probe(false, false), at(1)));
    let mut kept = sides[A].tunnel(true);
    assert!(!sides[A].heard(&mut kept, &probe(false, false), at(1)));
    assert!(sides[A].heard(&mut kept, &probe(true, true), at(1)));
    assert!(!sides[A].heard(&mut kept, &probe(true, true), at(500)));
    assert!(sides[A].heard(&mut kept, &probe(true, true), at(501)));
}

#[test]
fn a_peer_that_probes_without_pause_is_not_answered_without_pause() {
    let mut side = Two::new(ms(0), [true, false]).sides[B].clone();
    let mut accepted = side.tunnel(false);
    let mut answered = 0;
    for moment in 0..1_000 {
        let probe =
            Probe { seq: moment, heard: 0, at_once: false, wanted: false, deaf: false, report: report() };
        if side.heard(&mut accepted, &probe, at(moment)) {
            side.next(&mut accepted, (true, true), report(), at(moment));
            answered += 1;
        }
    }
    assert_eq!(answered, 50, "each 20 ms in a second");
}

#[test]
fn of_probes_that_come_late_or_without_pause_only_some_count() {
    let mut side = Two::new(ms(0), [true, false]).sides[B].clone();
    let mut accepted = side.tunnel(false);
    let probe = |seq| Probe { seq, heard: 0, at_once: false, wanted: false, deaf: false, report: report() };
    assert!(side.admits(&mut accepted, &probe(2), at(1_000)));
    assert!(!side.admits(&mut accepted, &probe(1), at(1_001)), "a later one has overtaken it");
    assert!(!side.admits(&mut accepted, &probe(2), at(1_002)), "it came twice");
    let admitted = (3..1_003).filter(|seq| side.admits(&mut accepted, &probe(*seq), at(1_000 + seq))).count();
    assert!((85..=95).contains(&admitted), "32 at once and 60 in a second: {admitted}");
}

#[test]
fn news_are_told_where_probes_cross_and_not_too_often() {
    let mut two = Two::new(ms(30), [true, true]);
    two.run(ms(1_085), |_| false);
    let now = two.now;
    let sent = |side: usize| two.crossed.iter().filter(move |crossed| crossed.from == side);
    let due = |side: usize, dialler: usize| {
        let mut tunnel = two.tunnels[side][dialler].clone().unwrap();
        two.sides[side].news(&mut tunnel, INTERVAL, now);
        two.sides[side].due(&tunnel, INTERVAL).unwrap()
    };
    let last = |side| {
        sent(side).filter(move |crossed| side == B || !crossed.probe.at_once).map(|crossed| crossed.left)
    };
    assert_eq!(due(A, A), last(A).max().unwrap() + ms(20));
    assert_eq!(due(B, A), last(B).max().unwrap() + ms(20));
    assert!(due(A, A) <= now && due(B, A) <= now && due(B, B) > now);
}

#[test]
fn news_that_are_told_are_news_no_more() {
    let mut two = Two::new(ms(30), [true, true]);
    two.run(ms(1_085), |_| false);
    let now = two.now;
    let tunnel = two.tunnels[A][A].as_mut().unwrap();
    two.sides[A].news(tunnel, INTERVAL, now);
    two.sides[A].next(tunnel, (false, true), report(), now);
    assert_eq!(two.sides[A].due(tunnel, INTERVAL), Some(now + INTERVAL));
}

#[test]
fn a_tunnel_on_which_nothing_comes_any_more_is_left_alone() {
    let mut two = Two::new(ms(10), [true, false]);
    two.run(ms(1_000), |_| false);
    two.run(ms(5_000), |crossed| crossed.from == A);
    let late = two.crossed.iter().filter(|crossed| crossed.from == B && crossed.left > at(3_200)).count();
    assert_eq!(late, 0);
    assert_eq!(two.sides[B].due(two.tunnels[B][A].as_ref().unwrap(), INTERVAL), None);
}

proptest! {
    #[test]
    fn both_hear_enough_of_each_other_however_far_they_are_when_one_in_five_is_lost(
        one_way in 1u64..120, dialled in 1usize..4, dice in proptest::collection::vec(0u8..5, 97),
    ) {
        let mut two = Two::new(ms(one_way), [dialled & 1 != 0, dialled & 2 != 0]);
        let mut thrown = 0;
        two.run(ms(20_000), |_| { thrown += 1; dice[thrown % 97] == 0 });
        let lost = dice.iter().map(|die| f64::from(u8::from(*die == 0))).sum::<f64>() / 97.0;
        for side in [A, B] {
            // More than nine in ten of the others' intervals would be too much to ask: what is lost is lost.
            let heard = two.heard[side].len() as f64;
            prop_assert!(heard >= 200.0 * (1.0 - lost) * 0.8, "{} heard {heard} of 200, {lost} lost", ["a", "b"][side]);
        }
        // Two for each interval, one a second to measure, and as many as were missed.
        prop_assert!(two.crossed.len() <= 20 * (2 * 10 + 3) + two.crossed.iter().filter(|c| c.lost).count() * 2 + 10);
    }
}
