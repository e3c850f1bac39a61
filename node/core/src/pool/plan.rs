//! What are one region's pools under one policy, and what has to be checked for them, each target once however many
//! tenants share it?

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use super::Names;
use crate::policy::{Backend, BackendHost, HealthCheck, Pool, PoolIndex, Tenant, TenantIndex};
use crate::{Policy, RegionIndex};

/// One backend under one check.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckTarget {
    /// The backend.
    pub address: SocketAddr,
    /// The check.
    pub check: HealthCheck,
}

/// The pools of one region under one policy, and the distinct targets of their checks.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    targets: Vec<Arc<CheckTarget>>,
    pools: Vec<PlannedPool>,
    /// By target: the pools that ask for it.
    askers: Vec<Vec<usize>>,
}

/// One pool that is here.
#[derive(Debug, Clone)]
pub(super) struct PlannedPool {
    /// Whose.
    pub(super) tenant: TenantIndex,
    /// Which of the tenant's.
    pub(super) index: PoolIndex,
    /// Its backends, names by their addresses.
    pub(super) members: Vec<PlannedMember>,
}

/// One backend of one pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlannedMember {
    pub(super) address: SocketAddr,
    pub(super) weight: u32,
    /// Position of its target; `None` if its pool is not checked.
    pub(super) target: Option<usize>,
}

