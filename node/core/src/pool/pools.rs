//! What is believed of every backend of this region: by its checks, by the outcomes of requests, and since when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::health::Belief;
use super::plan::{PlannedMember, PlannedPool};
use super::{Askers, CheckFailure, CheckTarget, Checks, MemberId, Names, Plan, PoolEvent, PoolId};
use super::{PoolStates, TenantPools, Transition};
use crate::policy::{Policy, Pool, PoolIndex, TenantId};
use crate::shared::{RetryBudget, Row};
use crate::{Moment, RegionIndex};

mod entry;

use entry::Entry;

/// Every pool of one region, under one policy.
///
/// Whatever changes is worked into the states of the pools that it concerns; [`states`](Self::states) has all of them.
#[derive(Debug, Default)]
pub struct Pools {
    checks: Checks,
    /// As the plan has them.
    entries: Vec<Entry>,
    /// How many tenants the policy has.
    tenants: usize,
    /// By tenant, what pays for retries.
    budgets: Vec<Arc<RetryBudget>>,
    ids: BTreeMap<PoolId, usize>,
    tenant_ids: BTreeMap<TenantId, usize>,
    members: BTreeMap<MemberId, (usize, usize)>,
    /// Backends that are out, by the time when they come back.
    out: BTreeSet<(Moment, MemberId)>,
    /// The number that the next new backend gets.
    next: u64,
}

impl Pools {
    /// How seldom it is said of one backend that requests without an answer fail there.
    pub const FAILING_PAUSE: Duration = Duration::from_mins(1);

