//! One worker's tunnels to its peers: dialled, kept, and given up.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use graticule_node_core::mesh::{self, Condition, PeerId};
use graticule_node_core::{Moment, Snapshot};
use quinn::Connection;
use tokio::sync::Notify;

use crate::shared::PeerTarget;
use crate::task::Task;
use crate::tunnel::Backlog;

/// One worker's tunnel to one peer.
#[derive(Debug)]
pub struct Tunnel {
    /// Who is at the other end.
    pub target: PeerTarget,
    connection: RefCell<Option<Connection>>,
    backlog: Backlog,
    in_flight: Cell<u32>,
    lowest_rtt: Cell<Duration>,
    suspect: Cell<bool>,
    turned_suspect: Notify,
    reachable: Cell<bool>,
    turned_reachable: Notify,
    turned_connected: Notify,
}

impl Tunnel {
    /// A tunnel without connection yet; `backlog` has the readers of its answers.
    pub fn new(target: PeerTarget, backlog: Backlog) -> Self {
        Self {
            lowest_rtt: Cell::new(target.expected_rtt),
            target,
            connection: RefCell::default(),
            backlog,
            in_flight: Cell::new(0),
            suspect: Cell::new(false),
            turned_suspect: Notify::new(),
            reachable: Cell::new(false),
            turned_reachable: Notify::new(),
            turned_connected: Notify::new(),
        }
    }

    /// The connection, while there is one.
    pub fn connection(&self) -> Option<Connection> {
        self.connection.borrow().clone()
    }

    /// A connection has been made, or has ended.
    pub fn set_connection(&self, connection: Option<Connection>) {
        if let Some(connection) = &connection {
            self.lowest_rtt.set(connection.rtt());
        }
        self.connection.replace(connection);
        self.turned_connected.notify_waiters();
    }

    /// Waits for a connection.
    pub async fn connected(&self) -> Connection {
        loop {
            let turned = self.turned_connected.notified();
            if let Some(connection) = self.connection() {
                return connection;
            }
            turned.await;
        }
    }

    /// Ends when the control side has reached the peer again since the last call: it is worth another dial.
    pub async fn reachable_again(&self) {
        self.turned_reachable.notified().await;
    }

    /// Requests that have been sent and not answered to the end.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }

    /// Counts one request until the guard is dropped.
    pub fn enter(self: &Rc<Self>) -> TunnelGuard {
        self.in_flight.set(self.in_flight.get() + 1);
        TunnelGuard(Rc::clone(self))
    }

    /// Something sent at `sent` was answered at `now`.
    pub fn answered(&self, sent: Moment, now: Moment) {
        self.lowest_rtt.set(self.lowest_rtt.get().min(now.since(sent)).max(RTT_MIN));
    }

    /// How long `accepted` may take before the peer is suspect.
    pub fn patience(&self) -> Duration {
        mesh::patience(self.lowest_rtt.get())
    }

    /// Ends when the peer is suspect, at once if it is.
    pub async fn suspected(&self) {
        while !self.suspect.get() {
            self.turned_suspect.notified().await;
        }
    }

    fn set_condition(&self, condition: Condition) {
        let (suspect, reachable) = (condition == Condition::Suspect, condition != Condition::Unreachable);
        if suspect && !self.suspect.replace(suspect) {
            self.turned_suspect.notify_waiters();
        }
        self.suspect.set(suspect);
        if reachable && !self.reachable.replace(reachable) {
            self.turned_reachable.notify_one();
        }
        self.reachable.set(reachable);
    }
}

/// Counts one request in flight.
#[derive(Debug)]
pub struct TunnelGuard(Rc<Tunnel>);

impl TunnelGuard {
    /// Who watches how its answer is read.
    pub(super) fn backlog(&self) -> &Backlog {
        &self.0.backlog
    }
}

impl Drop for TunnelGuard {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
    }
}

/// A tunnel, and the task that keeps it.
type Kept = (Rc<Tunnel>, Task);

/// All tunnels of one worker, by [`PeerId`].
#[derive(Debug)]
pub struct Tunnels {
    by_peer: RefCell<Vec<Option<Kept>>>,
    backlog: Backlog,
}

impl Tunnels {
    /// None yet; `backlog` has the readers of their answers.
    pub fn new(backlog: Backlog) -> Self {
        Self { by_peer: RefCell::default(), backlog }
    }

    /// The tunnel to a peer, connected or not.
    pub fn get(&self, peer: PeerId) -> Option<Rc<Tunnel>> {
        self.by_peer.borrow().get(peer.0 as usize)?.as_ref().map(|(tunnel, _)| Rc::clone(tunnel))
    }

    /// Requests in flight to a peer.
    pub fn in_flight(&self, peer: PeerId) -> u32 {
        let tunnels = self.by_peer.borrow();
        tunnels.get(peer.0 as usize).and_then(Option::as_ref).map_or(0, |(tunnel, _)| tunnel.in_flight())
    }

    /// Keeps exactly the tunnels to `targets`; `keep` runs a new one until its task is dropped.
    pub fn retarget(&self, targets: &[PeerTarget], keep: impl Fn(Rc<Tunnel>) -> Task) {
        let mut by_peer = self.by_peer.borrow_mut();
        let size = targets.iter().map(|target| target.id.0 as usize + 1).max().unwrap_or(0);
        let mut next: Vec<_> = (0..size).map(|_| None).collect();
        for target in targets {
            let at = target.id.0 as usize;
            let old = by_peer.get_mut(at).and_then(Option::take).filter(|(old, _)| old.target == *target);
            next[at] = Some(old.unwrap_or_else(|| {
                let tunnel = Rc::new(Tunnel::new(target.clone(), self.backlog.clone()));
                (Rc::clone(&tunnel), keep(tunnel))
            }));
        }
        *by_peer = next;
    }

    /// Takes over who is suspect, and who is reachable.
    pub fn refresh(&self, snapshot: &Snapshot) {
        for peer in snapshot.mesh.regions.iter().flat_map(|region| &region.peers) {
            if let Some(tunnel) = self.get(peer.id) {
                tunnel.set_condition(peer.condition);
            }
        }
    }
}

/// Below this a round trip says nothing about the network.
const RTT_MIN: Duration = Duration::from_micros(50);
