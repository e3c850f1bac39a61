//! Rhythm, health, and what a new policy keeps.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::policy::{HealthCheck, Pool};
use crate::pool::Names;
use crate::pool::testing::{address, check, policy, pool, region};

const START: Moment = Moment::from_millis(10_000);

fn plan(pools: Vec<Option<Pool>>) -> Plan {
    Plan::of(&policy(pools), region(0), &Names::default())
}

fn adopted(pools: Vec<Option<Pool>>) -> Checks {
    let mut checks = Checks::default();
    checks.adopt(plan(pools), START);
    checks
}

fn target(last: u8, check: HealthCheck) -> CheckTarget {
    CheckTarget { address: address(last), check }
}

fn healthy(checks: &Checks) -> Vec<SocketAddr> {
    let targets = checks.plan.targets().iter().enumerate();
    targets.filter(|(at, _)| checks.belief(*at) != Belief::Failed).map(|(_, target)| target.address).collect()
}

/// Starts every check until `end` at the moment it is due, and gives each the result that `answer` says.
fn run(
    checks: &mut Checks,
    end: Moment,
    mut answer: impl FnMut(&CheckTarget) -> Result<(), CheckFailure>,
) -> Vec<(Moment, SocketAddr)> {
    let mut started = Vec::new();
    while let Some(now) = checks.poll_timeout().filter(|due| *due <= end) {
        let target = checks.poll_check(now).unwrap();
        started.push((now, target.address));
        checks.handle_result(&target, answer(&target));
    }
    started
}

#[test]
fn every_target_is_checked_within_a_second_and_then_once_an_interval() {
    let mut checks = adopted(vec![Some(pool(&[1, 2, 3], Some(check("/"))))]);
    let first = run(&mut checks, START + Duration::from_secs(1), |_| Ok(()));
    assert_eq!(first.len(), 3);
    let rest = run(&mut checks, START + Duration::from_secs(1 + 4 * 5), |_| Ok(()));
    assert_eq!(rest.len(), 3 * 4);
}

#[test]
fn a_target_that_two_tenants_share_is_checked_once() {
    let shared = || Some(pool(&[1], Some(check("/"))));
    let mut checks = adopted(vec![shared(), shared()]);
    assert_eq!(run(&mut checks, START + Duration::from_secs(1), |_| Ok(())).len(), 1);
}

#[test]
fn a_failed_backend_leaves_the_pool_and_comes_back() {
    let mut checks = adopted(vec![Some(pool(&[1, 2], Some(check("/"))))]);
    let failing = target(1, check("/"));
    assert!(checks.handle_result(&failing, Ok(())).is_none());

    assert!(checks.handle_result(&failing, Err(CheckFailure::Status(500))).is_none());
    assert!(checks.handle_result(&failing, Err(CheckFailure::TimedOut)).is_none());
    let failed = checks.handle_result(&failing, Err(CheckFailure::Unreachable));
    assert_eq!(failed, Some(Transition::Failed));
    assert_eq!(healthy(&checks), [address(2)]);

    assert_eq!(checks.handle_result(&failing, Ok(())), None);
    assert_eq!(checks.handle_result(&failing, Ok(())), Some(Transition::Recovered));
    assert_eq!(healthy(&checks), [address(1), address(2)]);
}

#[test]
fn a_check_under_way_is_not_started_again() {
    let mut checks = adopted(vec![Some(pool(&[1], Some(check("/"))))]);
    let now = checks.poll_timeout().unwrap();
    let target = checks.poll_check(now).unwrap();
    assert_eq!(checks.poll_timeout(), None);
    checks.handle_result(&target, Ok(()));
    assert_eq!(checks.poll_timeout(), Some(now + Duration::from_secs(5)));
}

#[test]
fn a_new_policy_keeps_the_health_and_rhythm_of_targets_that_stay() {
    let mut checks = adopted(vec![Some(pool(&[2], Some(check("/"))))]);
    checks.handle_result(&target(2, check("/")), Err(CheckFailure::Broken));
    let due = checks.poll_timeout().unwrap();

    checks.adopt(plan(vec![Some(pool(&[2, 3], Some(check("/"))))]), START + Duration::from_millis(700));
    assert_eq!(healthy(&checks), [address(3)]);
    let started = run(&mut checks, START + Duration::from_secs(2), |_| Ok(()));
    assert_eq!(started.iter().filter(|start| **start == (due, address(2))).count(), 1);
    assert_eq!(started.len(), 2);
}

