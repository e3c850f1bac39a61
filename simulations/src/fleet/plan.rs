//! What a fleet is made of, and the documents that say so.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use graticule_geo::{Coordinates, STARTER_SETS};

/// What a fleet is made of: its nodes are named `<region>-1`, `<region>-2` and so on.
#[derive(Debug, Clone)]
pub struct FleetPlan {
    /// The regions.
    pub regions: Vec<RegionPlan>,
    /// How many nodes each region has, 1 to 200.
    pub nodes_per_region: u8,
    /// Whose requests are served.
    pub tenants: Vec<TenantPlan>,
}

/// A region.
#[derive(Debug, Clone)]
pub struct RegionPlan {
    /// Its name.
    pub name: String,
    /// The country whose law holds there.
    pub country: String,
    /// Where all its hosts are.
    pub coordinates: Coordinates,
}

/// A tenant.
#[derive(Debug, Clone)]
pub struct TenantPlan {
    /// Its id; its host is `<id>.example`.
    pub id: String,
    /// The lines of its document's residency table.
    pub residency: String,
    /// The regions it has a pool in.
    pub pools: Vec<String>,
}

impl TenantPlan {
    /// The host that its requests ask for.
    pub fn host(&self) -> String {
        format!("{}.example", self.id)
    }

    /// Its document. Backends are known by their region's number.
    pub(super) fn document(&self, regions: &[RegionPlan]) -> String {
        let mut text = format!(
            "version = 1\nid = \"{}\"\n\n[[match]]\nhost = \"{}\"\n\n[residency]\n{}\n",
            self.id,
            self.host(),
            self.residency
        );
        for (number, region) in (1..).zip(regions) {
            if self.pools.contains(&region.name) {
                // Writing to a string cannot fail.
                let _ = write!(
                    text,
                    "\n[pools.{}]\nbackends = [\"{}:{BACKEND_PORT}\"]\ncheck = {{ path = \"{CHECK_PATH}\" }}\n",
                    region.name,
                    address(number, Role::Backend)
                );
            }
        }
        text
    }
}

impl FleetPlan {
    /// The fleet document.
    pub(super) fn document(&self) -> String {
        let mut text = format!("version = 1\nmesh = \"{MESH}\"\n");
        for region in &self.regions {
            let (latitude, longitude) = (region.coordinates.latitude(), region.coordinates.longitude());
            let _ = write!(
                text,
                "\n[regions.{}]\ncountry = \"{}\"\nlatitude = {latitude}\nlongitude = {longitude}\n",
                region.name, region.country
            );
        }
        text + "\n" + STARTER_SETS
    }

    /// Every node with the number of its region.
    pub(super) fn nodes(&self) -> Vec<NodePlan> {
        let regions = (1..).zip(&self.regions);
        let nodes = regions.flat_map(|(region, plan)| {
            (1..=self.nodes_per_region).map(move |node| NodePlan {
                name: format!("{}-{node}", plan.name),
                region: plan.clone(),
                address: address(region, Role::Node(node)),
            })
        });
        nodes.collect()
    }
}

/// One node.
#[derive(Debug, Clone)]
pub(super) struct NodePlan {
    pub(super) name: String,
    pub(super) region: RegionPlan,
    pub(super) address: IpAddr,
}

impl NodePlan {
    /// Its node.toml.
    pub(super) fn configuration(&self, seeds: &[IpAddr]) -> String {
        let seeds: Vec<_> = seeds.iter().map(|seed| format!("\"{seed}:{MESH_PORT}\"")).collect();
        format!(
            r#"name = "{name}"
data = "{DATA}"
documents = "{HOME}"
workers = 1

[ingress]
http = "0.0.0.0:{HTTP_PORT}"

[mesh]
listen = "{address}:{MESH_PORT}"
seeds = [{seeds}]
certificate = "{HOME}/node.pem"
key = "{HOME}/node.key"
authorities = "{HOME}/ca.pem"

[admin]
listen = "127.0.0.1:{ADMIN_PORT}"
"#,
            name = self.name,
            address = self.address,
            seeds = seeds.join(", "),
        )
    }
}

/// What a host of a region is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    Node(u8),
    Backend,
    Client,
}

/// The address of a host of the region with this number.
pub(super) fn address(region: u8, role: Role) -> IpAddr {
    let host = match role {
        Role::Node(number) => number,
        Role::Backend => 251,
        Role::Client => 252,
    };
    Ipv4Addr::new(10, 0, region, host).into()
}

pub(super) const MESH: &str = "simulated";
pub(super) const HTTP_PORT: u16 = 80;
pub(super) const MESH_PORT: u16 = 7_400;
pub(super) const ADMIN_PORT: u16 = 9_901;
pub(super) const BACKEND_PORT: u16 = 8_080;
/// Where a node finds its configuration, certificates and documents.
pub(super) const HOME: &str = "/etc/graticule";
const DATA: &str = "/var/lib/graticule";
/// What health checks ask for.
pub(super) const CHECK_PATH: &str = "/healthz";
