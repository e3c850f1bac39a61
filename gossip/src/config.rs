//! How gossip is set up: who we are, whom we ask first, how often, and how patient we are.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use chitchat::{ChitchatConfig, ChitchatId, FailureDetectorConfig, ProtocolVersion};
use graticule_gossip_core::{Announcement, Generation, MeshName};

/// What [`Gossip::start`](crate::Gossip::start) needs to know.
pub struct GossipConfig {
    /// The mesh; messages of another one are refused.
    pub mesh: MeshName,
    /// What this node says of itself at first. Its generation must be higher than any that this name has used.
    pub announcement: Announcement,
    /// Advertised base addresses of nodes to ask first; this node's own among them does no harm.
    pub seeds: Vec<SocketAddr>,
    /// How often and how patiently.
    pub timing: Timing,
    /// Asked when chitchat has to be started again: the next generation from the counter on disk.
    pub next_generation: Box<dyn FnMut() -> Generation + Send>,
}

impl fmt::Debug for GossipConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GossipConfig")
            .field("mesh", &self.mesh)
            .field("announcement", &self.announcement)
            .field("seeds", &self.seeds)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}

/// How often a node gossips, and when it gives up on others. Chitchat takes these once, at its start; in a fleet that
/// turns out to be larger than they are for, some of its rounds are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// Between two rounds of gossip; each round speaks with three live nodes.
    pub interval: Duration,
    /// How many mean intervals of silence make a node dead.
    pub suspicion_phi: f64,
    /// How long a dead node is remembered; it is spoken of for the first half.
    pub dead_grace: Duration,
}

impl Timing {
    /// What suits a fleet of about `nodes`: an interval of 250 ms up to 50 nodes, growing evenly to 1 s at 200.
    ///
    /// At 250 ms a death is seen within 2 to 3 s. A faster detector was measured to call living nodes dead.
    pub fn for_fleet(nodes: usize) -> Self {
        let beyond = nodes.clamp(FAST_NODES_MAX, SLOW_NODES_MIN) - FAST_NODES_MAX;
        let span = (SLOW_NODES_MIN - FAST_NODES_MAX) as u32;
        let growth = INTERVAL_GROWTH * beyond as u32 / span;
        Self { interval: INTERVAL_MIN + growth, suspicion_phi: SUSPICION_PHI, dead_grace: DEAD_GRACE }
    }

    /// How long a node is silent before it is held for dead, when the network is well.
    pub fn silence_max(&self) -> Duration {
        self.interval.mul_f64(self.suspicion_phi)
    }

    /// The same for a fleet that gossips every `interval`.
    pub(crate) fn silence_of(interval: Duration) -> Duration {
        interval.mul_f64(SUSPICION_PHI)
    }

    fn failure_detector(&self) -> FailureDetectorConfig {
        FailureDetectorConfig {
            phi_threshold: self.suspicion_phi,
            sampling_window_size: HEARTBEATS_REMEMBERED_MAX,
            max_interval: self.interval * MISSED_HEARTBEATS_MAX,
            initial_interval: self.interval,
            dead_node_grace_period: self.dead_grace,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self::for_fleet(FAST_NODES_MAX)
    }
}

/// Chitchat's own configuration for one start of it.
pub(crate) fn chitchat_config(
    mesh: &MeshName,
    own: &Announcement,
    seeds: &[SocketAddr],
    timing: &Timing,
) -> ChitchatConfig {
    ChitchatConfig {
        chitchat_id: ChitchatId::new(own.node.as_str(), own.generation.0, own.mesh.base),
        cluster_id: mesh.to_string(),
        gossip_interval: timing.interval,
        listen_addr: own.mesh.base,
        // Addresses are taken as they are; only names would make chitchat resolve them by itself.
        seed_nodes: seeds.iter().map(SocketAddr::to_string).collect(),
        failure_detector_config: timing.failure_detector(),
        // Nothing of an announcement is ever deleted; only what others smuggle into it is.
        marked_for_deletion_grace_period: timing.dead_grace,
        catchup_callback: None,
        extra_liveness_predicate: None,
        protocol_version: ProtocolVersion::V1,
    }
}

const INTERVAL_MIN: Duration = Duration::from_millis(250);
const FAST_NODES_MAX: usize = 50;
const SLOW_NODES_MIN: usize = 200;
/// From the one fleet to the other.
const INTERVAL_GROWTH: Duration = Duration::from_millis(750);
const SUSPICION_PHI: f64 = 8.0;
const DEAD_GRACE: Duration = Duration::from_mins(15);
/// Of each node, to know its mean interval. Chitchat holds eight bytes for each, also of nodes that a liar made up.
const HEARTBEATS_REMEMBERED_MAX: usize = 200;
/// A longer gap says nothing about how regular a node is.
const MISSED_HEARTBEATS_MAX: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_grows_with_the_fleet() {
        let millis = |nodes| Timing::for_fleet(nodes).interval.as_millis();
        assert_eq!([0, 6, 50].map(millis), [250, 250, 250]);
        assert_eq!([51, 100, 125, 199].map(millis), [255, 500, 625, 995]);
        assert_eq!([200, 201, 100_000].map(millis), [1_000, 1_000, 1_000]);
    }

    #[test]
    fn a_small_fleet_sees_a_death_after_two_seconds_of_silence() {
        assert_eq!(Timing::default().silence_max(), Duration::from_secs(2));
    }
}
