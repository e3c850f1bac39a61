//! One pool of this region as requests find it: its backends, which of them are given requests, and which is chosen.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::draw::{Lots, another};
use super::maglev::{self, Maglev, Placed};
use super::{peak_ewma, slow_start};
use crate::Moment;
use crate::policy::{Balance, Pool};
use crate::shared::{Breaker, Streak};

/// One pool of this region: part of a snapshot, replaced whole.
#[derive(Debug)]
pub struct PoolState {
    members: Vec<Member>,
    /// Whether ejections are ignored, because too few backends are left.
    panic: bool,
    counts: Arc<PoolCounts>,
    balance: Balance,
    usable: Lots,
    /// The weights of all usable members together.
    weights: u32,
    table: Option<Maglev>,
    /// Members that have come lately, with the time since when.
    warming: Vec<(u16, Moment)>,
    slow_start: Duration,
}

/// One backend of a pool.
#[derive(Debug, Clone)]
pub struct Member {
    /// Where it is.
    pub address: SocketAddr,
    /// Its share, compared with others.
    pub weight: u32,
    /// Whether it is given requests.
    pub condition: Condition,
    /// Since when it has been usable, if it was not at the pool's beginning.
    pub since: Option<Moment>,
    /// Its number in this process.
    pub id: MemberId,
    /// Its failures in a row.
    pub streak: Arc<Streak>,
}

/// The number of a backend of one pool; no other has it in the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

/// What is believed of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It is given requests.
    Usable,
    /// It fails its check.
    Failed,
    /// It has just come, and waits for its first check, because others are known to be well.
    Unchecked,
    /// Requests failed there too often; it comes back then.
    Ejected(Moment),
}

/// What all workers together have under way at one pool.
#[derive(Debug, Default)]
pub struct PoolCounts {
    /// Requests, from their choice of a backend to the end of the answer.
    pub requests: Breaker,
    /// Requests that wait for a new connection.
    pub connecting: Breaker,
}

/// What a choice depends on beside the pool.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Members that this request has failed at.
    pub tried: &'a [u16],
    /// What the pool's key is for this request, hashed; `None` if it has none.
    pub key: Option<u64>,
    /// Counts this worker's requests to the pool.
    pub turn: u32,
    /// Chance, uniform over all values.
    pub chance: u32,
    /// The time.
    pub now: Moment,
}

/// What one worker knows of the members, by their position.
pub trait Loads {
    /// Its requests at a member.
    fn requests(&self, member: usize) -> u32;

    /// Its requests at all members.
    fn all_requests(&self) -> u32;

    /// How long an answer of a member is expected to take, in microseconds; `None` if nobody knows.
    fn expected_micros(&self, member: usize, now: Moment) -> Option<f32>;
}

impl PoolState {
    /// The pool with these members as they are `now`.
    pub fn new(pool: &Pool, members: Vec<Member>, panic: bool, counts: Arc<PoolCounts>, now: Moment) -> Self {
        let is_usable = |member: &Member| match member.condition {
            Condition::Usable => true,
            Condition::Failed | Condition::Unchecked => false,
            Condition::Ejected(_) => panic,
        };
        let numbered = members.iter().enumerate().map(|(at, member)| (at as u16, member));
        let usable = numbered.clone().filter(|(_, member)| is_usable(member));
        let warming = |since: &Moment| *since + pool.slow_start > now;
        let placed = |(at, member): (u16, &Member)| Placed {
            member: at,
            address: member.address,
            weight: member.weight,
            usable: is_usable(member),
        };
        let table = matches!(pool.balance, Balance::Maglev(_))
            .then(|| Maglev::new(&numbered.clone().map(placed).collect::<Vec<_>>()));
        Self {
            balance: pool.balance.clone(),
            usable: Lots::new(usable.clone().map(|(at, member)| (at, member.weight))),
            weights: usable.clone().map(|(_, member)| member.weight).sum(),
            table: table.flatten(),
            warming: usable.filter_map(|(at, m)| Some((at, m.since.filter(warming)?))).collect(),
            slow_start: pool.slow_start,
            panic,
            counts,
            members,
        }
    }

