//! A fleet in a simulation: the nodes of several regions with their backends and clients, each on a host of its own.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use graticule::identity::ca::Authority;
use graticule_gossip::Handover;
use graticule_node_api as api;
use graticule_node_core::mesh::Condition;
use http::{Request, header};
use http_body_util::Full;
use tokio::time::{Instant, sleep};

use crate::{Host, Process, Simulation};

mod backend;
mod client;
mod geo;
mod machine;
mod plan;

use backend::Journal;
pub use backend::Receipt;
pub use client::Answer;
pub use machine::Machine;
use plan::{ADMIN_PORT, GEO, HOME, HTTP_PORT, MESH, NodePlan, Role, SEEDS_MAX};
pub use plan::{FleetPlan, RegionPlan, TenantPlan};

/// A fleet. Everything of it ends with it.
#[derive(Debug)]
pub struct Fleet {
    machines: BTreeMap<String, Machine>,
    clients: BTreeMap<String, Host>,
    journal: Journal,
    _backends: Vec<Process>,
}

impl Fleet {
    /// Makes every host of `plan` and starts backends and nodes. Returns when all nodes listen; they may not have met
    /// yet. Errors: what the plan says is no legal configuration.
    pub async fn start(simulation: &Simulation, plan: &FleetPlan) -> io::Result<Self> {
        let (handover, journal) = (Handover::default(), Journal::default());
        let (mut clients, mut backends) = (BTreeMap::new(), Vec::new());
        for (number, region) in (1..).zip(&plan.regions) {
            let host = |role, kind: &str| {
                let name = format!("{}-{kind}", region.name);
                simulation.host(&name, region.coordinates, &[plan::address(number, role)])
            };
            clients.insert(region.name.clone(), host(Role::Client, "client")?);
            for backend in 1..=region.backends {
                let host = host(Role::Backend(backend), &format!("backend-{backend}"))?;
                backends.push(backend::start(simulation, &host, &region.name, &journal)?);
            }
        }
        let mut machines = BTreeMap::new();
        for (node, host) in hosts(simulation, plan)? {
            machines.insert(node.name.clone(), Machine::new(host, &node.region.name, &handover));
        }
        let fleet = Self { machines, clients, journal, _backends: backends };
        for machine in fleet.machines.values() {
            machine.start().await?;
        }
        Ok(fleet)
    }

    /// The machine of a node; an error if there is none of that name.
    pub fn machine(&self, node: &str) -> io::Result<&Machine> {
        self.machines.get(node).ok_or_else(|| absent("node", node))
    }

