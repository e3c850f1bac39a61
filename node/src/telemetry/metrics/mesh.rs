//! Other nodes and regions as this node sees them, as metrics.

use graticule_gossip_core::{MemberState, View};
use graticule_node_core::Snapshot;
use graticule_node_core::mesh::Condition;
use graticule_node_core::metrics::{Exposition, Kind};

use crate::shared::TunnelStatus;

/// Writes the families.
pub(super) fn write(snapshot: &Snapshot, view: &View, tunnels: &[TunnelStatus], page: &mut Exposition) {
    page.family(
        "graticule_node_info",
        Kind::Gauge,
        "1; which node this is, and its region, are in the labels.",
    );
    if let Some(region) = snapshot.policy.fleet.region(snapshot.here.region) {
        page.sample(&[("node", snapshot.here.node.as_str()), ("region", region.name.as_str())], 1.0);
    }
    page.family(
        "graticule_nodes",
        Kind::Gauge,
        "Nodes that gossip knows, this one included, by what is believed of them.",
    );
    for state in MemberState::ALL {
        let count = view.members.values().filter(|member| member.state() == state).count();
        page.sample(&[("state", state.label())], count as f64);
    }
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
    page.family("graticule_peers", Kind::Gauge, "Other nodes that this one keeps tunnels to, by condition.");
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

#[cfg(test)]
mod tests {
    use graticule_gossip_core::{Announcement, Generation, Member, MeshAddress};

    use super::*;
    use crate::testing::{policy, snapshot};

    fn member(node: &str, alive: bool, draining: bool) -> Member {
        let announcement = Announcement {
            node: node.parse().unwrap(),
            region: "eu".parse().unwrap(),
            generation: Generation(1),
            mesh: MeshAddress { base: "192.0.2.1:7400".parse().unwrap(), workers: 1 },
            software: "0.1.0".to_owned(),
            fleet_version: 1,
            policy_digest: "ab".repeat(32),
            draining,
        };
        Member { announcement, alive }
    }

    #[test]
    fn a_node_that_has_left_as_it_said_is_not_told_as_dead() {
        let members = [("a", true, false), ("b", true, true), ("c", false, true), ("d", false, true)];
        let members = members.map(|(name, alive, draining)| member(name, alive, draining));
        let members = members.into_iter().map(|member| (member.announcement.node.clone(), member)).collect();
        let snapshot = snapshot(policy(&[]), ("node-1", "eu"), &[]);
        let mut page = Exposition::default();
        write(&snapshot, &View { members }, &[], &mut page);
        let text = page.text();
        for (state, count) in [("alive", 1), ("draining", 1), ("left", 2), ("dead", 0)] {
            let sample = format!("graticule_nodes{{state=\"{state}\"}} {count}\n");
            assert!(text.contains(&sample), "{sample} in {text}");
        }
        assert!(text.contains("graticule_node_info{node=\"node-1\",region=\"eu\"} 1\n"), "{text}");
    }
}
