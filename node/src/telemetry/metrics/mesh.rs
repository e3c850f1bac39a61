//! Other nodes and regions as this node sees them, as metrics.

use graticule_gossip_core::View;
use graticule_node_core::Snapshot;
use graticule_node_core::mesh::Condition;
use graticule_node_core::metrics::{Exposition, Kind};

use crate::shared::TunnelStatus;

/// Writes the families.
pub(super) fn write(snapshot: &Snapshot, view: &View, tunnels: &[TunnelStatus], page: &mut Exposition) {
    page.family(
        "graticule_nodes",
        Kind::Gauge,
        "Nodes that gossip knows, this one included, by whether they live.",
    );
    let alive = view.members.values().filter(|member| member.alive).count();
    page.sample(&[("state", "alive")], alive as f64);
    page.sample(&[("state", "dead")], (view.members.len() - alive) as f64);
    regions(snapshot, page);
    page.family("graticule_peer_rtt_seconds", Kind::Gauge, "Lowest round trip of 10 s to a peer.");
    for tunnel in tunnels {
        if let Some(rtt) = tunnel.rtt {
            let labels = [("peer", tunnel.node.as_str()), ("region", tunnel.region.as_str())];
            page.sample(&labels, rtt.as_secs_f64());
        }
    }
}

fn regions(snapshot: &Snapshot, page: &mut Exposition) {
    let known = || snapshot.policy.fleet.regions.iter().zip(&snapshot.mesh.regions);
    page.family(
        "graticule_peers",
        Kind::Gauge,
        "Nodes of other regions that this one keeps tunnels to, by condition.",
    );
    for (region, seen) in known() {
        for (label, condition) in CONDITIONS {
            let count = seen.peers.iter().filter(|peer| peer.condition == condition).count();
            page.sample(&[("region", region.name.as_str()), ("condition", label)], count as f64);
        }
    }
    page.family(
        "graticule_region_cost_seconds",
        Kind::Gauge,
        "What routing to a region costs: round trip and penalty for load.",
    );
    for (region, seen) in known() {
        page.sample(&[("region", region.name.as_str())], f64::from(seen.cost.0) / 1e6);
    }
    page.family("graticule_region_load", Kind::Gauge, "Load of a region, from 0 to 1 at its limit.");
    for (region, seen) in known() {
        page.sample(&[("region", region.name.as_str())], f64::from(seen.load));
    }
}

const CONDITIONS: [(&str, Condition); 4] = [
    ("usable", Condition::Usable),
    ("suspect", Condition::Suspect),
    ("draining", Condition::Draining),
    ("unreachable", Condition::Unreachable),
];
