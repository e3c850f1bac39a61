//! What this node knows first-hand of its peers, and what routing makes of it.

use std::sync::Arc;
use std::time::Duration;

use graticule_gossip_core::NodeName;

use crate::RegionIndex;

mod backoff;
mod cost;
mod exceptions;
mod load;
mod patience;
mod peer;
mod ports;
mod preference;
mod probing;
mod rendezvous;
mod rtt;
mod selection;
mod tracker;

pub use backoff::Backoff;
pub use cost::{Cost, LOAD_HARD_LIMIT, LOAD_SOFT_LIMIT, rtt_by_distance};
pub use exceptions::{Excepted, Exceptions, ExceptionsDigest, Sought};
pub use load::Load;
pub use patience::{PROBE_INTERVAL_MAX, PROBE_INTERVAL_MIN, patience, probe_interval};
pub use peer::Peer;
pub use ports::worker_address;
pub use preference::{Preference, PreferenceMachine, Standing};
pub use probing::{ProbedTunnel, Probing};
pub use selection::{TUNNELS_PER_REGION_MAX, select};
pub use tracker::{MeshEvent, Tracker};

/// First-hand state of the mesh as one decision sees it: part of a snapshot, replaced whole.
#[derive(Debug, Clone, Default)]
pub struct MeshState {
    /// By [`RegionIndex`] of the snapshot's policy. This node's own region has an entry too; its peers are not used for
    /// routing (a node reaches its region's backends itself).
    pub regions: Vec<RegionState>,
    /// Which of two regions is preferred, for every pair.
    pub preference: Preference,
}

impl MeshState {
    /// What is known of `region`; `None` if this state was made for another fleet.
    pub fn region(&self, region: RegionIndex) -> Option<&RegionState> {
        self.regions.get(region.position())
    }

    /// Which of two different regions the request with this chance prefers: by the preference of the pair, or by cost
    /// while it has none, ties by index.
    pub fn prefer(&self, a: RegionIndex, b: RegionIndex, chance: u32) -> RegionIndex {
        let by_cost = || {
            let cost = |region| self.region(region).map_or(Cost::MAX, |state| state.cost);
            if (cost(b), b) < (cost(a), a) { b } else { a }
        };
        self.preference.first(a, b, chance).unwrap_or_else(by_cost)
    }
}

/// One region as seen from this node.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionState {
    /// What it costs to go there.
    pub cost: Cost,
    /// The mean load of its live nodes: 0 idle, 1 at the limit.
    pub load: f32,
    /// The nodes this node has or wants tunnels to, by name.
    pub peers: Vec<PeerState>,
}

impl RegionState {
    /// Whether its load is at or over [`LOAD_HARD_LIMIT`].
    pub fn is_overloaded(&self) -> bool {
        self.load >= LOAD_HARD_LIMIT
    }
}

/// A peer's number within this process: never reused for another name while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u32);

/// One peer as a decision sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerState {
    /// Its number here.
    pub id: PeerId,
    /// Its name.
    pub node: NodeName,
    /// Whether it can be given requests.
    pub condition: Condition,
    /// Tenants it has no healthy backend for: as it reports, and as refusals of the last second say.
    pub exceptions: Arc<Excepted>,
    /// Its load as of its last report; `None` before the first.
    pub load: Option<f32>,
    /// Lowest round-trip time of the last 10 s, or the last one measured; `None` before the first.
    pub rtt: Option<Duration>,
    /// How long it may leave a request without `accepted` before the request is sent elsewhere.
    pub patience: Duration,
}

impl PeerState {
    /// Whether a request of `tenant` can be sent to it.
    pub fn can_serve(&self, tenant: &Sought<'_>) -> bool {
        self.condition == Condition::Usable && !self.exceptions.contains(tenant)
    }
}

/// Whether a peer can be given requests. In order, from able to not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Yes.
    Usable,
    /// It has left something unanswered for too long.
    Suspect,
    /// It is leaving.
    Draining,
    /// There is no tunnel to it.
    Unreachable,
}

/// What a node says of itself with every probe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// max(CPU, requests in flight / limit), averaged over a second; 0 to 1 and above.
    pub load: f32,
    /// Whether it is leaving.
    pub draining: bool,
    /// Version of its active fleet document.
    pub fleet_version: u64,
    /// Digest of its active documents.
    pub policy_digest: [u8; 32],
    /// Which tenants it has no healthy backend for; the list itself is asked for when this changes.
    pub exceptions: ExceptionsDigest,
}

#[cfg(test)]
mod tests;
