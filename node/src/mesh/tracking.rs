//! Drives the tracker of first-hand state: time, probes and reports in; mesh state and log lines out.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use graticule_gossip_core::{NodeName, RegionName};
use graticule_node_core::Moment;
use graticule_node_core::framing::Probe;
use graticule_node_core::mesh::{Exceptions, MeshEvent, MeshState, Peer, PeerId, Report, Tracker};
use graticule_node_core::policy::{Fleet, TenantId};
use tokio::sync::{Notify, mpsc, watch};

use crate::shared::{PeerTarget, Shared, TunnelStatus};
use crate::world::World;

/// The tracker with its clock; lives on the control runtime.
#[derive(Debug)]
pub struct Tracking {
    world: World,
    tracker: RefCell<Tracker>,
    touched: Notify,
    report: Cell<Report>,
    exceptions: RefCell<Exceptions>,
    /// Changed when peers should hear of something at once.
    news: watch::Sender<()>,
    load: Cell<f32>,
    kept: RefCell<BTreeMap<PeerId, (PeerTarget, Option<String>)>>,
    tunnels: watch::Sender<Arc<Vec<TunnelStatus>>>,
    /// Whether `kept` says something that `tunnels` does not.
    unpublished: Cell<bool>,
}

impl Tracking {
    /// Follows nobody yet. `report` and `exceptions` are what this node says of itself.
    pub fn new(
        world: World,
        here: &RegionName,
        fleet: &Fleet,
        (report, exceptions): (Report, Exceptions),
    ) -> Self {
        let tracker = RefCell::new(Tracker::new(here, fleet, world.clock.now()));
        Self {
            world,
            tracker,
            touched: Notify::new(),
            report: Cell::new(report),
            exceptions: RefCell::new(exceptions),
            news: watch::Sender::default(),
            load: Cell::new(0.0),
            kept: RefCell::default(),
            tunnels: watch::Sender::new(Arc::default()),
            unpublished: Cell::new(false),
        }
    }

    /// The peers that tunnels are kept to, for the admin API.
    pub fn tunnels(&self) -> watch::Receiver<Arc<Vec<TunnelStatus>>> {
        self.tunnels.subscribe()
    }

    /// What this node says of itself.
    pub fn report(&self) -> Report {
        Report { load: self.load.get(), ..self.report.get() }
    }

    /// The tenants that this node has no healthy backend for.
    pub fn exceptions(&self) -> Exceptions {
        self.exceptions.borrow().clone()
    }

    /// Changes when peers should hear of something at once.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Changes what this node says of itself, and says it.
    pub fn set_report(&self, report: Report, exceptions: Exceptions) {
        self.exceptions.replace(exceptions);
        if self.report.replace(report) != report {
            self.news.send_replace(());
        }
    }

    /// This node's own load.
    pub fn set_load(&self, load: f32) {
        self.load.set(load);
        self.tracker.borrow_mut().set_own_load(load);
    }

    /// The regions are numbered anew; what decisions are to use from now on.
    pub fn set_fleet(&self, fleet: &Fleet) -> Arc<MeshState> {
        let mut tracker = self.tracker.borrow_mut();
        tracker.set_fleet(fleet, self.world.clock.now());
        tracker.poll_state().unwrap_or_else(|| Arc::clone(tracker.state()))
    }

    /// The number of a peer; `None` if too many are followed.
    pub fn add(&self, node: &NodeName, region: &RegionName) -> Option<PeerId> {
        self.tracker.borrow_mut().add(node, region)
    }

    /// A tunnel to a peer is being kept.
    pub fn keep(&self, target: &PeerTarget) {
        let reason = Some("not dialled yet".to_owned());
        self.kept.borrow_mut().insert(target.id, (target.clone(), reason));
        self.unpublished.set(true);
        self.touched.notify_one();
    }

    /// A peer is no longer wanted.
    pub fn remove(&self, peer: PeerId) {
        self.kept.borrow_mut().remove(&peer);
        self.unpublished.set(true);
        self.touch(|tracker, _| tracker.remove(peer));
    }

    /// The tunnel to a peer stands.
    pub fn connected(&self, peer: PeerId) {
        self.set_reason(peer, None);
        self.touch(|tracker, now| tracker.connected(peer, now));
    }

    /// The tunnel to a peer is gone.
    pub fn disconnected(&self, peer: PeerId, reason: String) {
        self.set_reason(peer, Some(reason));
        self.touch(|tracker, now| tracker.disconnected(peer, now));
    }

    /// A probe is on its way.
    pub fn probe_sent(&self, peer: PeerId, seq: u64) {
        self.listen(|tracker, now| tracker.probe_sent(peer, seq, now));
    }

    /// A probe has come.
    pub fn heard(&self, peer: PeerId, probe: &Probe) {
        self.listen(|tracker, now| tracker.heard(peer, probe, now));
    }

    /// Whether a peer has other exceptions than are known.
    pub fn wants_exceptions(&self, peer: PeerId) -> bool {
        self.tracker.borrow().peer(peer).is_some_and(Peer::wants_exceptions)
    }

