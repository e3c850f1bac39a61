//! What checks and outcomes make of a pool, who is spared, and what a new policy keeps.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::policy::{EjectionRule, TenantIndex};
use crate::pool::testing::{address, check, policy, pool, region};
use crate::pool::{Condition, Fault, PoolState};

const START: Moment = Moment::from_millis(10_000);

fn seconds(seconds: u64) -> Moment {
    START + Duration::from_secs(seconds)
}

fn adopt(pools: &mut Pools, wanted: Vec<Option<Pool>>, now: Moment) {
    pools.adopt(&policy(wanted), Some(region(0)), &Names::default(), now);
}

fn adopted(wanted: Vec<Option<Pool>>) -> Pools {
    let mut pools = Pools::default();
    adopt(&mut pools, wanted, START);
    pools
}

fn state(pools: &Pools, tenant: u32) -> Arc<PoolState> {
    Arc::clone(pools.states().pool(TenantIndex(tenant), PoolIndex::UNNAMED).unwrap())
}

fn usable(pools: &Pools, tenant: u32) -> Vec<SocketAddr> {
    let state = state(pools, tenant);
    let members = state.members().iter().enumerate();
    members.filter(|(at, _)| state.is_usable(*at)).map(|(_, member)| member.address).collect()
}

fn id(pools: &Pools, last: u8) -> MemberId {
    let state = state(pools, 0);
    state.members().iter().find(|member| member.address == address(last)).unwrap().id
}

fn addresses(last: &[u8]) -> Vec<SocketAddr> {
    last.iter().copied().map(address).collect()
}

fn target(last: u8, path: &str) -> Arc<CheckTarget> {
    Arc::new(CheckTarget { address: address(last), check: check(path) })
}

#[test]
fn a_failed_target_leaves_every_pool_that_asked_for_it_and_no_other() {
    let asking = |path| Some(pool(&[1, 2], Some(check(path))));
    let mut pools = adopted(vec![asking("/a"), asking("/b"), Some(pool(&[1], None)), None, asking("/a")]);
    let event = pools.handle_result(&target(1, "/a"), Err(CheckFailure::Broken), START);
    let Some(PoolEvent::BackendFailed { askers, .. }) = event else { panic!("{event:?}") };
    assert_eq!((askers.first.to_string(), askers.count), ("tenant-00000".to_owned(), 2));
    assert_eq!(usable(&pools, 0), addresses(&[2]));
    assert_eq!(usable(&pools, 1), addresses(&[1, 2]));
    assert_eq!(usable(&pools, 2), addresses(&[1]));
    assert!(pools.states().pool(TenantIndex(3), PoolIndex::UNNAMED).is_none());
    assert_eq!(usable(&pools, 4), addresses(&[2]));

    pools.handle_result(&target(1, "/a"), Ok(()), START);
    let event = pools.handle_result(&target(1, "/a"), Ok(()), seconds(4));
    assert!(matches!(event, Some(PoolEvent::BackendRecovered { .. })));
    assert_eq!(usable(&pools, 4), addresses(&[1, 2]));
    assert_eq!(state(&pools, 0).members()[0].since, Some(seconds(4)));
}

#[test]
fn a_backend_that_fails_requests_is_out_for_its_time_and_comes_back() {
    let mut pools = adopted(vec![Some(pool(&[1, 2, 3], None))]);
    let first = id(&pools, 1);
    let event = pools.handle_failures(first, Row::Full, START);
    let pool = PoolId { tenant: "tenant-00000".parse().unwrap(), name: None };
    let out = Duration::from_secs(30);
    assert_eq!(
        event,
        Some(PoolEvent::BackendEjected { pool: pool.clone(), address: address(1), out, fault: None })
    );
    assert_eq!(usable(&pools, 0), addresses(&[2, 3]));
    assert_eq!(state(&pools, 0).members()[0].condition, Condition::Ejected(seconds(30)));
    assert_eq!(pools.handle_failures(first, Row::Full, seconds(1)), None, "it is out already");

    assert_eq!(pools.poll_return_timeout(), Some(seconds(30)));
    assert!(pools.handle_timeout(seconds(29)).is_empty());
    let returned = PoolEvent::BackendReturned { pool, address: address(1) };
    assert_eq!(pools.handle_timeout(seconds(30)), [returned]);
    assert_eq!(usable(&pools, 0), addresses(&[1, 2, 3]));
    assert_eq!((pools.poll_return_timeout(), state(&pools, 0).members()[0].since), (None, Some(seconds(30))));
}

