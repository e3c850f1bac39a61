//! Which connections are idle, and what has each backend to do?

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use graticule_node_core::Moment;
use graticule_node_core::pool::{Fault, PeakEwma};
use graticule_node_core::shared::BreakerGuard;

use super::connection::Connection;
use super::handle::{Handle, Handles, Outcome, Requests};
use super::http2::Multiplexed;
use crate::pool::transport::Endpoint;

/// Every backend that a pool in use, a request or an idle connection leads to.
#[derive(Debug, Default)]
pub(super) struct Backends {
    by_endpoint: RefCell<HashMap<Endpoint, Rc<Backend>>>,
    /// Idle connections of all backends.
    idle: Cell<usize>,
    /// Ticks of the sweeper so far: a clock that costs nothing to read.
    ticks: Cell<u32>,
}

/// One backend as this worker knows it.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) endpoint: Endpoint,
    /// Its HTTP/2 connections.
    pub(super) multiplexed: Multiplexed,
    in_flight: Cell<u32>,
    ewma: Cell<PeakEwma>,
    /// Why there was no connection when last there was none.
    unreachable: Cell<Fault>,
    /// The one used last is at the end, and taken first.
    idle: RefCell<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: u32,
}

/// One request at one backend of one pool, counted until this is dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    backends: Rc<Backends>,
    backend: Rc<Backend>,
    member: usize,
    requests: BreakerGuard<Requests>,
}

impl Backend {
    /// How many requests this worker has there.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    /// How long an answer is expected to take, in microseconds.
    pub(super) fn expected(&self, now: Moment) -> Option<f32> {
        self.ewma.get().expected(now)
    }

    /// Why there was no connection when last there was none.
    pub(super) fn unreachable(&self) -> Fault {
        self.unreachable.get()
    }

    /// There is no connection.
    pub(super) fn set_unreachable(&self, why: Fault) {
        self.unreachable.set(why);
    }

    /// Learns from what came of a request.
    pub(super) fn learn(&self, learn: impl FnOnce(&mut PeakEwma)) {
        let mut ewma = self.ewma.get();
        learn(&mut ewma);
        self.ewma.set(ewma);
    }
}

impl Backends {
    /// What is known of a backend.
    pub(super) fn get(&self, endpoint: Endpoint) -> Rc<Backend> {
        let fresh = |endpoint: &Endpoint| Backend {
            endpoint: endpoint.clone(),
            multiplexed: Multiplexed::default(),
            in_flight: Cell::default(),
            ewma: Cell::default(),
            unreachable: Cell::new(Fault::Unreachable),
            idle: RefCell::default(),
        };
        let mut known = self.by_endpoint.borrow_mut();
        Rc::clone(known.entry(endpoint).or_insert_with_key(|endpoint| Rc::new(fresh(endpoint))))
    }

    /// The sweeper's ticks so far.
    pub(super) fn ticks(&self) -> u32 {
        self.ticks.get()
    }

    /// The connection to `backend` that was used last, if one is idle and open.
    pub(super) async fn take_idle(&self, backend: &Backend) -> Option<Connection> {
        let mut noticed = false;
        loop {
            let Idle { connection, since } = self.pop(backend)?;
            // A connection that has rested may have been closed without anybody having looked: let the runtime look
            // at its sockets once. Under load connections are younger than a tick, and this costs nothing.
            if since != self.ticks.get() && !noticed {
                tokio::task::yield_now().await;
                noticed = true;
            }
            if connection.is_ready() {
                return Some(connection);
            }
        }
    }

    /// Once a tick, until dropped: closes connections that were idle too long and forgets backends that nobody uses.
    pub(super) async fn sweep(self: Rc<Self>, handles: Rc<Handles>) {
        let mut interval = tokio::time::interval(TICK);
        loop {
            interval.tick().await;
            self.tick(&handles);
        }
    }

    pub(super) fn tick(&self, handles: &Handles) {
        let now = self.ticks.get().wrapping_add(1);
        self.ticks.set(now);
        handles.sweep(now, IDLE_TICKS_MAX);
        let keep =
            |idle: &mut Idle| now.wrapping_sub(idle.since) < IDLE_TICKS_MAX && idle.connection.is_ready();
        self.by_endpoint.borrow_mut().retain(|_, backend| {
            let mut idle = backend.idle.borrow_mut();
            let before = idle.len();
            idle.retain_mut(keep);
            self.idle.set(self.idle.get() - (before - idle.len()));
            let multiplexed = backend.multiplexed.sweep(IDLE_TICKS_MAX);
            !idle.is_empty() || multiplexed || Rc::strong_count(backend) > 1
        });
    }

    /// How many requests this worker has at an address, whatever the protocol.
    pub(super) fn in_flight(&self, address: std::net::SocketAddr) -> u32 {
        let known = self.by_endpoint.borrow();
        known.values().filter(|backend| backend.endpoint.address == address).map(|b| b.in_flight()).sum()
    }

    fn pop(&self, backend: &Backend) -> Option<Idle> {
        let idle = backend.idle.borrow_mut().pop()?;
        self.idle.set(self.idle.get() - 1);
        Some(idle)
    }
}

impl InFlight {
    /// Counts a request at a member of a pool, unless the pool has as many as it may.
    pub(super) fn enter(backends: &Rc<Backends>, handle: &Rc<Handle>, member: usize) -> Option<Self> {
        let backend = Rc::clone(handle.backend(member)?);
        let requests = handle.enter()?;
        backend.in_flight.set(backend.in_flight.get() + 1);
        Some(Self { backends: Rc::clone(backends), backend, member, requests })
    }

    pub(super) fn backend(&self) -> &Rc<Backend> {
        &self.backend
    }

    /// The answer broke off: that counts against the backend as well as no answer.
    pub(super) fn broke_off(&self) {
        self.requests.holder().handle().count(self.member, Outcome::Failed(Fault::Broken));
    }

    /// The request is over: keeps its connection for another one, if it can take one and there is room.
    pub(super) fn keep(&self, connection: Connection) {
        let mut idle = self.backend.idle.borrow_mut();
        let room = idle.len() < IDLE_PER_BACKEND_MAX && self.backends.idle.get() < IDLE_MAX;
        if room && connection.is_ready() {
            idle.push(Idle { connection, since: self.backends.ticks.get() });
            self.backends.idle.set(self.backends.idle.get() + 1);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.backend.in_flight.set(self.backend.in_flight.get() - 1);
    }
}

/// How exactly idle time is told.
const TICK: Duration = Duration::from_secs(1);
/// How long a connection may be idle before it is closed: at most a minute, at least a tick less.
const IDLE_TICKS_MAX: u32 = 60;
/// Idle connections that one worker keeps to one backend.
const IDLE_PER_BACKEND_MAX: usize = 256;
/// Idle connections that one worker keeps to all backends.
const IDLE_MAX: usize = 8_192;
