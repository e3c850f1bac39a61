//! What the workers and the control runtime of one node share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use graticule_gossip_core::{NodeName, RegionName};
use graticule_node_core::mesh::PeerId;
use graticule_node_core::policy::TenantId;
use graticule_node_core::shared::{Drain, InFlightGauges, Suspects};
use graticule_node_core::{Moment, Snapshot};
use tokio::sync::{Notify, mpsc, watch};

use crate::tunnel::{Farewell, StreamsCut};

mod access_lane;
mod departure;
mod flood_counts;
mod pool_events;
mod pulse;
mod rejections;
mod reloads;
mod trace_lane;

pub use access_lane::{AccessLane, LogMessage};
pub use departure::Departure;
pub use flood_counts::FloodCounts;
pub use pool_events::PoolEventCounts;
pub use pulse::Pulse;
pub use rejections::{Rejection, RejectionCounts};
pub use reloads::{Refusal, Reloadable, Reloads};
pub use trace_lane::{Span, SpanCounts, TraceLane, place};

/// Shared by all runtimes of a node: one snapshot and a few atomics.
#[derive(Debug)]
pub struct Shared {
    snapshot: ArcSwap<Snapshot>,
    published: watch::Sender<u64>,
    targets: watch::Sender<Arc<Vec<PeerTarget>>>,
    suspects: Suspects,
    suspected: Notify,
    refusals: mpsc::Sender<(PeerId, TenantId)>,
    /// Requests in flight, by worker.
    pub in_flight: Arc<InFlightGauges>,
    /// Clients' connections by worker, and its listener as one more while it accepts.
    pub connections: Arc<InFlightGauges>,
    /// Whether the node is leaving.
    pub drain: Drain,
    /// Whether it has not met the mesh yet, and should not be given requests.
    pub joining: watch::Sender<bool>,
    /// What has happened to backends.
    pub pool_events: Arc<PoolEventCounts>,
    /// Clients that were cut off for floods of frames.
    pub floods: FloodCounts,
    /// Clients whose connections were closed before their first request.
    pub rejections: RejectionCounts,
    /// Which of its files are refused as they are.
    pub reloads: Reloads,
    /// Readers of relayed bodies that were cut off because they were too slow.
    pub streams_cut: Arc<StreamsCut>,
    /// Whether its workers answer.
    pub pulse: Pulse,
}

/// The refusals that workers meet: which peer refused requests of which tenant.
pub type Refusals = mpsc::Receiver<(PeerId, TenantId)>;

impl Shared {
    /// What `workers` workers share, beginning with `snapshot`.
    ///
    /// The receiver gets the refusals that workers meet.
    pub fn new(snapshot: Snapshot, workers: usize) -> (Self, Refusals) {
        let (refusals, met) = mpsc::channel(REFUSALS_MAX);
        let shared = Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            published: watch::Sender::new(0),
            targets: watch::Sender::new(Arc::default()),
            suspects: Suspects::new(PEERS_MAX),
            suspected: Notify::new(),
            in_flight: InFlightGauges::new(workers),
            connections: InFlightGauges::new(workers),
            refusals,
            drain: Drain::default(),
            joining: watch::Sender::new(false),
            pool_events: Arc::default(),
            floods: FloodCounts::default(),
            rejections: RejectionCounts::default(),
            reloads: Reloads::default(),
            streams_cut: Arc::default(),
            pulse: Pulse::new(workers),
        };
        (shared, met)
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The newest snapshot if it is not `known`: cheap when nothing has changed.
    pub fn snapshot_if_newer(&self, known: &Arc<Snapshot>) -> Option<Arc<Snapshot>> {
        let newest = self.snapshot.load();
        (!Arc::ptr_eq(&newest, known)).then(|| Arc::clone(&newest))
    }

    /// Replaces the snapshot by a changed copy and tells everybody who waits for it. Only the control runtime does.
    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = Snapshot::clone(&self.snapshot.load());
        change(&mut snapshot);
        self.snapshot.store(Arc::new(snapshot));
        self.published.send_modify(|count| *count += 1);
    }

    /// Tells everybody who waits for a snapshot to look again: what is beside it has changed.
    pub fn republish(&self) {
        self.published.send_modify(|count| *count += 1);
    }

    /// Changes with every published snapshot.
    pub fn published(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    /// Replaces the peers that workers keep tunnels to.
    pub fn retarget(&self, targets: Vec<PeerTarget>) {
        self.targets.send_if_modified(|known| {
            let changed = **known != targets;
            if changed {
                *known = Arc::new(targets);
            }
            changed
        });
    }

    /// The peers that workers keep tunnels to.
    pub fn targets(&self) -> watch::Receiver<Arc<Vec<PeerTarget>>> {
        self.targets.subscribe()
    }

    /// A worker reports that a peer has left what was sent at `sent` unanswered.
    pub fn suspect(&self, peer: PeerId, sent: Moment) {
        if self.suspects.mark(peer, sent) {
            self.suspected.notify_one();
        }
    }

    /// A worker reports that a peer has no healthy backend for a tenant.
    pub fn refused(&self, peer: PeerId, tenant: &TenantId) {
        // Only a memory for the next second: what does not fit is met again.
        let _ = self.refusals.try_send((peer, tenant.clone()));
    }

    /// Ends when a worker has reported a peer.
    pub async fn suspected(&self) {
        self.suspected.notified().await;
    }

    /// What has been reported since the last call.
    pub fn take_suspects(&self) -> Vec<(PeerId, Moment)> {
        self.suspects.take().collect()
    }
}

/// What a node's workers are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Serve.
    Serving,
    /// Take nothing new, and finish what they have.
    Closing,
    /// End, and say this on every tunnel.
    Ended(Farewell),
}

/// A peer that workers keep tunnels to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerTarget {
    /// Its number in this process.
    pub id: PeerId,
    /// Its name, which its certificate must have.
    pub node: NodeName,
    /// Its region, which its certificate must have.
    pub region: RegionName,
    /// Its control endpoint as this node dials it; its workers are on the ports after it.
    pub base: SocketAddr,
    /// How many workers it has.
    pub workers: u16,
    /// Round trip expected from the distance of the regions.
    pub expected_rtt: Duration,
}

/// A peer as the control side knows it, for the admin API.
#[derive(Debug, Clone, PartialEq)]
pub struct TunnelStatus {
    /// Its number here.
    pub id: PeerId,
    /// Its name.
    pub node: NodeName,
    /// Its region.
    pub region: RegionName,
    /// Where it is dialled.
    pub address: SocketAddr,
    /// Why there is no tunnel, if there is none.
    pub reason: Option<String>,
    /// The lowest round trip of the last 10 s.
    pub rtt: Option<Duration>,
    /// Its load by its own account.
    pub load: f32,
}

/// Peers one process can follow at a time, as [`PeerId`] has it; a further one is not dialled.
pub const PEERS_MAX: usize = 4_096;
/// Refusals that wait to be remembered.
const REFUSALS_MAX: usize = 1_024;

#[cfg(test)]
mod tests;