#[test]
fn a_backend_without_answers_is_told_of_once_a_minute_and_who_answers_is_not() {
    let mut pools = adopted(vec![Some(pool(&[1, 2], None))]);
    let streak = |last: usize| Arc::clone(&state(&pools, 0).members()[last - 1].streak);
    let (refusing, answering) = (streak(1), streak(2));
    refusing.failed(5, Fault::Refused.number());
    answering.failed(5, Fault::Status(500).number());
    let (first, second) = (id(&pools, 1), id(&pools, 2));
    let pool = PoolId { tenant: "tenant-00000".parse().unwrap(), name: None };
    let told = PoolEvent::BackendFailing { pool, address: address(1), fault: Fault::Refused };
    assert_eq!(pools.handle_failures(first, Row::Begun, seconds(0)), Some(told.clone()));
    assert_eq!(pools.handle_failures(second, Row::Begun, seconds(0)), None);
    assert_eq!(pools.handle_failures(first, Row::Begun, seconds(59)), None);
    assert_eq!(usable(&pools, 0), addresses(&[1, 2]), "a row that begins takes nobody out");
    assert_eq!(pools.handle_failures(first, Row::Begun, seconds(60)), Some(told));
}

#[test]
fn no_more_than_half_of_a_pool_is_ever_out() {
    let mut pools = adopted(vec![Some(pool(&[1, 2, 3, 4], None))]);
    let out =
        (1..=4).filter(|last| pools.handle_failures(id(&pools, *last), Row::Full, START).is_some()).count();
    assert_eq!(out, 2);
    let mut one = adopted(vec![Some(pool(&[1], None))]);
    assert_eq!(one.handle_failures(id(&one, 1), Row::Full, START), None);
}

#[test]
fn when_checks_take_the_rest_the_ejected_are_needed() {
    let mut pools = adopted(vec![Some(pool(&[1, 2, 3, 4], Some(check("/"))))]);
    pools.handle_failures(id(&pools, 1), Row::Full, START);
    pools.handle_failures(id(&pools, 2), Row::Full, START);
    assert_eq!(usable(&pools, 0), addresses(&[3, 4]));
    pools.handle_result(&target(3, "/"), Err(CheckFailure::Broken), START);
    assert!(state(&pools, 0).is_panic());
    assert_eq!(usable(&pools, 0), addresses(&[1, 2, 4]));
    pools.handle_result(&target(3, "/"), Ok(()), START);
    pools.handle_result(&target(3, "/"), Ok(()), START);
    assert!(!state(&pools, 0).is_panic());
    assert_eq!(usable(&pools, 0), addresses(&[3, 4]));
}

#[test]
fn a_pool_without_ejection_keeps_its_backends() {
    let mut pools = adopted(vec![Some(Pool { ejection: None, ..pool(&[1, 2], None) })]);
    assert_eq!(pools.handle_failures(id(&pools, 1), Row::Full, START), None);
}

#[test]
fn a_new_policy_keeps_what_is_believed_of_backends_that_stay() {
    let mut pools = adopted(vec![Some(pool(&[1, 2], None))]);
    let (first, counts) = (id(&pools, 1), Arc::clone(state(&pools, 0).counts()));
    pools.handle_failures(first, Row::Full, START);
    adopt(&mut pools, vec![Some(pool(&[2, 3, 1], None)), Some(pool(&[1], None))], seconds(5));
    assert_eq!(usable(&pools, 0), addresses(&[2, 3]));
    assert_eq!(usable(&pools, 1), addresses(&[1]), "another pool has its own view");
    assert_eq!(id(&pools, 1), first);
    assert!(Arc::ptr_eq(&counts, state(&pools, 0).counts()));
    let since: Vec<_> = state(&pools, 0).members().iter().map(|member| member.since).collect();
    assert_eq!(since, [None, Some(seconds(5)), None], "only the third has just come");
    assert_eq!(pools.handle_timeout(seconds(30)).len(), 1);
    assert_eq!(usable(&pools, 0), addresses(&[2, 3, 1]));
}

#[test]
fn a_backend_that_comes_to_others_that_are_well_waits_for_its_first_check() {
    let checked = |all: &[u8]| vec![Some(pool(all, Some(check("/"))))];
    let mut pools = adopted(checked(&[1, 2]));
    assert_eq!(usable(&pools, 0), addresses(&[1, 2]), "nobody is known to be well at the beginning");
    assert_eq!(pools.handle_result(&target(1, "/"), Ok(()), START), None);
    assert_eq!(usable(&pools, 0), addresses(&[1, 2]), "nor do those wait that were there with the first");
    pools.handle_result(&target(2, "/"), Ok(()), START);

    adopt(&mut pools, checked(&[1, 2, 3, 4, 5, 6, 7]), seconds(5));
    assert_eq!(usable(&pools, 0), addresses(&[1, 2]));
    assert_eq!(state(&pools, 0).members()[2].condition, Condition::Unchecked);
    assert!(!state(&pools, 0).is_panic(), "those that have not begun are no loss");
    let due: Vec<_> = std::iter::from_fn(|| pools.poll_check(seconds(5))).map(|t| t.address).collect();
    assert!((3..=7).all(|last| due.contains(&address(last))), "they are checked at once: {due:?}");

    let event = pools.handle_result(&target(3, "/"), Ok(()), seconds(6));
    let askers = Askers { first: PoolId { tenant: "tenant-00000".parse().unwrap(), name: None }, count: 1 };
    assert_eq!(event, Some(PoolEvent::BackendAdmitted { target: target(3, "/"), askers }));
    let event = pools.handle_result(&target(4, "/"), Err(CheckFailure::Unreachable), seconds(6));
    assert!(matches!(event, Some(PoolEvent::BackendFailed { .. })));
    assert_eq!(usable(&pools, 0), addresses(&[1, 2, 3]));
    assert_eq!(state(&pools, 0).members()[2].since, Some(seconds(6)), "its slow start begins then");
    adopt(&mut pools, checked(&[1, 2, 3, 5]), seconds(7));
    assert_eq!(usable(&pools, 0), addresses(&[1, 2, 3]), "another policy changes nothing for who waits");
}

