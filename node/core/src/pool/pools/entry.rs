//! One pool with what is believed of its backends, and the state that requests find.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{PlannedMember, PlannedPool, Pools};
use crate::Moment;
use crate::policy::Pool;
use crate::pool::ejection::{self, Ejection};
use crate::pool::health::Belief;
use crate::pool::{Condition, Fault, Member, MemberId, PoolCounts, PoolId, PoolState};
use crate::shared::Streak;

/// One pool.
#[derive(Debug)]
pub(super) struct Entry {
    id: PoolId,
    pool: Pool,
    counts: Arc<PoolCounts>,
    members: Vec<EntryMember>,
    state: Arc<PoolState>,
}

/// One of its backends.
#[derive(Debug, Clone)]
pub(super) struct EntryMember {
    pub(super) id: MemberId,
    pub(super) target: Option<usize>,
    pub(super) ejection: Ejection,
    address: SocketAddr,
    weight: u32,
    streak: Arc<Streak>,
    /// Whether it has come while others were known to be well, and its first check has not ended.
    waits: bool,
    /// When it was said last that requests fail there.
    told: Option<Moment>,
    /// Since when it has been usable, if it was not from the pool's beginning.
    since: Option<Moment>,
}

impl Entry {
    /// The pool as planned, with what is known of it from `before`.
    pub(super) fn new(
        (id, pool): (PoolId, Pool),
        planned: &PlannedPool,
        before: Option<Self>,
        next: &mut u64,
        now: Moment,
    ) -> Self {
        let existed = before.is_some();
        let (counts, known) = before.map_or_else(Default::default, |before| {
            let known: BTreeMap<_, _> = before.members.into_iter().map(|m| (m.address, m)).collect();
            (before.counts, known)
        });
        let member = |planned: &PlannedMember| {
            let address = planned.address;
            let fresh = || {
                *next += 1;
                EntryMember::new(MemberId(*next), address, existed.then_some(now))
            };
            let member = known.get(&address).cloned().unwrap_or_else(fresh);
            EntryMember { target: planned.target, weight: planned.weight, ..member }
        };
        let members = planned.members.iter().map(member).collect();
        let state = Arc::new(PoolState::new(&pool, Vec::new(), false, Arc::clone(&counts), now));
        let mut entry = Self { id, pool, counts, members, state };
        if entry.pool.ejection.is_none() {
            entry.members.iter_mut().for_each(|member| member.ejection = Ejection::default());
        }
        entry
    }

    pub(super) fn id(&self) -> &PoolId {
        &self.id
    }

    pub(super) fn members(&self) -> &[EntryMember] {
        &self.members
    }

    pub(super) fn state(&self) -> &Arc<PoolState> {
        &self.state
    }

    pub(super) fn address(&self, member: usize) -> Option<SocketAddr> {
        self.members.get(member).map(|member| member.address)
    }

    /// Those that have just come wait for their first check, if others are known to be well.
    pub(super) fn await_checks(&mut self, belief: impl Fn(usize) -> Belief) {
        let others = self.is_any_healthy(&belief);
        for member in &mut self.members {
            member.waits &= others && member.target.is_some_and(|target| belief(target) == Belief::Unknown);
        }
    }

    /// The first check of a target has ended: whether a member has waited for that.
    pub(super) fn handle_first_check(&mut self, target: usize, now: Moment) -> bool {
        let mut waited = false;
        for member in self.members.iter_mut().filter(|member| member.waits && member.target == Some(target)) {
            (member.waits, member.since, waited) = (false, Some(now), true);
        }
        waited
    }

    fn is_any_healthy(&self, belief: impl Fn(usize) -> Belief) -> bool {
        let mut targets = self.members.iter().filter_map(|member| member.target);
        targets.any(|target| belief(target) == Belief::Healthy)
    }

    /// Members have just become usable.
    pub(super) fn came(&mut self, which: impl Fn(&EntryMember) -> bool, now: Moment) {
        self.members.iter_mut().filter(|member| which(member)).for_each(|member| member.since = Some(now));
    }

    /// Why the last request failed at a member.
    pub(super) fn fault(&self, member: usize) -> Option<Fault> {
        Fault::from_number(self.members.get(member)?.streak.last())
    }

    /// Whether it is to be said now that requests fail at a member.
    pub(super) fn tells(&mut self, member: usize, now: Moment) -> bool {
        let Some(member) = self.members.get_mut(member) else { return false };
        let tells = member.told.is_none_or(|told| now.since(told) >= Pools::FAILING_PAUSE);
        if tells {
            member.told = Some(now);
        }
        tells
    }

    /// Takes a backend out, if that may be; until when.
    pub(super) fn eject(&mut self, member: usize, now: Moment) -> Option<Moment> {
        let rule = self.pool.ejection?;
        let out = self.members.iter().filter(|member| member.ejection.is_out()).count();
        let count = self.members.iter().filter(|member| !member.waits).count();
        let member = self.members.get_mut(member).filter(|member| !member.ejection.is_out())?;
        if !ejection::may_eject(count, out) {
            return None;
        }
        member.ejection.eject(&rule, now);
        member.ejection.poll_timeout()
    }

    /// Time has passed: whether a backend has come back with that.
    pub(super) fn handle_timeout(&mut self, member: usize, now: Moment) -> bool {
        let Some(member) = self.members.get_mut(member) else { return false };
        let back = member.ejection.handle_timeout(now);
        if back {
            member.streak.succeeded();
            member.since = Some(now);
        }
        back
    }

    /// Works what is believed into the state that requests find.
    pub(super) fn rebuild(&mut self, belief: impl Fn(usize) -> Belief, now: Moment) {
        let others = self.is_any_healthy(&belief);
        let members: Vec<_> = self.members.iter().map(|member| member.seen(&belief, others)).collect();
        let count = |which: fn(Condition) -> bool| members.iter().filter(|m| which(m.condition)).count();
        let left = count(|condition| condition == Condition::Usable);
        // Who has not begun to serve is no loss.
        let all = count(|condition| condition != Condition::Unchecked);
        let panic = self
            .pool
            .ejection
            .is_some_and(|rule| left < all && ejection::is_panic(all, left, rule.panic_percent));
        let counts = Arc::clone(&self.counts);
        self.state = Arc::new(PoolState::new(&self.pool, members, panic, counts, now));
    }
}

impl EntryMember {
    fn new(id: MemberId, address: SocketAddr, since: Option<Moment>) -> Self {
        Self {
            id,
            target: None,
            ejection: Ejection::default(),
            address,
            weight: 1,
            streak: Arc::default(),
            waits: true,
            told: None,
            since,
        }
    }

    fn seen(&self, belief: impl Fn(usize) -> Belief, others: bool) -> Member {
        let condition = match (self.target.map(belief), self.ejection.poll_timeout()) {
            (Some(Belief::Failed), _) => Condition::Failed,
            (Some(Belief::Unknown), _) if self.waits && others => Condition::Unchecked,
            (_, Some(until)) => Condition::Ejected(until),
            _ => Condition::Usable,
        };
        let streak = Arc::clone(&self.streak);
        Member {
            address: self.address,
            weight: self.weight,
            condition,
            since: self.since,
            id: self.id,
            streak,
        }
    }
}
