//! What the demo's fleet is: regions, tenants, nodes and their ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use graticule_geo::Coordinates;

use super::wan;
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

/// A node's free ports, kept from whoever looks for one until its process is about to start.
#[derive(Debug)]
pub(super) struct Held {
    http: TcpListener,
    admin: TcpListener,
    mesh: Vec<UdpSocket>,
}

/// The nodes of the fleet on free ports, which stay free while they are held, or on a run of ports from `base` on.
pub(super) fn nodes(per_region: u16, base: Option<u16>) -> Result<Vec<(Node, Option<Held>)>, Failure> {
    let names = REGIONS.iter().flat_map(|region| (1..=per_region).map(move |at| (region, at)));
    let mut nodes = Vec::new();
    for (count, (region, at)) in (0u16..).zip(names) {
        let found = match base {
            Some(base) => Ok((fixed_ports(base, count), None)),
            None => Held::find().and_then(|held| Ok((held.ports()?, Some(held)))),
        };
        let ([http, admin, mesh], held) =
            found.map_err(|error| Failure::doing("cannot find free ports", error))?;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let node = Node {
            name: format!("{}-{at}", region.name),
            region,
            http: local(http),
            mesh: local(mesh),
            admin: local(admin),
        };
        nodes.push((node, held));
    }
    Ok(nodes)
}

/// HTTP ports first, so that the first node is on `base` itself.
fn fixed_ports(base: u16, count: u16) -> [u16; 3] {
    [base + count, base + NODES_MAX + count, base + 2 * NODES_MAX + count * MESH_PORTS]
}

impl Held {
    fn find() -> std::io::Result<Self> {
        let tcp = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        Ok(Self { http: tcp()?, admin: tcp()?, mesh: wan::consecutive(MESH_PORTS)? })
    }

    fn ports(&self) -> std::io::Result<[u16; 3]> {
        let mesh = self.mesh.first().ok_or(std::io::ErrorKind::NotFound)?.local_addr()?;
        Ok([self.http.local_addr()?.port(), self.admin.local_addr()?.port(), mesh.port()])
    }
}

/// Control and one worker.
pub(super) const MESH_PORTS: u16 = 2;
/// Three regions of at most eight nodes.
const NODES_MAX: u16 = 24;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_that_were_found_are_given_to_nobody_else() {
        let nodes = nodes(8, None).unwrap_or_else(|_| panic!("there are free ports"));
        let planned = |node: &Node| [(0, node.http.port()), (0, node.admin.port()), (1, node.mesh.port())];
        let mut taken: BTreeSet<_> = nodes.iter().flat_map(|(node, _)| planned(node)).collect();
        assert_eq!(taken.len(), 3 * nodes.len(), "no two nodes share one");
        taken.extend(nodes.iter().map(|(node, _)| (1, node.mesh.port() + 1)));
        // As the network's links do, while the nodes have not started.
        let links: Vec<_> = (0..200).map(|_| wan::consecutive(MESH_PORTS).unwrap()).collect();
        for socket in links.iter().flatten() {
            assert!(!taken.contains(&(1, socket.local_addr().unwrap().port())));
        }
    }

    #[test]
    fn a_run_of_ports_has_room_for_every_node() {
        let nodes = nodes(8, Some(20_000)).unwrap_or_else(|_| panic!("nothing is bound"));
        let ports = nodes.iter().flat_map(|(node, _)| {
            [node.http.port(), node.admin.port(), node.mesh.port(), node.mesh.port() + 1]
        });
        let distinct: BTreeSet<_> = ports.collect();
        assert_eq!((nodes[0].0.http.port(), distinct.len()), (20_000, 4 * nodes.len()));
    }
}