    /// Every backend, in the order of the document and of its names' addresses.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What is under way there.
    pub fn counts(&self) -> &Arc<PoolCounts> {
        &self.counts
    }

    /// Whether ejections are ignored, because too few backends are left.
    pub fn is_panic(&self) -> bool {
        self.panic
    }

    /// Whether any backend is given requests.
    pub fn is_able(&self) -> bool {
        !self.usable.members().is_empty()
    }

    /// Whether this backend is given requests.
    pub fn is_usable(&self, member: usize) -> bool {
        self.usable.members().binary_search(&(member as u16)).is_ok()
    }

    /// The backend for a request, by its position; `None` if there is none that the request has not tried.
    pub fn choose(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<usize> {
        if !ask.tried.is_empty() {
            return self.choose_another(ask, loads);
        }
        match self.balance {
            Balance::PeakEwma => self.expected_first(ask, loads),
            Balance::LeastRequests => self.less_busy(ask, loads),
            Balance::RoundRobin => self.in_turn(ask, |turn| self.usable.in_turn(turn)),
            Balance::Weighted => self.in_turn(ask, |turn| self.usable.in_weighted_turn(turn)),
            Balance::Maglev(_) => self.own_of_key(ask, loads).or_else(|| self.expected_first(ask, loads)),
        }
    }

    fn expected_first(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<usize> {
        let (one, other) = self.usable.draw_two(ask.chance)?;
        let seen = |member| (loads.expected_micros(member, ask.now), loads.requests(member));
        Some(self.better(ask, (one, other), || peak_ewma::first_is_better(seen(one), seen(other))))
    }

    fn less_busy(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<usize> {
        let (one, other) = self.usable.draw_two(ask.chance)?;
        Some(self.better(ask, (one, other), || loads.requests(one) <= loads.requests(other)))
    }

    /// Of two that were drawn the better one, unless only one of them takes the request.
    fn better(&self, ask: &Ask<'_>, (one, other): (usize, usize), first: impl Fn() -> bool) -> usize {
        if !self.warming.is_empty() {
            let chance = another(ask.chance);
            match (self.takes(one, ask.now, chance), self.takes(other, ask.now, another(chance))) {
                (true, false) => return one,
                (false, true) => return other,
                _ => {}
            }
        }
        if first() { one } else { other }
    }

    /// Whether a member takes what it was drawn for: all that are not new do.
    fn takes(&self, member: usize, now: Moment, chance: u32) -> bool {
        let new = self.warming.iter().find(|(warming, _)| usize::from(*warming) == member);
        new.is_none_or(|(_, since)| slow_start::takes(*since, self.slow_start, now, chance))
    }

    fn in_turn(&self, ask: &Ask<'_>, member: impl Fn(u32) -> Option<usize>) -> Option<usize> {
        let own = member(ask.turn)?;
        if self.warming.is_empty() {
            return Some(own);
        }
        let mut chance = ask.chance;
        let turns = (ask.turn..).take(self.members.len()).filter_map(member);
        let taking = turns.into_iter().find(|member| {
            chance = another(chance);
            self.takes(*member, ask.now, chance)
        });
        taking.or(Some(own))
    }

    /// The first member of the key's places that is not over its bound; `None` without a key.
    fn own_of_key(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<usize> {
        let mut places = self.table.as_ref()?.members(ask.key?);
        let all = loads.all_requests();
        places.find(|member| {
            let weight = self.members.get(*member).map_or(0, |member| member.weight);
            maglev::is_within_bound(loads.requests(*member), all, weight, self.weights)
        })
    }

    /// For a request that failed elsewhere: the less busy of two that it has not tried.
    fn choose_another(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<usize> {
        let untried = self.usable.members().iter().filter(|member| !ask.tried.contains(member));
        let untried: SmallVec<[u16; 16]> = untried.copied().collect();
        let (one, other) = Lots::new(untried.iter().map(|member| (*member, 1))).draw_two(ask.chance)?;
        Some(if loads.requests(one) <= loads.requests(other) { one } else { other })
    }
}

#[cfg(test)]
mod tests;
