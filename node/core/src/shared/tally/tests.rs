//! Counters by tenant and worker.

use proptest::prelude::*;

use super::*;
use crate::decide::testing::{document, policy};
use crate::policy::Tenant;

fn tenant(id: &str) -> Tenant {
    document(id, &[&[0]])
}

fn outcome(status: u16, total_ms: u64) -> Outcome {
    Outcome {
        role: Role::Edge,
        status: Some(status),
        reason: None,
        attempts: 1,
        bytes_up: 3,
        bytes_down: 5,
        complete: true,
        total: Duration::from_millis(total_ms),
    }
}

const FIRST: Option<TenantIndex> = Some(TenantIndex(0));

#[test]
fn workers_are_added_up_and_roles_are_not() {
    let policy = policy(1, vec![tenant("a"), tenant("b")]);
    let tallies = Tallies::new(&policy, 2);
    tallies.count(FIRST, 0, &outcome(200, 1));
    tallies.count(FIRST, 1, &Outcome { attempts: 3, complete: false, ..outcome(503, 4) });
    tallies.count(FIRST, 1, &Outcome { role: Role::Serving, ..outcome(200, 1) });
    let totals = tallies.totals(FIRST, Role::Edge);
    assert_eq!(totals.classes, [0, 1, 0, 0, 1, 0]);
    assert_eq!((totals.duration_us, totals.bytes_up, totals.bytes_down), (5_000, 6, 10));
    assert_eq!((totals.repeats, totals.broken), (2, 1));
    assert_eq!(tallies.totals(FIRST, Role::Serving).requests(), 1);
    assert_eq!(tallies.totals(Some(TenantIndex(1)), Role::Edge), Totals::default());
}

#[test]
fn a_tenant_keeps_its_counters_when_its_position_changes() {
    let before = policy(1, vec![tenant("b"), tenant("c")]);
    let tallies = Tallies::new(&before, 1);
    tallies.count(Some(TenantIndex(1)), 0, &outcome(200, 1));
    tallies.count(None, 0, &outcome(404, 1));
    let after = policy(1, vec![tenant("a"), tenant("b"), tenant("c")]);
    let followed = tallies.follow(&before, &after);
    // A request that began before ends after.
    tallies.count(Some(TenantIndex(1)), 0, &outcome(200, 1));
    let requests = |at| followed.totals(Some(TenantIndex(at)), Role::Edge).requests();
    assert_eq!([requests(0), requests(1), requests(2)], [0, 0, 2]);
    assert_eq!(followed.totals(None, Role::Edge).requests(), 1);
}

#[test]
fn what_is_nobodys_or_no_workers_is_counted_nowhere_else() {
    let policy = policy(1, vec![tenant("a")]);
    let tallies = Tallies::new(&policy, 1);
    tallies.count(Some(TenantIndex(7)), 0, &outcome(200, 1));
    tallies.count(FIRST, 9, &outcome(200, 1));
    tallies.count(None, 0, &Outcome { reason: Some(Reason::UnknownTenant), ..outcome(404, 0) });
    assert_eq!(tallies.totals(FIRST, Role::Edge).requests(), 0);
    assert_eq!(tallies.totals(None, Role::Edge).reasons[Reason::UnknownTenant as usize], 1);
}

#[test]
fn a_duration_is_in_the_first_bucket_that_holds_it() {
    assert_eq!(bucket(Duration::ZERO), 0);
    assert_eq!(bucket(Duration::from_millis(1)), 0);
    assert_eq!(bucket(Duration::from_micros(1_001)), 1);
    assert_eq!(bucket(Duration::from_secs(10)), BUCKETS - 2);
    assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
}

proptest! {
    #[test]
    fn what_is_accumulated_is_what_was_counted(steps in prop::collection::vec((100u16..600, 0u64..20_000), 0..50)) {
        let policy = policy(1, vec![tenant("a")]);
        let tallies = Tallies::new(&policy, 1);
        let (mut seen, mut sum) = (Totals::default(), Totals::default());
        for (status, total) in steps {
            tallies.count(FIRST, 0, &outcome(status, total));
            let now = tallies.totals(FIRST, Role::Edge);
            now.accumulate(&seen, &mut sum);
            seen = now;
        }
        prop_assert_eq!(sum, seen);
        prop_assert_eq!(sum.durations.iter().sum::<u64>(), sum.requests());
    }
}