    /// A peer has told its exceptions.
    pub fn set_exceptions(&self, peer: PeerId, exceptions: Exceptions) {
        self.listen(|tracker, now| tracker.set_exceptions(peer, exceptions, now));
    }

    /// Whether nothing was heard of a peer for too long.
    pub fn is_silent(&self, peer: PeerId) -> bool {
        let now = self.world.clock.now();
        self.tracker.borrow().peer(peer).is_some_and(|peer| peer.is_silent(now))
    }

    /// How often to probe a peer.
    pub fn probe_interval(&self, peer: PeerId) -> Option<Duration> {
        self.tracker.borrow().peer(peer).map(Peer::probe_interval)
    }

    /// Probes come by the hundreds a second and hardly ever change anything but deadlines, all of which lie further
    /// ahead than the tracker's next update: it is woken only for news.
    fn listen(&self, input: impl FnOnce(&mut Tracker, Moment)) {
        let mut tracker = self.tracker.borrow_mut();
        input(&mut tracker, self.world.clock.now());
        if tracker.has_news() {
            self.touched.notify_one();
        }
    }

    fn touch(&self, input: impl FnOnce(&mut Tracker, Moment)) {
        input(&mut self.tracker.borrow_mut(), self.world.clock.now());
        self.touched.notify_one();
    }

    fn set_reason(&self, peer: PeerId, reason: Option<String>) {
        if let Some((_, known)) = self.kept.borrow_mut().get_mut(&peer) {
            *known = reason;
            self.unpublished.set(true);
        }
    }

    /// Waits until the tracker's next timeout and hands it in.
    async fn timeout(&self) {
        let (deadline, now) = (self.tracker.borrow().poll_timeout(), self.world.clock.now());
        let Some(deadline) = deadline else { return std::future::pending().await };
        tokio::time::sleep(deadline.since(now)).await;
        let now = self.world.clock.now();
        self.tracker.borrow_mut().handle_timeout(now, now.since(deadline));
    }

    /// Publishes what has changed.
    fn flush(&self, shared: &Shared) {
        let mut tracker = self.tracker.borrow_mut();
        while let Some(event) = tracker.poll_event() {
            log(&event);
            if let MeshEvent::PeerSuspected { .. } = event {
                // It may hear this node.
                self.news.send_replace(());
            }
        }
        let state = tracker.poll_state();
        let news = self.unpublished.take() || state.is_some();
        if let Some(state) = state {
            shared.update(|snapshot| snapshot.mesh = state);
        }
        if news {
            self.tunnels.send_replace(Arc::new(self.statuses(&tracker)));
        }
    }

    fn statuses(&self, tracker: &Tracker) -> Vec<TunnelStatus> {
        let status = |(id, (target, reason)): (&PeerId, &(PeerTarget, Option<String>))| {
            let peer = tracker.peer(*id);
            TunnelStatus {
                id: *id,
                node: target.node.clone(),
                region: target.region.clone(),
                address: target.base,
                reason: reason.clone(),
                rtt: peer.and_then(Peer::rtt),
                load: peer.and_then(Peer::load).unwrap_or_default(),
            }
        };
        self.kept.borrow().iter().map(status).collect()
    }
}

/// Drives `tracking` until the future is dropped. `refusals` are those that workers met.
pub async fn run(
    tracking: Rc<Tracking>,
    shared: Arc<Shared>,
    mut refusals: mpsc::Receiver<(PeerId, TenantId)>,
) {
    loop {
        tokio::select! {
            biased;
            () = tracking.timeout() => {}
            () = tracking.touched.notified() => {}
            () = shared.suspected() => {
                for (peer, sent) in shared.take_suspects() {
                    tracking.touch(|tracker, now| tracker.unanswered(peer, sent, now));
                }
            }
            Some((peer, tenant)) = refusals.recv() => {
                tracking.touch(|tracker, now| tracker.refused(peer, &tenant, now));
            }
        }
        tracking.flush(&shared);
    }
}

fn log(event: &MeshEvent) {
    match event {
        MeshEvent::PeerConnected { node } => tracing::info!(%node, "peer connected"),
        MeshEvent::PeerDisconnected { node } => tracing::warn!(%node, "peer disconnected"),
        MeshEvent::PeerLeft { node } => tracing::info!(%node, "peer has left"),
        MeshEvent::PeerSuspected { node, after } => {
            tracing::warn!(%node, after_ms = after.as_millis() as u64, "peer suspected: it leaves something unanswered");
        }
        MeshEvent::PeerTrusted { node } => tracing::info!(%node, "peer trusted again"),
        MeshEvent::PeerDraining { node } => tracing::info!(%node, "peer is leaving"),
        MeshEvent::PeerUndrained { node } => tracing::info!(%node, "peer is no longer leaving"),
        MeshEvent::EventsLost { count } => tracing::warn!(count, "events of the mesh were dropped"),
    }
}

#[cfg(test)]
mod tests;
