//! Stickiness, and the speed of change.

use proptest::prelude::*;

use super::*;

const TICK_MS: u64 = 100;
const SETTLING_MS: u64 = 10_000;

fn region(position: usize) -> RegionIndex {
    RegionIndex::new(position).unwrap()
}

fn costs(millis: &[u32]) -> Vec<Standing> {
    millis.iter().map(|cost| Standing { cost: Cost(cost * 1_000), load: 0.0, measured: true }).collect()
}

/// A machine and the time it has seen.
#[derive(Default)]
struct Run {
    machine: PreferenceMachine,
    now_ms: u64,
}

impl Run {
    fn for_ms(&mut self, millis: u64, standings: &[Standing]) {
        for _ in 0..millis / TICK_MS {
            self.machine.update(standings, Moment::from_millis(self.now_ms));
            self.now_ms += TICK_MS;
        }
    }

    fn share(&self, a: usize, b: usize) -> f64 {
        self.machine.preference().share(region(a), region(b)).unwrap()
    }

    fn settled(standings: &[Standing]) -> Self {
        let mut run = Self::default();
        run.for_ms(SETTLING_MS + TICK_MS, standings);
        run
    }
}

/// How many of a thousand requests, spread evenly over chance, prefer `wanted` to all other of `regions`.
fn of_a_thousand(preference: &Preference, regions: usize, wanted: usize) -> usize {
    let winner = |chance| {
        (0..regions).map(region).reduce(|a, b| preference.first(a, b, chance).unwrap())
            == Some(region(wanted))
    };
    (0..1_000u32).filter(|draw| winner(draw * (u32::MAX / 1_000))).count()
}

fn close(share: f64, expected: f64) -> bool {
    (share - expected).abs() < 0.011
}

#[test]
fn at_first_sight_the_cheaper_region_is_preferred_at_once_and_ties_go_by_name() {
    let run = Run::settled(&costs(&[30, 20, 20]));
    assert!(close(run.share(1, 0), 1.0));
    assert!(close(run.share(1, 2), 1.0));
    assert!(close(run.share(0, 2), 0.0));
}

#[test]
fn a_guess_is_replaced_at_once_when_it_is_measured() {
    let mut standings = costs(&[10, 20]);
    standings[1].measured = false;
    let mut run = Run::settled(&standings);
    assert!(close(run.share(0, 1), 1.0));
    run.for_ms(TICK_MS, &costs(&[30, 15]));
    assert!(close(run.share(0, 1), 0.0));
}

#[test]
fn what_the_first_probes_say_of_two_near_regions_does_not_stick() {
    let mut run = Run::default();
    run.for_ms(SETTLING_MS / 2, &costs(&[12, 9]));
    assert!(close(run.share(0, 1), 0.0));
    run.for_ms(SETTLING_MS / 2, &costs(&[5, 6]));
    assert!(close(run.share(0, 1), 1.0));
    // From here on changes take their time.
    run.for_ms(TICK_MS, &costs(&[100, 6]));
    assert!(close(run.share(0, 1), 1.0));
}

#[test]
fn a_change_begins_after_three_seconds_and_takes_ten() {
    let mut run = Run::settled(&costs(&[10, 50]));
    let changed = costs(&[50, 10]);
    run.for_ms(3_000, &changed);
    assert!(close(run.share(0, 1), 1.0));
    run.for_ms(5_000, &changed);
    assert!(close(run.share(0, 1), 0.5), "{}", run.share(0, 1));
    run.for_ms(5_100, &changed);
    assert!(close(run.share(0, 1), 0.0));
}

#[test]
fn a_short_change_moves_nothing() {
    let mut run = Run::settled(&costs(&[10, 50]));
    for _ in 0..20 {
        run.for_ms(2_900, &costs(&[50, 10]));
        run.for_ms(100, &costs(&[10, 50]));
    }
    assert!(close(run.share(0, 1), 1.0));
}

