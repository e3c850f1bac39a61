//! Which backend is chosen, by every balance, and what ejection, slow start and retries change in that.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::policy::HashKey;
use crate::pool::testing::{address, member};

const NOW: Moment = Moment::from_millis(100_000);

/// Requests and expectation of every member.
struct Worker(Vec<(u32, Option<f32>)>);

impl Loads for Worker {
    fn requests(&self, member: usize) -> u32 {
        self.0[member].0
    }

    fn all_requests(&self) -> u32 {
        self.0.iter().map(|(requests, _)| requests).sum()
    }

    fn expected_micros(&self, member: usize, _: Moment) -> Option<f32> {
        self.0[member].1
    }
}

fn idle(members: usize) -> Worker {
    Worker(vec![(0, Some(1_000.0)); members])
}

fn members(count: u8) -> Vec<Member> {
    (0..count).map(|at| member(at.into(), address(at))).collect()
}

fn state_with(balance: Balance, members: Vec<Member>, panic: bool) -> PoolState {
    let pool = Pool { balance, slow_start: Duration::from_secs(30), ..Pool::of([]) };
    PoolState::new(&pool, members, panic, Arc::default(), NOW)
}

fn state(balance: Balance, members: Vec<Member>) -> PoolState {
    state_with(balance, members, false)
}

fn ask(turn: u32) -> Ask<'static> {
    Ask { tried: &[], key: None, turn, chance: turn.wrapping_mul(0x9e37_79b9), now: NOW }
}

/// How many of so many requests each member gets.
fn spread(state: &PoolState, loads: &Worker, requests: u32) -> BTreeMap<usize, u32> {
    let mut spread = BTreeMap::new();
    for turn in 0..requests {
        *spread.entry(state.choose(&ask(turn), loads).unwrap()).or_default() += 1;
    }
    spread
}

fn balances() -> [Balance; 5] {
    let maglev = Balance::Maglev(HashKey::Address);
    [Balance::PeakEwma, Balance::LeastRequests, Balance::RoundRobin, Balance::Weighted, maglev]
}

#[test]
fn members_out_by_check_or_ejection_get_nothing_from_any_balance() {
    for balance in balances() {
        let mut members = members(4);
        members[1].condition = Condition::Failed;
        members[3].condition = Condition::Ejected(NOW + Duration::from_secs(30));
        let state = state(balance, members);
        let spread = spread(&state, &idle(4), 1_000);
        assert_eq!(spread.keys().copied().collect::<Vec<_>>(), [0, 2]);
        assert_eq!((0..4).map(|at| state.is_usable(at)).collect::<Vec<_>>(), [true, false, true, false]);
    }
}

#[test]
fn in_panic_ejections_are_ignored_and_failed_checks_are_not() {
    let mut members = members(3);
    members[1].condition = Condition::Failed;
    members[2].condition = Condition::Ejected(NOW + Duration::from_secs(30));
    let state = state_with(Balance::RoundRobin, members, true);
    assert_eq!(spread(&state, &idle(3), 100), BTreeMap::from([(0, 50), (2, 50)]));
}

#[test]
fn a_pool_without_usable_members_has_none_to_give() {
    for balance in balances() {
        assert_eq!(state(balance.clone(), Vec::new()).choose(&ask(1), &idle(0)), None);
        let mut failed = members(1);
        failed[0].condition = Condition::Failed;
        let state = state(balance, failed);
        assert!(!state.is_able());
        assert_eq!(state.choose(&ask(1), &idle(1)), None);
    }
}

#[test]
fn the_slow_and_the_busy_are_avoided() {
    let slow = Worker(vec![(1, Some(1_000.0)), (1, Some(1_000.0)), (1, Some(90_000.0))]);
    assert_eq!(spread(&state(Balance::PeakEwma, members(3)), &slow, 1_000).get(&2), None);
    let busy = Worker(vec![(1, Some(90_000.0)), (1, None), (7, Some(1.0))]);
    assert_eq!(spread(&state(Balance::LeastRequests, members(3)), &busy, 1_000).get(&2), None);
}

#[test]
fn every_balance_but_the_round_robin_follows_weights() {
    for balance in [Balance::PeakEwma, Balance::LeastRequests, Balance::Weighted] {
        let mut members = members(3);
        members[2].weight = 2;
        let spread = spread(&state(balance.clone(), members), &idle(3), 4_000);
        let heavy = f64::from(spread[&2]) / 4_000.0;
        assert!((heavy - 0.5).abs() < 0.02, "{balance:?}: {heavy}");
    }
}

#[test]
fn a_backend_that_has_just_come_gets_a_tenth_of_its_share_and_all_of_it_later() {
    for balance in [Balance::PeakEwma, Balance::LeastRequests, Balance::RoundRobin, Balance::Weighted] {
        let share = |age: u64| {
            let mut members = members(4);
            members[3].since = Some(NOW - Duration::from_secs(age));
            let got = spread(&state(balance.clone(), members), &idle(4), 20_000);
            f64::from(got.get(&3).copied().unwrap_or_default()) / 20_000.0 * 4.0
        };
        let (first, half, whole) = (share(0), share(15), share(30));
        assert!((0.05..0.15).contains(&first), "{balance:?}: {first}");
        assert!((0.45..0.65).contains(&half), "{balance:?}: {half}");
        assert!((0.95..1.05).contains(&whole), "{balance:?}: {whole}");
    }
}

#[test]
fn backends_that_are_all_new_still_get_everything() {
    for balance in [Balance::PeakEwma, Balance::RoundRobin] {
        let mut members = members(2);
        for member in &mut members {
            member.since = Some(NOW);
        }
        assert_eq!(spread(&state(balance, members), &idle(2), 1_000).values().sum::<u32>(), 1_000);
    }
}

#[test]
fn a_key_keeps_its_backend_until_that_has_more_than_its_bound() {
    let state = state(Balance::Maglev(HashKey::Address), members(5));
    let of = |loads: &Worker| state.choose(&Ask { key: Some(77), ..ask(3) }, loads).unwrap();
    let own = of(&idle(5));
    assert!((0..100).all(|turn| state.choose(&Ask { key: Some(77), ..ask(turn) }, &idle(5)) == Some(own)));
    let mut full = Worker(vec![(4, None); 5]);
    assert_eq!(of(&full), own);
    full.0[own].0 = 8;
    assert_ne!(of(&full), own);
}

#[test]
fn a_request_without_a_key_goes_where_it_is_answered_first() {
    let slow = Worker(vec![(1, Some(1_000.0)), (1, Some(1_000.0)), (1, Some(90_000.0))]);
    let state = state(Balance::Maglev(HashKey::Address), members(3));
    let spread = spread(&state, &slow, 1_000);
    assert_eq!(spread.keys().copied().collect::<Vec<_>>(), [0, 1]);
}

proptest! {
    #[test]
    fn no_member_is_tried_twice(
        kind in 0usize..5, count in 1u8..8, tried in prop::collection::vec(0u16..8, 0..8), turn: u32, key: Option<u64>,
    ) {
        let state = state(balances()[kind].clone(), members(count));
        let chosen = state.choose(&Ask { tried: &tried, key, ..ask(turn) }, &idle(count.into()));
        let left = (0..u16::from(count)).any(|member| !tried.contains(&member));
        prop_assert_eq!(chosen.is_some(), left);
        if let Some(chosen) = chosen {
            prop_assert!(!tried.contains(&(chosen as u16)) && chosen < count.into());
        }
    }
}
