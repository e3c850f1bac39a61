//! What this node knows first-hand of its peers, and what routing makes of it.

use std::sync::Arc;
use std::time::Duration;

use graticule_gossip_core::NodeName;

use crate::RegionIndex;
use crate::policy::TenantId;

/// First-hand state of the mesh as one decision sees it: part of a snapshot, replaced whole.
#[derive(Debug, Clone, Default)]
pub struct MeshState {
    /// By [`RegionIndex`] of the snapshot's policy. This node's own region has an entry too; its peers are not used for
    /// routing (a node reaches its region's backends itself).
    pub regions: Vec<RegionState>,
    /// Which of two regions is preferred, for every pair.
    pub preference: Preference,
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

/// What a region costs: latency and a penalty for its load, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cost(pub u32);

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
    /// Tenants it has no healthy backend for.
    pub exceptions: Arc<Exceptions>,
}

/// Whether a peer can be given requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Tenants without a healthy backend at a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exceptions {
    /// By id, at most [`Exceptions::TENANTS_MAX`].
    pub tenants: Vec<TenantId>,
    /// Whether there are more than fit: then refusals are learnt one by one.
    pub many: bool,
}

impl Exceptions {
    /// How many tenants one report can name.
    pub const TENANTS_MAX: usize = 500;

    /// Whether `tenant` is named.
    pub fn contains(&self, tenant: &TenantId) -> bool {
        self.tenants.binary_search(tenant).is_ok()
    }
}

/// What a peer answers to a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// max(CPU, requests in flight / limit), averaged over a second; 0 to 1 and above.
    pub load: f32,
    /// Whether it is leaving.
    pub draining: bool,
    /// Version of its active fleet document.
    pub fleet_version: u64,
    /// Digest of its active documents.
    pub policy_digest: [u8; 32],
    /// Tenants it has no healthy backend for.
    pub exceptions: Exceptions,
}

/// For every ordered pair of regions, the share of requests that prefer the first to the second.
#[derive(Debug, Clone, Default)]
pub struct Preference {}