#[test]
fn the_way_back_is_as_slow() {
    let mut run = Run::settled(&costs(&[10, 50]));
    run.for_ms(8_000, &costs(&[50, 10]));
    assert!(close(run.share(0, 1), 0.5));
    run.for_ms(3_000, &costs(&[10, 50]));
    assert!(close(run.share(0, 1), 0.5));
    run.for_ms(2_000, &costs(&[10, 50]));
    assert!(close(run.share(0, 1), 0.7), "{}", run.share(0, 1));
}

#[test]
fn a_region_at_its_hard_limit_is_relieved_without_waiting_but_not_in_a_rush() {
    let mut standings = costs(&[10, 80]);
    let mut run = Run::settled(&standings);
    standings[0].load = 0.95;
    standings[1].load = 0.7;
    run.for_ms(1_000, &standings);
    assert!(close(run.share(0, 1), 0.9), "{}", run.share(0, 1));
}

#[test]
fn a_region_at_its_hard_limit_is_not_relieved_by_a_busy_one() {
    let mut standings = costs(&[10, 10]);
    let mut run = Run::settled(&standings);
    standings[0].load = 0.99;
    standings[1].load = 0.76;
    run.for_ms(10_000, &standings);
    assert!(close(run.share(0, 1), 1.0));
}

#[test]
fn a_spilling_region_keeps_the_same_requests_whoever_could_take_the_rest() {
    // The first, the middle and the last of the order spill in turn.
    for spilling in 0..3 {
        let mut standings = costs(&[20, 20, 20]);
        standings[spilling].cost = Cost(1_000);
        let mut run = Run::settled(&standings);
        standings[spilling].load = 1.0;
        run.for_ms(4_000, &standings);
        let kept = of_a_thousand(&run.machine.preference(), 3, spilling);
        assert!(kept.abs_diff(600) <= 10, "region {spilling} keeps {kept} of 1000");
    }
}

#[test]
fn a_region_spills_until_its_load_falls_and_no_further() {
    // Region 0 gets all requests at first, and they are 1.2 times what it can do; region 1 is 40 ms away and idle.
    let mut run = Run::settled(&costs(&[0, 40]));
    let (mut load, mut lowest_late, mut highest_late) = (1.2f64, f64::MAX, 0f64);
    for tick in 0..1_200 {
        let offered = 1.2 * run.share(0, 1);
        load += (offered - load) * (1.0 - (-0.1f64).exp());
        let mut standings = costs(&[0, 40]);
        standings[0] =
            Standing { cost: Cost::of(Duration::ZERO, load as f32), load: load as f32, measured: true };
        run.for_ms(TICK_MS, &standings);
        if tick > 300 {
            (lowest_late, highest_late) = (lowest_late.min(load), highest_late.max(load));
        }
    }
    assert!(highest_late < 1.05 && lowest_late > 0.7, "between {lowest_late} and {highest_late}");
}

#[test]
fn a_renumbered_fleet_keeps_what_its_regions_had() {
    let mut run = Run::settled(&costs(&[10, 50, 30]));
    run.for_ms(8_000, &costs(&[50, 10, 30]));
    let (before_01, before_12) = (run.share(0, 1), run.share(1, 2));
    // A region comes first by name, the old first one goes.
    run.machine.renumber(&[None, Some(region(1)), Some(region(2))]);
    assert!((run.share(1, 2) - before_12).abs() < f64::EPSILON);
    // One more comes last, nothing goes.
    let mut run = Run::settled(&costs(&[10, 50]));
    run.for_ms(8_000, &costs(&[50, 10]));
    run.machine.renumber(&[Some(region(0)), Some(region(1)), None]);
    assert!((run.share(0, 1) - before_01).abs() < f64::EPSILON);
    run.for_ms(TICK_MS, &costs(&[50, 10, 5]));
    assert!(close(run.share(2, 0), 1.0) && close(run.share(2, 1), 1.0));
}

