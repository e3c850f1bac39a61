//! What the demo's fleet is: regions, tenants, nodes and their ports.

use std::net::{Ipv4Addr, SocketAddr};

use graticule_geo::Coordinates;

use super::ports;
use crate::cli::Failure;

/// A region of the demo.
#[derive(Debug, Clone, Copy)]
pub(super) struct Region {
    pub(super) name: &'static str,
    pub(super) country: &'static str,
    pub(super) city: &'static str,
    pub(super) coordinates: Coordinates,
}

/// A tenant of the demo.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tenant {
    pub(super) id: &'static str,
    pub(super) host: &'static str,
    pub(super) residency: &'static str,
    /// The residency table of its document.
    pub(super) rules: &'static str,
    /// Where it has pools.
    pub(super) pools: &'static [&'static str],
}

/// A node of the demo, and where it listens.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) region: &'static Region,
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    pub(super) mesh: SocketAddr,
    pub(super) admin: SocketAddr,
}

const fn at(latitude: f64, longitude: f64) -> Coordinates {
    match Coordinates::new(latitude, longitude) {
        Ok(coordinates) => coordinates,
        Err(_) => panic!("a region of the demo is not on the Earth"),
    }
}

/// The regions.
pub(super) static REGIONS: [Region; 3] = [
    Region { name: "eu-central", country: "DE", city: "Frankfurt", coordinates: at(50.11, 8.68) },
    Region { name: "us-east", country: "US", city: "Ashburn", coordinates: at(39.04, -77.49) },
    Region { name: "ap-southeast", country: "SG", city: "Singapore", coordinates: at(1.29, 103.85) },
];

/// The tenants.
pub(super) static TENANTS: [Tenant; 3] = [
    Tenant {
        id: "berlin",
        host: "berlin.example",
        residency: "EU only",
        rules: "allow = [\"set:EU\"]\n",
        pools: &["eu-central"],
    },
    Tenant {
        id: "zurich",
        host: "zurich.example",
        residency: "EU, else Switzerland and the UK",
        rules: "allow = [\"set:EU\"]\nfallback = [[\"country:CH\", \"country:GB\"]]\n",
        pools: &["eu-central"],
    },
    Tenant {
        id: "globe",
        host: "globe.example",
        residency: "anywhere",
        rules: "allow = [\"any\"]\n",
        pools: &["eu-central", "us-east", "ap-southeast"],
    },
];

/// The nodes of the fleet on free ports, or on a run of ports from `base` on.
pub(super) fn nodes(per_region: u16, base: Option<u16>) -> Result<Vec<Node>, Failure> {
    let names = REGIONS.iter().flat_map(|region| (1..=per_region).map(move |at| (region, at)));
    let mut nodes = Vec::new();
    for (count, (region, at)) in (0u16..).zip(names) {
        let ports = base.map_or_else(free_ports, |base| Ok(fixed_ports(base, count)));
        let [http, https, admin, mesh] =
            ports.map_err(|error| Failure::doing("cannot find free ports", error))?;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        nodes.push(Node {
            name: format!("{}-{at}", region.name),
            region,
            http: local(http),
            https: local(https),
            mesh: local(mesh),
            admin: local(admin),
        });
    }
    Ok(nodes)
}

/// HTTP ports first, so that the first node is on `base` itself.
fn fixed_ports(base: u16, count: u16) -> [u16; 4] {
    let (admin, mesh) = (base + NODES_MAX, base + 2 * NODES_MAX);
    let https = mesh + NODES_MAX * MESH_PORTS;
    [base + count, https + count, admin + count, mesh + count * MESH_PORTS]
}

/// Given to nobody else: neither to another node nor, by the kernel, to one of the network's links.
fn free_ports() -> std::io::Result<[u16; 4]> {
    let first = ports::lasting(3 + MESH_PORTS)?;
    Ok([first, first + 1, first + 2, first + 3])
}

/// Control and one worker.
pub(super) const MESH_PORTS: u16 = 2;
/// Three regions of at most eight nodes.
const NODES_MAX: u16 = 24;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::wan;
    use super::*;

    /// Every port of a fleet of 24 nodes.
    fn ports_of(base: Option<u16>) -> BTreeSet<u16> {
        let nodes = nodes(8, base).unwrap_or_else(|_| panic!("there are ports"));
        assert_eq!(nodes.len(), 24);
        let ports =
            |node: &Node| [node.http.port(), node.admin.port(), node.mesh.port(), node.mesh.port() + 1];
        nodes.iter().flat_map(ports).collect()
    }

    #[test]
    fn ports_that_were_found_are_given_to_nobody_else() {
        let ports = ports_of(None);
        assert_eq!(ports.len(), 4 * 24, "no two nodes share one");
        // As the network's links do, while the nodes have not started.
        let links: Vec<_> = (0..200).map(|_| wan::consecutive(MESH_PORTS).unwrap()).collect();
        for link in links.iter().flatten() {
            assert!(!ports.contains(&link.local_addr().unwrap().port()));
        }
    }

    #[test]
    fn a_run_of_ports_has_room_for_every_node() {
        let ports = ports_of(Some(20_000));
        assert_eq!((ports.first(), ports.len()), (Some(&20_000), 4 * 24));
    }
}