#[test]
fn the_result_of_a_target_that_is_gone_is_ignored() {
    let mut checks = adopted(vec![Some(pool(&[1], Some(check("/"))))]);
    let now = checks.poll_timeout().unwrap();
    let gone = checks.poll_check(now).unwrap();
    checks.adopt(plan(vec![Some(pool(&[2], Some(check("/"))))]), now);
    assert_eq!(checks.handle_result(&gone, Err(CheckFailure::Broken)), None);
    assert_eq!(healthy(&checks), [address(2)]);
}

#[test]
fn other_numbers_for_the_same_question_keep_the_health() {
    let mut checks = adopted(vec![Some(pool(&[1], Some(check("/"))))]);
    checks.handle_result(&target(1, check("/")), Err(CheckFailure::Broken));

    let faster = HealthCheck { interval: Duration::from_secs(1), ..check("/") };
    checks.adopt(plan(vec![Some(pool(&[1], Some(faster)))]), START);
    assert!(healthy(&checks).is_empty());

    checks.adopt(plan(vec![Some(pool(&[1], Some(check("/other"))))]), START);
    assert_eq!(healthy(&checks), [address(1)]);
}

#[test]
fn ten_thousand_targets_keep_to_the_rate_and_are_all_checked() {
    let pools = (0..40).map(|tenant| Some(pool(&ALL, Some(check(&format!("/{tenant}")))))).collect();
    let mut checks = adopted(pools);
    let started = run(&mut checks, START + Duration::from_secs(30), |_| Ok(()));

    let window = Duration::from_secs(1);
    for (at, (moment, _)) in started.iter().enumerate() {
        let within = started[at..].iter().take_while(|(later, _)| later.since(*moment) < window).count();
        assert!(within <= (Checks::CHECKS_PER_SECOND_MAX + Checks::CHECKS_BURST_MAX) as usize);
    }
    // 10,240 targets every 5 s would be 2,048 a second: each is checked every 10.24 s instead.
    let mut counts: BTreeMap<SocketAddr, usize> = BTreeMap::new();
    for (_, address) in &started {
        *counts.entry(*address).or_default() += 1;
    }
    assert_eq!(counts.len(), 256);
    assert!(counts.values().all(|count| (40 * 2..=40 * 3).contains(count)));
}

const ALL: [u8; 256] = {
    let mut all = [0; 256];
    let mut at = 0;
    while at < 256 {
        all[at] = at as u8;
        at += 1;
    }
    all
};

#[derive(Debug, Clone)]
enum Step {
    Wait(u16),
    Start,
    Finish(prop::sample::Index, bool),
    Adopt(Vec<u8>, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u16..3_000).prop_map(Step::Wait),
        Just(Step::Start),
        (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(which, success)| Step::Finish(which, success)),
        (prop::collection::vec(0_u8..8, 1..6), any::<bool>()).prop_map(|(all, slow)| Step::Adopt(all, slow)),
    ]
}

proptest! {
    /// Whatever happens, each target is either under way or due.
    #[test]
    fn no_target_is_lost(steps in prop::collection::vec(step(), 0..60)) {
        let mut checks = adopted(vec![Some(pool(&[1, 2], Some(check("/"))))]);
        let mut now = START;
        let mut running: Vec<Arc<CheckTarget>> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(millis) => now = now + Duration::from_millis(millis.into()),
                Step::Start => running.extend(checks.poll_check(now)),
                Step::Finish(which, success) if !running.is_empty() => {
                    let target = running.swap_remove(which.index(running.len()));
                    checks.handle_result(&target, if success { Ok(()) } else { Err(CheckFailure::Broken) });
                }
                Step::Finish(..) => {}
                Step::Adopt(all, slow) => {
                    let interval = Duration::from_secs(if slow { 60 } else { 5 });
                    let check = HealthCheck { interval, ..check("/") };
                    checks.adopt(plan(vec![Some(pool(&all, Some(check)))]), now);
                }
            }
            let due: Vec<_> = checks.due.iter().map(|(_, position)| *position).collect();
            for (position, health) in checks.healths.iter().enumerate() {
                let listed = due.iter().filter(|at| **at == position).count();
                prop_assert_eq!(listed, usize::from(health.poll_timeout().is_some()));
            }
            prop_assert_eq!(checks.healths.len(), checks.plan.targets().len());
        }
    }
}
