//! What a fleet is made of, and the documents that say so.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use graticule_geo::{Coordinates, Country, STARTER_SETS};

use crate::Link;

/// What a fleet is made of.
#[derive(Debug, Clone)]
pub struct FleetPlan {
    /// The regions.
    pub regions: Vec<RegionPlan>,
    /// Whose requests are served.
    pub tenants: Vec<TenantPlan>,
    /// How many requests each node can have in flight.
    pub requests_in_flight_max: u32,
    /// How much longer a packet between two nodes may take than the distance asks for, evenly spread.
    pub jitter: Duration,
}

/// A region. Its nodes are named `<region>-1`, `<region>-2` and so on.
#[derive(Debug, Clone)]
pub struct RegionPlan {
    /// Its name.
    pub name: String,
    /// The country whose law holds there.
    pub country: Country,
    /// Where all its hosts are.
    pub coordinates: Coordinates,
    /// What else rules can call it.
    pub labels: Vec<String>,
    /// How many nodes it has, 1 to [`RegionPlan::NODES_MAX`].
    pub nodes: u8,
    /// How many backends it has, 1 to [`RegionPlan::BACKENDS_MAX`].
    pub backends: u8,
    /// How long its backends take for an answer.
    pub backend_latency: Duration,
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
    /// How long a backend may take to begin its answer; the product's default without.
    pub response_timeout: Option<Duration>,
}

impl TenantPlan {
    /// The host that its requests ask for.
    pub fn host(&self) -> String {
        format!("{}.example", self.id)
    }

    /// Version `version` of its document, with `residency` for its rules, and backends at these addresses. A region
    /// without any has no pool.
    pub fn document(
        &self,
        version: u64,
        residency: &str,
        backends: impl Fn(&str) -> Vec<SocketAddr>,
    ) -> String {
        let mut text = format!(
            "version = {version}\nid = \"{}\"\n\n[[match]]\nhost = \"{}\"\n\n[residency]\n{residency}\n",
            self.id,
            self.host(),
        );
        for region in &self.pools {
            let backends: Vec<_> = backends(region).iter().map(|at| format!("\"{at}\"")).collect();
            if backends.is_empty() {
                continue;
            }
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "\n[pools.{region}]\nbackends = [{}]\ncheck = {{ path = \"{CHECK_PATH}\", host = \"{}\" }}\n",
                backends.join(", "),
                self.host(),
            );
            if let Some(timeout) = self.response_timeout {
                let _ = writeln!(text, "response_timeout = \"{}ms\"", timeout.as_millis());
            }
        }
        text
    }
}

impl RegionPlan {
    /// How many nodes a region can have.
    pub const NODES_MAX: u8 = 200;
    /// How many backends a region can have.
    pub const BACKENDS_MAX: u8 = 40;

    /// A region with one node and one backend.
    pub fn new(name: &str, country: Country, coordinates: Coordinates) -> Self {
        Self {
            name: name.to_owned(),
            country,
            coordinates,
            labels: Vec::new(),
            nodes: 1,
            backends: 1,
            backend_latency: Duration::ZERO,
        }
    }

    /// The names of its nodes.
    pub fn node_names(&self) -> impl Iterator<Item = String> {
        (1..=self.nodes).map(|number| format!("{}-{number}", self.name))
    }
}

impl FleetPlan {
    /// How many requests each node can have in flight, unless it is said: the product's default.
    pub const REQUESTS_IN_FLIGHT_MAX: u32 = 10_000;

    /// A region by its name.
    pub fn region(&self, name: &str) -> Option<&RegionPlan> {
        self.regions.iter().find(|region| region.name == name)
    }

    /// The region of a node.
    pub fn region_of(&self, node: &str) -> Option<&RegionPlan> {
        self.regions.iter().find(|region| region.node_names().any(|name| name == node))
    }

    /// The names of all nodes, by region.
    pub fn node_names(&self) -> impl Iterator<Item = String> {
        self.regions.iter().flat_map(RegionPlan::node_names)
    }

    /// The way from one node to another when nothing is wrong with it.
    pub fn base_link(&self, from: &str, to: &str) -> Option<Link> {
        let (from, to) = (self.region_of(from)?, self.region_of(to)?);
        Some(Link { jitter: self.jitter, ..Link::between(from.coordinates, to.coordinates) })
    }

    /// A tenant by its id.
    pub fn tenant(&self, id: &str) -> Option<&TenantPlan> {
        self.tenants.iter().find(|tenant| tenant.id == id)
    }

