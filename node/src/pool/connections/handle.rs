//! One pool as one worker uses it: its members' connections at hand, and what comes of each request.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use graticule_node_core::Moment;
use graticule_node_core::policy::{Pool, PoolIndex, TenantIndex};
use graticule_node_core::pool::{Ask, Fault, Loads, MemberId, PoolState};
use graticule_node_core::shared::{Breaker, BreakerGuard, Row};
use tokio::sync::mpsc;

use super::Asked;
use super::backends::{Backend, Backends};
use crate::pool::transport::Endpoint;

/// The pools that a worker has used lately, by tenant and index: found without searching.
#[derive(Debug)]
pub(super) struct Handles {
    pools: RefCell<Vec<Vec<Option<Rc<Handle>>>>>,
    failing: mpsc::Sender<(MemberId, Row)>,
}

/// One pool in one state.
#[derive(Debug)]
pub(super) struct Handle {
    state: Arc<PoolState>,
    /// By position.
    members: Box<[Rc<Backend>]>,
    requests_max: u32,
    connecting_max: u32,
    /// How many failures make a full row.
    failures: u32,
    turn: Cell<u32>,
    /// The sweeper's tick when it was used last.
    used: Cell<u32>,
    failing: mpsc::Sender<(MemberId, Row)>,
}

/// What came of a request at a backend, as far as the backend is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It answered.
    Answered,
    /// It failed.
    Failed(Fault),
}

impl Handles {
    /// None yet; that rows of failures begin or are full is told to `failing`.
    pub(super) fn new(failing: mpsc::Sender<(MemberId, Row)>) -> Self {
        Self { pools: RefCell::default(), failing }
    }

    /// The handle for a pool in its present state.
    pub(super) fn get(&self, asked: &Asked<'_>, backends: &Backends) -> Rc<Handle> {
        let (TenantIndex(tenant), PoolIndex(index)) = (asked.tenant, asked.index);
        let (tenant, index) = (tenant as usize, usize::from(index));
        let mut pools = self.pools.borrow_mut();
        let known = pools.get(tenant).and_then(|pools| pools.get(index)?.as_ref());
        if let Some(handle) = known.filter(|handle| Arc::ptr_eq(&handle.state, asked.state)) {
            handle.used.set(backends.ticks());
            return Rc::clone(handle);
        }
        let turn = known.map_or(0, |handle| handle.turn.get());
        let handle = Rc::new(Handle::new(asked, turn, backends, self.failing.clone()));
        if pools.len() <= tenant {
            pools.resize(tenant + 1, Vec::new());
        }
        if pools[tenant].len() <= index {
            pools[tenant].resize(index + 1, None);
        }
        pools[tenant][index] = Some(Rc::clone(&handle));
        handle
    }

    /// Forgets what has not been used for `ticks_max` ticks.
    pub(super) fn sweep(&self, now: u32, ticks_max: u32) {
        for pool in self.pools.borrow_mut().iter_mut().flatten() {
            pool.take_if(|handle| now.wrapping_sub(handle.used.get()) > ticks_max);
        }
    }
}

impl Handle {
    fn new(
        asked: &Asked<'_>,
        turn: u32,
        backends: &Backends,
        failing: mpsc::Sender<(MemberId, Row)>,
    ) -> Self {
        let Pool { limits, protocol, tls, ejection, .. } = asked.pool;
        let endpoint = |member: &graticule_node_core::pool::Member| Endpoint {
            address: member.address,
            protocol: *protocol,
            tls: tls.clone(),
        };
        Self {
            members: asked.state.members().iter().map(|member| backends.get(endpoint(member))).collect(),
            state: Arc::clone(asked.state),
            requests_max: limits.requests_max,
            connecting_max: limits.connecting_max,
            failures: ejection.map_or(u32::MAX, |rule| rule.failures),
            turn: Cell::new(turn),
            used: Cell::new(backends.ticks()),
            failing,
        }
    }

    /// The next of this worker's turns at the pool.
    pub(super) fn next_turn(&self) -> u32 {
        self.turn.replace(self.turn.get().wrapping_add(1))
    }

    /// The member for a request; `None` if there is none that it has not tried.
    pub(super) fn choose(&self, ask: &Ask<'_>) -> Option<usize> {
        self.state.choose(ask, self)
    }

    /// A member's connections.
    pub(super) fn backend(&self, member: usize) -> Option<&Rc<Backend>> {
        self.members.get(member)
    }

    /// Why there was no connection to a member when last there was none.
    pub(super) fn unreachable(&self, member: usize) -> Fault {
        self.members.get(member).map_or(Fault::Unreachable, |backend| backend.unreachable())
    }

    /// Counts a request at the pool, unless it has as many as it may.
    pub(super) fn enter(self: &Rc<Self>) -> Option<BreakerGuard<Requests>> {
        Breaker::enter(Requests(Rc::clone(self)), self.requests_max)
    }

    /// Counts a request that waits for a connection, unless as many do as may.
    pub(super) fn connecting(self: &Rc<Self>) -> Option<BreakerGuard<Connecting>> {
        Breaker::enter(Connecting(Rc::clone(self)), self.connecting_max)
    }

    /// A request goes to a member.
    pub(super) fn begin(&self, member: usize, now: Moment) {
        if let Some(backend) = self.members.get(member) {
            backend.learn(|ewma| ewma.asked(now));
        }
    }

    /// A request to a member took `latency` to its outcome.
    pub(super) fn report(&self, member: usize, outcome: Outcome, latency: Duration, now: Moment) {
        if let Some(backend) = self.members.get(member) {
            backend.learn(|ewma| match outcome {
                Outcome::Answered => ewma.answered(latency, now),
                Outcome::Failed(_) => ewma.failed(latency, now),
            });
        }
        self.count(member, outcome);
    }

    /// Counts an outcome for or against a member; that a row of failures begins or is full is told to whoever speaks of
    /// that and takes members out.
    pub(super) fn count(&self, member: usize, outcome: Outcome) {
        let Some(member) = self.state.members().get(member) else { return };
        match outcome {
            Outcome::Answered => member.streak.succeeded(),
            Outcome::Failed(fault) => {
                if let Some(row) = member.streak.failed(self.failures, fault.number()) {
                    // What does not fit is told with the next full row.
                    let _ = self.failing.try_send((member.id, row));
                }
            }
        }
    }
}

impl Loads for Handle {
    fn requests(&self, member: usize) -> u32 {
        self.members.get(member).map_or(0, |backend| backend.in_flight())
    }

    fn all_requests(&self) -> u32 {
        self.members.iter().map(|backend| backend.in_flight()).sum()
    }

    fn expected_micros(&self, member: usize, now: Moment) -> Option<f32> {
        self.members.get(member)?.expected(now)
    }
}

/// The breaker of a pool's requests, held by its handle: a worker counts references by itself.
#[derive(Debug)]
pub(super) struct Requests(Rc<Handle>);

impl Requests {
    pub(super) fn handle(&self) -> &Rc<Handle> {
        &self.0
    }
}

impl Deref for Requests {
    type Target = Breaker;

    fn deref(&self) -> &Breaker {
        &self.0.state.counts().requests
    }
}

/// The breaker of its requests that wait for a connection.
#[derive(Debug)]
pub(super) struct Connecting(Rc<Handle>);

impl Deref for Connecting {
    type Target = Breaker;

    fn deref(&self) -> &Breaker {
        &self.0.state.counts().connecting
    }
}
