//! What has to be checked for one region's pools, each target once however many tenants share it?

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::PoolStates;
use crate::policy::{HealthCheck, Pool};
use crate::{Policy, RegionIndex};

/// One backend under one check.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckTarget {
    /// The backend.
    pub address: SocketAddr,
    /// The check.
    pub check: HealthCheck,
}

/// The distinct targets of one region under one policy, and which pool asks for which.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    targets: Vec<Arc<CheckTarget>>,
    pools: Vec<Option<Vec<Member>>>,
}

/// One backend of one pool.
#[derive(Debug, Clone, Copy)]
struct Member {
    address: SocketAddr,
    /// Position of its target; `None` if its pool is not checked.
    target: Option<usize>,
}

impl Plan {
    /// What `policy` asks for in `region`.
    pub fn of(policy: &Policy, region: RegionIndex) -> Self {
        let pools: Vec<_> = policy.tenants.iter().map(|tenant| tenant.pool(region)).collect();
        let mut positions: BTreeMap<(SocketAddr, &HealthCheck), usize> =
            pools.iter().flatten().flat_map(|pool| checked(pool)).map(|key| (key, 0)).collect();
        positions.values_mut().enumerate().for_each(|(position, value)| *value = position);

        let member = |pool: &Pool, address: SocketAddr| Member {
            address,
            target: pool.check.as_ref().and_then(|check| positions.get(&(address, check)).copied()),
        };
        let members = |pool: &Pool| pool.backends.iter().map(|address| member(pool, *address)).collect();
        Self {
            pools: pools.iter().map(|pool| pool.map(members)).collect(),
            targets: positions.keys().map(|(address, check)| target(*address, check)).collect(),
        }
    }

    /// The distinct targets in their order.
    pub fn targets(&self) -> &[Arc<CheckTarget>] {
        &self.targets
    }

    /// The position of `target` in [`targets`](Self::targets).
    pub fn position(&self, target: &CheckTarget) -> Option<usize> {
        self.targets.binary_search_by(|known| known.as_ref().cmp(target)).ok()
    }

    /// The targets with this address in their order, whatever their check.
    pub fn positions_at(&self, address: SocketAddr) -> impl Iterator<Item = usize> {
        let first = self.targets.partition_point(|target| target.address < address);
        let at = move |position: &usize| self.targets.get(*position).is_some_and(|t| t.address == address);
        (first..).take_while(at)
    }

    /// Health of every pool, where `is_healthy` tells it of the target at a position. What is not checked is healthy.
    pub fn states(&self, is_healthy: impl Fn(usize) -> bool) -> PoolStates {
        let usable = |member: &&Member| member.target.is_none_or(&is_healthy);
        let healthy = |members: &Vec<Member>| members.iter().filter(usable).map(|m| m.address).collect();
        PoolStates { healthy: self.pools.iter().map(|pool| pool.as_ref().map(healthy)).collect() }
    }
}

fn checked(pool: &Pool) -> impl Iterator<Item = (SocketAddr, &HealthCheck)> {
    pool.check.iter().flat_map(|check| pool.backends.iter().map(move |address| (*address, check)))
}

