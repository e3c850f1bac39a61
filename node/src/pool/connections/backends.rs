//! Which connections are idle, and how many requests does each backend have?

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::connection::Connection;

/// Every backend with a request or an idle connection.
#[derive(Debug, Default)]
pub(super) struct Backends {
    by_address: RefCell<HashMap<SocketAddr, Rc<Backend>>>,
    /// Idle connections of all backends.
    idle: Cell<usize>,
    /// Ticks of the sweeper so far: a clock that costs nothing to read.
    ticks: Cell<u32>,
}

#[derive(Debug, Default)]
struct Backend {
    in_flight: Cell<u32>,
    /// The one used last is at the end, and taken first.
    idle: RefCell<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: u32,
}

/// One request at one backend, counted until this is dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    backends: Rc<Backends>,
    backend: Rc<Backend>,
}

impl Backends {
    /// How many requests `address` has.
    pub(super) fn in_flight(&self, address: SocketAddr) -> u32 {
        self.by_address.borrow().get(&address).map_or(0, |backend| backend.in_flight.get())
    }

    /// Counts a request at `address`.
    pub(super) fn enter(self: &Rc<Self>, address: SocketAddr) -> InFlight {
        let backend = Rc::clone(self.by_address.borrow_mut().entry(address).or_default());
        InFlight::new(Rc::clone(self), backend)
    }

    /// Counts a request at `address` and gives it the connection used last, if one is idle and open.
    pub(super) async fn take_idle(self: &Rc<Self>, address: SocketAddr) -> Option<(InFlight, Connection)> {
        let backend = self.by_address.borrow().get(&address).map(Rc::clone)?;
        let in_flight = InFlight::new(Rc::clone(self), backend);
        let mut noticed = false;
        loop {
            let Idle { connection, since } = self.pop(&in_flight.backend)?;
            // A connection that has rested may have been closed without anybody having looked: let the runtime look
            // at its sockets once. Under load connections are younger than a tick, and this costs nothing.
            if since != self.ticks.get() && !noticed {
                tokio::task::yield_now().await;
                noticed = true;
            }
            if connection.is_ready() {
                return Some((in_flight, connection));
            }
        }
    }

    /// Once a tick, until dropped: closes connections that were idle too long and forgets backends without any.
    pub(super) async fn sweep(self: Rc<Self>) {
        let mut interval = tokio::time::interval(TICK);
        loop {
            interval.tick().await;
            self.tick();
        }
    }

    pub(super) fn tick(&self) {
        let now = self.ticks.get().wrapping_add(1);
        self.ticks.set(now);
        let keep =
            |idle: &mut Idle| now.wrapping_sub(idle.since) < IDLE_TICKS_MAX && idle.connection.is_ready();
        self.by_address.borrow_mut().retain(|_, backend| {
            let mut idle = backend.idle.borrow_mut();
            let before = idle.len();
            idle.retain_mut(keep);
            self.idle.set(self.idle.get() - (before - idle.len()));
            !idle.is_empty() || backend.in_flight.get() > 0
        });
    }

    fn pop(&self, backend: &Backend) -> Option<Idle> {
        let idle = backend.idle.borrow_mut().pop()?;
        self.idle.set(self.idle.get() - 1);
        Some(idle)
    }
}

impl InFlight {
    fn new(backends: Rc<Backends>, backend: Rc<Backend>) -> Self {
        backend.in_flight.set(backend.in_flight.get() + 1);
        Self { backends, backend }
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