#[test]
fn pairs_that_nobody_has_compared_have_no_preference() {
    let preference = Run::settled(&costs(&[1, 2])).machine.preference();
    assert_eq!(preference.first(region(0), region(2), 0), None);
    assert_eq!(preference.first(region(1), region(1), 0), None);
    assert_eq!(Preference::default().share(region(0), region(1)), None);
}

#[test]
fn nothing_is_published_anew_while_nothing_changes() {
    let mut run = Run::settled(&costs(&[10, 50, 30]));
    let before = run.machine.preference();
    run.for_ms(5_000, &costs(&[11, 49, 31]));
    assert!(Arc::ptr_eq(&before.leans, &run.machine.preference().leans));
}

fn standings(regions: usize) -> impl Strategy<Value = Vec<Standing>> {
    let standing = (0u32..300_000, 0f32..1.5, any::<bool>()).prop_map(|(cost, load, measured)| Standing {
        cost: Cost(cost),
        load,
        measured,
    });
    proptest::collection::vec(standing, regions)
}

proptest! {
    #[test]
    fn noise_inside_the_hysteresis_moves_nothing(
        base in 20_000u32..200_000, noise in proptest::collection::vec((0u32..9_000, 0u32..9_000), 100)
    ) {
        let standing = |cost| Standing { cost: Cost(cost), load: 0.5, measured: true };
        let mut run = Run::settled(&[standing(base), standing(base)]);
        let before = run.share(0, 1);
        for (a, b) in noise {
            run.for_ms(TICK_MS, &[standing(base + a), standing(base + b)]);
            prop_assert!((run.share(0, 1) - before).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn no_share_ever_moves_faster_than_ten_points_a_second(
        steps in proptest::collection::vec((standings(3), 1u64..900), 1..120)
    ) {
        let measured = |standings: Vec<Standing>| -> Vec<_> {
            standings.into_iter().map(|standing| Standing { measured: true, ..standing }).collect()
        };
        let (mut machine, mut now) = (PreferenceMachine::default(), 0);
        let mut last: Option<[f64; 3]> = None;
        for (standings, wait) in steps {
            now += wait;
            machine.update(&measured(standings), Moment::from_millis(now));
            let share = |a, b| machine.preference().share(region(a), region(b)).unwrap();
            let shares = [share(0, 1), share(0, 2), share(1, 2)];
            for (before, after) in last.into_iter().flatten().zip(shares) {
                prop_assert!((after - before).abs() <= 0.1 * wait as f64 / 1_000.0 + 1e-9);
            }
            // The settling time may change their mind at once.
            last = Some(shares).filter(|_| now > SETTLING_MS + 900);
        }
    }

    #[test]
    fn a_persistently_cheaper_region_ends_with_everything(
        start in standings(4), cheap in 0usize..4, cost in 0u32..50_000, others in 0u32..100_000
    ) {
        let mut run = Run::settled(&start);
        let dear = cost.max(1_000) * 100 / 85 + 10_001 + others;
        let now: Vec<_> = (0..4)
            .map(|at| Standing { cost: Cost(if at == cheap { cost } else { dear }), load: 0.1, measured: true })
            .collect();
        run.for_ms(13_200, &now);
        prop_assert_eq!(of_a_thousand(&run.machine.preference(), 4, cheap), 1_000);
    }

    #[test]
    fn the_shares_of_a_pair_add_up_to_one_and_chance_follows_them(
        history in proptest::collection::vec((standings(2), 100u64..5_000), 1..20)
    ) {
        let mut run = Run::default();
        for (standings, millis) in history {
            run.for_ms(millis, &standings);
        }
        prop_assert!((run.share(0, 1) + run.share(1, 0) - 1.0).abs() < 1e-12);
        let won = of_a_thousand(&run.machine.preference(), 2, 0);
        prop_assert!((won as f64 / 1_000.0 - run.share(0, 1)).abs() <= 0.002);
    }
}