#[test]
fn who_waits_for_its_first_check_is_needed_when_nobody_else_is_well() {
    let checked = |all: &[u8]| vec![Some(pool(all, Some(check("/"))))];
    let mut pools = adopted(checked(&[1]));
    pools.handle_result(&target(1, "/"), Ok(()), START);
    adopt(&mut pools, checked(&[1, 2]), seconds(5));
    assert_eq!(usable(&pools, 0), addresses(&[1]));
    for _ in 0..3 {
        pools.handle_result(&target(1, "/"), Err(CheckFailure::Broken), seconds(6));
    }
    assert_eq!(usable(&pools, 0), addresses(&[2]));
    adopt(&mut pools, checked(&[2, 3]), seconds(7));
    assert_eq!(usable(&pools, 0), addresses(&[2, 3]), "all are new");
}

#[test]
fn what_is_gone_is_ignored() {
    let mut pools = adopted(vec![Some(pool(&[1, 2], Some(check("/"))))]);
    let gone = id(&pools, 1);
    pools.handle_failures(gone, Row::Full, START);
    adopt(&mut pools, vec![Some(pool(&[2], Some(check("/"))))], START);
    assert_eq!(pools.handle_failures(gone, Row::Full, START), None);
    assert_eq!(pools.handle_result(&target(1, "/"), Err(CheckFailure::Broken), START), None);
    assert!(pools.handle_timeout(seconds(60)).is_empty());
}

#[test]
fn a_tenant_s_retries_are_paid_from_one_purse_whatever_the_policy() {
    let mut pools = adopted(vec![Some(pool(&[1], None)), None]);
    let budget = |pools: &Pools, at| Arc::clone(&pools.states().of(TenantIndex(at)).unwrap().budget);
    let (first, second) = (budget(&pools, 0), budget(&pools, 1));
    assert!(!Arc::ptr_eq(&first, &second));
    adopt(&mut pools, vec![Some(pool(&[2], None)), None, None], START);
    assert!(Arc::ptr_eq(&first, &budget(&pools, 0)) && Arc::ptr_eq(&second, &budget(&pools, 1)));
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u16),
    Fail(u8),
    Check(u8, bool),
    Adopt(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u16..50_000).prop_map(Step::Wait),
        (0_u8..6).prop_map(Step::Fail),
        (0_u8..6, any::<bool>()).prop_map(|(last, success)| Step::Check(last, success)),
        prop::collection::vec(0_u8..6, 1..6).prop_map(Step::Adopt),
    ]
}

proptest! {
    /// Whatever happens: those out by ejection are at most half, each of them has its time, and requests go to somebody
    /// as long as somebody passes the check.
    #[test]
    fn a_pool_is_never_emptied_by_ejections(steps in prop::collection::vec(step(), 0..80)) {
        let checked = |all: &[u8]| vec![Some(pool(all, Some(check("/"))))];
        let mut pools = adopted(checked(&[1, 2, 3]));
        let mut now = START;
        for step in steps {
            match step {
                Step::Wait(millis) => now = now + Duration::from_millis(millis.into()),
                Step::Fail(last) => {
                    let known = state(&pools, 0).members().iter().find(|m| m.address == address(last)).map(|m| m.id);
                    known.and_then(|id| pools.handle_failures(id, Row::Full, now));
                }
                Step::Check(last, success) => {
                    let result = if success { Ok(()) } else { Err(CheckFailure::Broken) };
                    pools.handle_result(&target(last, "/"), result, now);
                }
                Step::Adopt(all) => {
                    let before = state(&pools, 0).members().len();
                    adopt(&mut pools, checked(&all), now);
                    prop_assert!(before > 0);
                }
            }
            pools.handle_timeout(now);
            let state = state(&pools, 0);
            let ejected = pools.entries[0].members().iter().filter(|member| member.ejection.is_out()).count();
            prop_assert_eq!(pools.out.len(), ejected);
            prop_assert!(pools.out.iter().all(|(until, _)| *until > now && until.since(now) <= EjectionRule::default().max));
            let passes = state.members().iter().any(|member| member.condition != Condition::Failed);
            prop_assert_eq!(state.is_able(), passes);
        }
    }
}