    /// Every machine, by the name of its node.
    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.machines.values()
    }

    /// The host that the clients of a region are on; an error if there is no such region.
    pub fn client(&self, region: &str) -> io::Result<&Host> {
        self.clients.get(region).ok_or_else(|| absent("region", region))
    }

    /// What all backends have received so far, in order.
    pub fn received(&self) -> Vec<Receipt> {
        self.journal.receipts()
    }

    /// Sends a request from a client in the region of `edge` to that node, over a connection of its own.
    ///
    /// Errors: no connection, or no whole answer within 30 s.
    pub async fn send(&self, edge: &str, request: Request<Full<Bytes>>) -> io::Result<Answer> {
        let machine = self.machine(edge)?;
        let client = self.client(machine.region())?;
        let to = machine.host().addresses().first().ok_or_else(|| absent("address of", edge))?;
        client::ask(&client.world(), SocketAddr::new(*to, HTTP_PORT), request).await
    }

    /// Sends a GET for `path` of `host`, as [`Fleet::send`] does.
    pub async fn get(&self, edge: &str, host: &str, path: &str) -> io::Result<Answer> {
        self.send(edge, get(host, path)?).await
    }

    /// Asks the admin API of `node`, on its own machine.
    pub async fn admin(&self, node: &str, path: &str) -> io::Result<Answer> {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT));
        client::ask(&self.machine(node)?.host().world(), to, get("localhost", path)?).await
    }

    /// What `edge` would do with a request of a tenant, by its admin API.
    pub async fn why(&self, edge: &str, tenant: &str) -> io::Result<api::Why> {
        read(&self.admin(edge, &format!("/v1/why?tenant={tenant}")).await?)
    }

    /// The nodes that `node` knows of, by its admin API.
    pub async fn view(&self, node: &str) -> io::Result<Vec<api::Node>> {
        read(&self.admin(node, "/v1/nodes").await?)
    }

    /// What `node` thinks of a peer at the moment; `None` if it does not know it.
    pub fn condition(&self, node: &str, peer: &str) -> io::Result<Option<Condition>> {
        let snapshot = self.machine(node)?.snapshot()?;
        let mut peers = snapshot.mesh.regions.iter().flat_map(|region| &region.peers);
        Ok(peers.find(|known| known.node.as_str() == peer).map(|known| known.condition))
    }

    /// Whether every node that runs can give requests to every other that runs.
    pub fn is_whole(&self) -> io::Result<bool> {
        let running: Vec<_> =
            self.machines().filter(|machine| machine.is_running()).map(Machine::name).collect();
        for (node, peer) in running.iter().flat_map(|node| running.iter().map(move |peer| (node, peer))) {
            if node != peer && self.condition(node, peer)? != Some(Condition::Usable) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits until [`Fleet::is_whole`], and says for how long; an error if it takes longer than `limit`.
    pub async fn until_whole(&self, limit: Duration) -> io::Result<Duration> {
        let began = Instant::now();
        while !self.is_whole()? {
            if began.elapsed() >= limit {
                let message = format!("the fleet was not whole within {limit:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            sleep(LOOK_INTERVAL).await;
        }
        Ok(began.elapsed())
    }
}

/// Makes the host of every node and writes its disk, as an operator would.
fn hosts(simulation: &Simulation, plan: &FleetPlan) -> io::Result<Vec<(NodePlan, Host)>> {
    let nodes = plan.nodes();
    for node in &nodes {
        simulation.name(&node.dns_name(), &[node.address]);
    }
    let seeds: Vec<_> = nodes.iter().take(SEEDS_MAX).map(NodePlan::dns_name).collect();
    let database = geo::database();
    let mesh = MESH.parse().map_err(io::Error::other)?;
    let mut authority = None;
    let mut hosts = Vec::new();
    for node in nodes {
        let host = simulation.host(&node.name, node.region.coordinates, &[node.address])?;
        let now = host.world().clock.wall();
        let authority = match &mut authority {
            Some(authority) => authority,
            none => none.insert(Authority::create(&mesh, VALID_DAYS, now).map_err(io::Error::other)?),
        };
        let (region, name) = (node.region.name.parse(), node.name.parse());
        let (region, name) = (region.map_err(io::Error::other)?, name.map_err(io::Error::other)?);
        let issued = authority.issue(&region, &name, VALID_DAYS, now).map_err(io::Error::other)?;
        let disk = host.disk();
        disk.put(format!("{HOME}/ca.pem"), authority.certificate());
        disk.put(format!("{HOME}/node.pem"), issued.certificate);
        disk.put(format!("{HOME}/node.key"), issued.key);
        disk.put(format!("{HOME}/node.toml"), node.configuration(&seeds, plan.requests_in_flight_max));
        disk.put(GEO, database.clone());
        disk.put(format!("{HOME}/fleet.toml"), plan.document());
        for tenant in &plan.tenants {
            let document = plan.tenant_document(tenant, 1, &tenant.residency);
            disk.put(format!("{HOME}/tenants/{}.toml", tenant.id), document);
        }
        hosts.push((node, host));
    }
    Ok(hosts)
}

fn get(host: &str, path: &str) -> io::Result<Request<Full<Bytes>>> {
    Request::get(path).header(header::HOST, host).body(Full::default()).map_err(io::Error::other)
}

fn read<T: for<'de> serde::Deserialize<'de>>(answer: &Answer) -> io::Result<T> {
    serde_json::from_slice(&answer.body)
        .map_err(|error| io::Error::other(format!("{error} in {}: {}", answer.status, answer.text())))
}

fn absent(what: &str, name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("the fleet has no {what} `{name}`"))
}

/// Of certificates.
const VALID_DAYS: u32 = 365;
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