    /// Replaces policy and addresses. Backends that stay keep what is believed of them; to a pool that stays, others come
    /// as new ones.
    pub fn adopt(&mut self, policy: &Policy, region: Option<RegionIndex>, names: &Names, now: Moment) {
        let plan = region.map_or_else(Plan::default, |region| Plan::of(policy, region, names));
        self.checks.adopt(plan, now);
        let mut old: Vec<_> = std::mem::take(&mut self.entries).into_iter().map(Some).collect();
        let known = std::mem::take(&mut self.ids);
        let plan = self.checks.plan().pools();
        let mut entries = Vec::with_capacity(plan.len());
        for planned in plan {
            let Some((id, pool)) = describe(policy, region, planned) else { continue };
            let before = known.get(&id).and_then(|at| old.get_mut(*at)).and_then(Option::take);
            let mut entry = Entry::new((id, pool.clone()), planned, before, &mut self.next, now);
            entry.await_checks(|target| self.checks.belief(target));
            entry.rebuild(|target| self.checks.belief(target), now);
            entries.push(entry);
        }
        self.entries = entries;
        self.adopt_budgets(policy);
        self.index();
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_return_timeout(&self) -> Option<Moment> {
        self.out.first().map(|(until, _)| *until)
    }

    /// The next check to start now. Its end must be told to [`handle_result`](Self::handle_result).
    pub fn poll_check(&mut self, now: Moment) -> Option<Arc<CheckTarget>> {
        self.checks.poll_check(now)
    }

    /// When [`poll_check`](Self::poll_check) will have a check.
    pub fn poll_check_timeout(&self) -> Option<Moment> {
        self.checks.poll_timeout()
    }

    /// A check has ended.
    pub fn handle_result(
        &mut self,
        target: &Arc<CheckTarget>,
        result: Result<(), CheckFailure>,
        now: Moment,
    ) -> Option<PoolEvent> {
        let position = self.checks.plan().position(target)?;
        let is_first = self.checks.belief(position) == Belief::Unknown;
        let transition = self.checks.handle_result(target, result);
        if transition.is_none() && !is_first {
            return None;
        }
        let mut waited = false;
        for asker in self.checks.plan().askers(position) {
            let Some(entry) = self.entries.get_mut(*asker) else { continue };
            waited |= is_first && entry.handle_first_check(position, now);
            if transition == Some(Transition::Recovered) {
                entry.came(|member| member.target == Some(position), now);
            }
            entry.rebuild(|target| self.checks.belief(target), now);
        }
        let (target, askers) = (Arc::clone(target), self.askers(position)?);
        match (transition, result) {
            (Some(Transition::Failed), Err(failure)) => {
                Some(PoolEvent::BackendFailed { target, askers, failure })
            }
            (Some(_), _) => Some(PoolEvent::BackendRecovered { target, askers }),
            (None, _) => waited.then_some(PoolEvent::BackendAdmitted { target, askers }),
        }
    }

    /// A row of requests that fail at a backend has begun or is full. With that, it is out for a while, unless as many are
    /// as may be; that it fails at all is said once in [`FAILING_PAUSE`](Self::FAILING_PAUSE). One that is gone is ignored.
    pub fn handle_failures(&mut self, id: MemberId, row: Row, now: Moment) -> Option<PoolEvent> {
        let (at, member) = *self.members.get(&id)?;
        let entry = self.entries.get_mut(at)?;
        let (pool, address) = (entry.id().clone(), entry.address(member)?);
        let fault = entry.fault(member);
        let Some(until) = (row == Row::Full).then(|| entry.eject(member, now)).flatten() else {
            let fault = fault.filter(|fault| !fault.is_answer())?;
            return entry.tells(member, now).then_some(PoolEvent::BackendFailing { pool, address, fault });
        };
        self.out.insert((until, id));
        entry.rebuild(|target| self.checks.belief(target), now);
        Some(PoolEvent::BackendEjected { pool, address, out: until.since(now), fault })
    }

    /// Time has passed: backends whose time out is over come back.
    pub fn handle_timeout(&mut self, now: Moment) -> Vec<PoolEvent> {
        let mut events = Vec::new();
        while let Some((_, id)) = self.out.first().copied().filter(|(until, _)| *until <= now) {
            self.out.pop_first();
            events.extend(self.bring_back(id, now));
        }
        events
    }

    /// Every pool as it is.
    pub fn states(&self) -> PoolStates {
        let mut tenants: Vec<Vec<_>> = vec![Vec::new(); self.tenants];
        for (planned, entry) in self.checks.plan().pools().iter().zip(&self.entries) {
            let Some(pools) = tenants.get_mut(planned.tenant.0 as usize) else { continue };
            let PoolIndex(at) = planned.index;
            pools.resize(usize::from(at), None);
            pools.push(Some(Arc::clone(entry.state())));
        }
        let budgets = self.budgets.iter().map(Arc::clone);
        let pools = tenants.into_iter().zip(budgets);
        PoolStates::new(
            pools.map(|(pools, budget)| TenantPools { pools: pools.into_boxed_slice(), budget }).collect(),
        )
    }

    fn askers(&self, target: usize) -> Option<Askers> {
        let askers = self.checks.plan().askers(target);
        let first = self.entries.get(*askers.first()?)?.id().clone();
        Some(Askers { first, count: askers.len() })
    }

    fn bring_back(&mut self, id: MemberId, now: Moment) -> Option<PoolEvent> {
        let (at, member) = *self.members.get(&id)?;
        let entry = self.entries.get_mut(at)?;
        if !entry.handle_timeout(member, now) {
            return None;
        }
        entry.rebuild(|target| self.checks.belief(target), now);
        Some(PoolEvent::BackendReturned { pool: entry.id().clone(), address: entry.address(member)? })
    }

    fn adopt_budgets(&mut self, policy: &Policy) {
        let old = std::mem::take(&mut self.budgets);
        let known = |id: &TenantId| self.tenant_ids.get(id).and_then(|at| old.get(*at)).map(Arc::clone);
        self.budgets = policy.tenants.iter().map(|tenant| known(&tenant.id).unwrap_or_default()).collect();
        self.tenants = policy.tenants.len();
        self.tenant_ids =
            policy.tenants.iter().enumerate().map(|(at, tenant)| (tenant.id.clone(), at)).collect();
    }

    fn index(&mut self) {
        self.ids = self.entries.iter().enumerate().map(|(at, entry)| (entry.id().clone(), at)).collect();
        let members = self.entries.iter().enumerate().flat_map(|(at, entry)| {
            entry.members().iter().enumerate().map(move |(position, member)| (member.id, (at, position)))
        });
        self.members = members.collect();
        let out = self.entries.iter().flat_map(Entry::members);
        self.out = out.filter_map(|member| Some((member.ejection.poll_timeout()?, member.id))).collect();
    }
}

fn describe<'p>(
    policy: &'p Policy,
    region: Option<RegionIndex>,
    planned: &PlannedPool,
) -> Option<(PoolId, &'p Pool)> {
    let tenant = policy.tenant(planned.tenant)?;
    let id = PoolId { tenant: tenant.id.clone(), name: tenant.pool_name(planned.index).cloned() };
    Some((id, tenant.pool_at(region?, planned.index)?))
}

#[cfg(test)]
mod tests;