fn target(address: SocketAddr, check: &HealthCheck) -> Arc<CheckTarget> {
    Arc::new(CheckTarget { address, check: HealthCheck::clone(check) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::TenantIndex;
    use crate::pool::testing::{address, check, policy, pool, region};

    #[test]
    fn tenants_that_share_a_backend_and_a_check_share_a_target() {
        let shared = pool(&[1, 2], Some(check("/up")));
        let plan = Plan::of(&policy(vec![Some(shared.clone()), Some(shared)]), region(0));
        let addresses: Vec<_> = plan.targets().iter().map(|target| target.address).collect();
        assert_eq!(addresses, [address(1), address(2)]);
    }

    #[test]
    fn two_checks_of_one_backend_are_two_targets() {
        let pools = vec![Some(pool(&[1], Some(check("/a")))), Some(pool(&[1], Some(check("/b"))))];
        let plan = Plan::of(&policy(pools), region(0));
        let paths: Vec<_> = plan.targets().iter().map(|target| target.check.path.as_str()).collect();
        assert_eq!(paths, ["/a", "/b"]);
        assert_eq!(plan.positions_at(address(1)).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(plan.positions_at(address(2)).count(), 0);
    }

    #[test]
    fn a_failed_target_leaves_every_pool_that_asked_for_it_and_no_other() {
        let pools = vec![
            Some(pool(&[1, 2], Some(check("/a")))),
            Some(pool(&[1], Some(check("/b")))),
            Some(pool(&[1], None)),
            None,
            Some(pool(&[1], Some(check("/a")))),
        ];
        let plan = Plan::of(&policy(pools), region(0));
        let failed = plan.position(&CheckTarget { address: address(1), check: check("/a") });
        let states = plan.states(|position| Some(position) != failed);

        assert_eq!(states.of(TenantIndex(0)), Some([address(2)].as_slice()));
        assert_eq!(states.of(TenantIndex(1)), Some([address(1)].as_slice()));
        assert_eq!(states.of(TenantIndex(2)), Some([address(1)].as_slice()));
        assert_eq!(states.of(TenantIndex(3)), None);
        assert_eq!(states.of(TenantIndex(4)), Some([].as_slice()));
        assert_eq!(states.of(TenantIndex(5)), None);
    }

    #[test]
    fn only_the_pools_of_the_region_count() {
        let plan = Plan::of(&policy(vec![Some(pool(&[1], Some(check("/"))))]), region(1));
        assert!(plan.targets().is_empty());
        assert_eq!(plan.states(|_| true).of(TenantIndex(0)), None);
    }

    fn pools() -> impl Strategy<Value = Vec<Option<Pool>>> {
        let check = prop_oneof![Just(None), Just(Some(check("/a"))), Just(Some(check("/b")))];
        let backends = prop::collection::vec(0_u8..6, 1..5);
        let pool = (backends, check).prop_map(|(backends, check)| pool(&backends, check));
        prop::collection::vec(prop::option::of(pool), 0..12)
    }

    proptest! {
        #[test]
        fn targets_are_exactly_the_distinct_checked_backends(pools in pools()) {
            let plan = Plan::of(&policy(pools.clone()), region(0));
            let expected: BTreeSet<_> = pools
                .iter()
                .flatten()
                .filter_map(|pool| pool.check.clone().map(|check| (pool, check)))
                .flat_map(|(pool, check)| pool.backends.iter().map(move |a| (*a, check.clone())))
                .collect();
            let targets: Vec<_> =
                plan.targets().iter().map(|target| (target.address, target.check.clone())).collect();
            prop_assert_eq!(targets, expected.into_iter().collect::<Vec<_>>());
            for (position, target) in plan.targets().iter().enumerate() {
                prop_assert_eq!(plan.position(target), Some(position));
            }
        }

        #[test]
        fn a_pool_keeps_the_order_of_its_healthy_backends(pools in pools(), failed in any::<u16>()) {
            let plan = Plan::of(&policy(pools.clone()), region(0));
            let is_healthy = |position: usize| failed & (1 << position) == 0;
            let states = plan.states(is_healthy);
            prop_assert_eq!(states.healthy.len(), pools.len());
            for (pool, healthy) in pools.iter().zip(&states.healthy) {
                let expected = pool.as_ref().map(|pool| {
                    let usable = |address: &&SocketAddr| pool.check.as_ref().is_none_or(|check| {
                        let target = CheckTarget { address: **address, check: check.clone() };
                        plan.position(&target).is_some_and(is_healthy)
                    });
                    pool.backends.iter().filter(usable).copied().collect::<Vec<_>>()
                });
                prop_assert_eq!(healthy, &expected);
            }
        }
    }
}