    /// The fleet document.
    pub fn document(&self) -> String {
        let mut text = format!("version = 1\nmesh = \"{MESH}\"\n");
        for region in &self.regions {
            let (latitude, longitude) = (region.coordinates.latitude(), region.coordinates.longitude());
            let labels: Vec<_> = region.labels.iter().map(|label| format!("\"{label}\"")).collect();
            let _ = write!(
                text,
                "\n[regions.{}]\ncountry = \"{}\"\nlatitude = {latitude}\nlongitude = {longitude}\nlabels = [{}]\n",
                region.name,
                region.country,
                labels.join(", ")
            );
        }
        text + "\n" + STARTER_SETS
    }

    /// A tenant's document in a simulated fleet.
    pub(crate) fn tenant_document(&self, tenant: &TenantPlan, version: u64, residency: &str) -> String {
        let backends = |name: &str| {
            let found = (1..).zip(&self.regions).find(|(_, region)| region.name == name);
            let addresses = found.map(|(number, region)| {
                (1..=region.backends).map(move |backend| address(number, Role::Backend(backend)))
            });
            let addresses = addresses.into_iter().flatten();
            addresses.map(|address| SocketAddr::new(address, BACKEND_PORT)).collect()
        };
        tenant.document(version, residency, backends)
    }

    /// The names of the nodes that every node is told of: all of a small fleet; of a large one some, from as many
    /// regions as can be.
    pub(super) fn seeds(&self) -> Vec<String> {
        let mut numbered: Vec<_> = self
            .regions
            .iter()
            .flat_map(|region| (1..=region.nodes).zip(region.node_names()))
            .enumerate()
            .map(|(at, (number, name))| (number, at, name))
            .collect();
        numbered.sort_unstable();
        numbered.truncate(SEEDS_MAX);
        numbered.sort_unstable_by_key(|(_, at, _)| *at);
        numbered.iter().map(|(.., name)| dns_name(name)).collect()
    }

    /// Every node with the number of its region.
    pub(super) fn nodes(&self) -> Vec<NodePlan> {
        let regions = (1..).zip(&self.regions);
        let nodes = regions.flat_map(|(region, plan)| {
            (1..=plan.nodes).map(move |node| NodePlan {
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
    /// What it is called in the name service.
    pub(super) fn dns_name(&self) -> String {
        dns_name(&self.name)
    }

    /// Its node.toml, with these names for seeds.
    pub(super) fn configuration(&self, seeds: &[String], requests_in_flight_max: u32) -> String {
        let seeds: Vec<_> = seeds.iter().map(|seed| format!("\"{seed}:{MESH_PORT}\"")).collect();
        format!(
            r#"name = "{name}"
data = "{DATA}"
documents = "{HOME}"
workers = 1

[limits]
requests_in_flight_max = {requests_in_flight_max}

[geo]
databases = ["{GEO}"]
embedded = false

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

[access_log]
path = "{ACCESS_LOG}"
"#,
            name = self.name,
            address = self.address,
            seeds = seeds.join(", "),
        )
    }
}

/// What a node is called in the name service.
pub(super) fn dns_name(node: &str) -> String {
    format!("{node}.nodes.example")
}

/// What a host of a region is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    Node(u8),
    Backend(u8),
    Client,
}

/// The address of a host of the region with this number.
pub(super) fn address(region: u8, role: Role) -> IpAddr {
    let host = match role {
        Role::Node(number) => number,
        Role::Backend(number) => RegionPlan::NODES_MAX + number,
        Role::Client => 252,
    };
    Ipv4Addr::new(10, 0, region, host).into()
}

pub(crate) const MESH: &str = "simulated";
pub(crate) const HTTP_PORT: u16 = 80;
pub(crate) const MESH_PORT: u16 = 7_400;
pub(super) const ADMIN_PORT: u16 = 9_901;
pub(super) const BACKEND_PORT: u16 = 8_080;
/// Where a node finds its configuration, certificates and documents.
pub(super) const HOME: &str = "/etc/graticule";
/// Where it keeps what it must remember.
const DATA: &str = "/var/lib/graticule";
/// Where it says what became of requests.
pub(super) const ACCESS_LOG: &str = "/var/log/graticule/access.log";
/// Its geo database.
pub(super) const GEO: &str = "/var/lib/geo/countries.mmdb";
/// Nodes that every node is told of: what somebody writes down by hand.
const SEEDS_MAX: usize = 12;
/// What health checks ask for.
pub(super) const CHECK_PATH: &str = "/healthz";