impl Plan {
    /// What `policy` asks for in `region`, with the addresses that names have.
    pub fn of(policy: &Policy, region: RegionIndex, names: &Names) -> Self {
        let here = |(at, tenant): (usize, &Arc<Tenant>)| {
            let tenant = Arc::clone(tenant);
            let pools = tenant.pool_indexes().collect::<Vec<_>>().into_iter();
            pools.filter_map(move |index| {
                let members = members(tenant.pool_at(region, index)?, names);
                Some(PlannedPool { tenant: TenantIndex(at as u32), index, members })
            })
        };
        let mut pools: Vec<PlannedPool> = policy.tenants.iter().enumerate().flat_map(here).collect();
        let check =
            |pool: &PlannedPool| policy.tenant(pool.tenant)?.pool_at(region, pool.index)?.check.as_ref();
        let mut askers: BTreeMap<(SocketAddr, &HealthCheck), Vec<usize>> = BTreeMap::new();
        for (at, pool) in pools.iter().enumerate() {
            let check = check(pool);
            for (member, check) in pool.members.iter().filter_map(|member| Some((member, check?))) {
                askers.entry((member.address, check)).or_default().push(at);
            }
        }
        let positions: BTreeMap<_, _> = askers.keys().enumerate().map(|(at, key)| (*key, at)).collect();
        for pool in &mut pools {
            let Some(check) = check(pool) else { continue };
            for member in &mut pool.members {
                member.target = positions.get(&(member.address, check)).copied();
            }
        }
        let target = |(address, check): &(SocketAddr, &HealthCheck)| {
            Arc::new(CheckTarget { address: *address, check: HealthCheck::clone(check) })
        };
        Self { targets: askers.keys().map(target).collect(), askers: askers.into_values().collect(), pools }
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

    /// The pools that are here, by tenant and index.
    pub(super) fn pools(&self) -> &[PlannedPool] {
        &self.pools
    }

    /// The positions of the pools that ask for the target at a position.
    pub(super) fn askers(&self, target: usize) -> &[usize] {
        self.askers.get(target).map_or(&[], |askers| askers)
    }
}

/// The backends of a pool, each address once.
fn members(pool: &Pool, names: &Names) -> Vec<PlannedMember> {
    let mut seen = BTreeSet::new();
    let members = pool.backends.iter().flat_map(|backend| {
        addresses(backend, names).iter().map(|address| PlannedMember {
            address: SocketAddr::new(*address, backend.port),
            weight: backend.weight,
            target: None,
        })
    });
    members.filter(|member| seen.insert(member.address)).take(Pool::BACKENDS_MAX).collect()
}

fn addresses<'a>(backend: &'a Backend, names: &'a Names) -> &'a [std::net::IpAddr] {
    match &backend.host {
        BackendHost::Address(address) => std::slice::from_ref(address),
        BackendHost::Name(name) => names.addresses(name),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::CheckKind;
    use crate::pool::Resolved;
    use crate::pool::testing::{address, check, policy, pool, region};
    use crate::{Moment, policy::Backend};

    fn plan(pools: Vec<Option<Pool>>) -> Plan {
        Plan::of(&policy(pools), region(0), &Names::default())
    }

    fn path(target: &Arc<CheckTarget>) -> &str {
        match &target.check.kind {
            CheckKind::Http { path, .. } => path,
            CheckKind::Tcp | CheckKind::Grpc { .. } => "",
        }
    }

    #[test]
    fn tenants_that_share_a_backend_and_a_check_share_a_target() {
        let shared = pool(&[1, 2], Some(check("/up")));
        let plan = plan(vec![Some(shared.clone()), Some(shared)]);
        let addresses: Vec<_> = plan.targets().iter().map(|target| target.address).collect();
        assert_eq!(addresses, [address(1), address(2)]);
        assert_eq!(plan.askers(0), [0, 1]);
    }

    #[test]
    fn two_checks_of_one_backend_are_two_targets() {
        let plan = plan(vec![Some(pool(&[1], Some(check("/a")))), Some(pool(&[1], Some(check("/b"))))]);
        assert_eq!(plan.targets().iter().map(path).collect::<Vec<_>>(), ["/a", "/b"]);
        assert_eq!(plan.positions_at(address(1)).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(plan.positions_at(address(2)).count(), 0);
        assert_eq!((plan.askers(0), plan.askers(1)), ([0].as_slice(), [1].as_slice()));
    }

    #[test]
    fn only_the_pools_of_the_region_count() {
        let policy = policy(vec![Some(pool(&[1], Some(check("/"))))]);
        let plan = Plan::of(&policy, region(1), &Names::default());
        assert!(plan.targets().is_empty() && plan.pools().is_empty());
    }

    #[test]
    fn names_stand_for_their_addresses_and_no_address_counts_twice() {
        let by_name = Backend { host: BackendHost::Name("b.example".into()), port: 8_080, weight: 3 };
        let mut pool = pool(&[1], None);
        pool.backends.push(by_name);
        let policy = policy(vec![Some(pool)]);
        let mut resolved = Names::default();
        resolved.adopt(&policy, Some(region(0)), Moment::default());
        let weights = |names: &Names| {
            let plan = Plan::of(&policy, region(0), names);
            plan.pools()[0].members.iter().map(|member| (member.address, member.weight)).collect::<Vec<_>>()
        };
        assert_eq!(weights(&resolved), [(address(1), 1)]);
        let found = Resolved { addresses: vec![address(1).ip(), address(2).ip()], ttl: names_ttl() };
        resolved.handle_answer("b.example", Some(found), Moment::default());
        assert_eq!(weights(&resolved), [(address(1), 1), (address(2), 3)]);
    }

    fn names_ttl() -> std::time::Duration {
        std::time::Duration::from_mins(1)
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
            let plan = plan(pools.clone());
            let backends = |pool: &Pool| {
                pool.backends.iter().map(|b| b.to_string().parse::<SocketAddr>().unwrap()).collect::<Vec<_>>()
            };
            let expected: BTreeSet<_> = pools
                .iter()
                .flatten()
                .filter_map(|pool| pool.check.clone().map(|check| (pool, check)))
                .flat_map(|(pool, check)| backends(pool).into_iter().map(move |a| (a, check.clone())))
                .collect();
            let targets: Vec<_> =
                plan.targets().iter().map(|target| (target.address, target.check.clone())).collect();
            prop_assert_eq!(targets, expected.into_iter().collect::<Vec<_>>());
            for (position, target) in plan.targets().iter().enumerate() {
                prop_assert_eq!(plan.position(target), Some(position));
                for asker in plan.askers(position) {
                    let members = &plan.pools()[*asker].members;
                    prop_assert!(members.iter().any(|member| member.target == Some(position)));
                }
            }
        }
    }
}
