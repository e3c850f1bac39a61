//! A fleet in a simulation: the nodes of several regions with their backends and clients, each on a host of its own.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use graticule::identity::ca::Authority;
use graticule_geo::Country;
use graticule_gossip::Handover;
use graticule_node_api as api;
use graticule_node_core::mesh::{Condition, TUNNELS_PER_REGION_MAX};
use http::{Request, header};
use http_body_util::Full;
use tokio::time::{Instant, sleep};

use crate::chance::{Purpose, generator};
use crate::scenario::{BackendFault, GeoFault};
use crate::{Host, Link, Process, Simulation};

pub(crate) mod backend;
pub(crate) mod client;
pub(crate) mod geo;
mod machine;
mod plan;

pub use backend::Receipt;
use backend::{Journal, Site};
pub use client::Answer;
pub use machine::Machine;
use plan::{ACCESS_LOG, ADMIN_PORT, BACKEND_PORT, GEO, HOME, NodePlan, Role};
pub use plan::{FleetPlan, RegionPlan, TenantPlan};
pub(crate) use plan::{HTTP_PORT, MESH, MESH_PORT};

/// A fleet. Everything of it ends with it.
#[derive(Debug)]
pub struct Fleet {
    simulation: Simulation,
    plan: FleetPlan,
    machines: BTreeMap<String, Machine>,
    clients: BTreeMap<String, Host>,
    travellers: RefCell<BTreeMap<(String, Option<Country>), Host>>,
    handover: Handover,
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
                let site = backend_site(simulation, &host);
                backends.push(backend::start(site, region, &journal)?);
            }
        }
        let mut machines = BTreeMap::new();
        for (node, host, image) in hosts(simulation, plan)? {
            machines.insert(node.name, Machine::new(host, &node.region.name, image, &handover));
        }
        let (simulation, plan) = (simulation.clone(), plan.clone());
        let travellers = RefCell::default();
        let fleet =
            Self { simulation, plan, machines, clients, travellers, handover, journal, _backends: backends };
        fleet.shape_ways();
        for machine in fleet.machines.values() {
            machine.start().await?;
        }
        Ok(fleet)
    }

    /// Gives every way between nodes what the plan says of it.
    fn shape_ways(&self) {
        if self.plan.jitter.is_zero() {
            return;
        }
        for (from, to) in self.machines().flat_map(|from| self.machines().map(move |to| (from, to))) {
            if let Some(link) = self.base_link(from.name(), to.name()).filter(|_| from.name() != to.name()) {
                self.simulation.shape(from.host(), to.host(), |shaped| *shaped = link);
            }
        }
    }

    /// The way from one node to another when nothing is wrong with it.
    pub fn base_link(&self, from: &str, to: &str) -> Option<Link> {
        self.plan.base_link(from, to)
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

    /// What it is made of.
    pub fn plan(&self) -> &FleetPlan {
        &self.plan
    }

    /// The simulation it is in.
    pub fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// Where its nodes leave what they gossip.
    pub fn gossip(&self) -> &Handover {
        &self.handover
    }

    /// A host of clients near a region whose addresses are in `country`, or in none.
    pub fn traveller(&self, region: &str, country: Option<Country>) -> io::Result<Host> {
        let key = (region.to_owned(), country);
        if let Some(host) = self.travellers.borrow().get(&key) {
            return Ok(host.clone());
        }
        let mut regions = (1..).zip(&self.plan.regions);
        let (number, plan) =
            regions.find(|(_, plan)| plan.name == region).ok_or_else(|| absent("region", region))?;
        let name = format!("{region}-client-{}", country.as_ref().map_or("nowhere", Country::as_str));
        let host = self.simulation.host(&name, plan.coordinates, &[geo::address(country, number)])?;
        self.travellers.borrow_mut().insert(key, host.clone());
        Ok(host)
    }

    /// Lets the backends of some regions do something wrong until [`Fleet::mend_backends`] with the same number: for
    /// requests to `host`, or for all.
    pub fn hurt_backends(&self, id: u64, regions: &[String], host: Option<String>, how: BackendFault) {
        self.journal.begin(id, regions, host, how);
    }

    /// Ends what [`Fleet::hurt_backends`] began.
    pub fn mend_backends(&self, id: u64) {
        self.journal.end(id);
    }

    /// Replaces a tenant's document on a node's disk.
    pub fn put_document(&self, node: &str, tenant: &str, version: u64, residency: &str) -> io::Result<()> {
        let tenant = self.plan.tenant(tenant).ok_or_else(|| absent("tenant", tenant))?;
        let document = self.plan.tenant_document(tenant, version, residency);
        self.machine(node)?.host().disk().put(document_path(&tenant.id), document);
        Ok(())
    }

    /// Replaces a node's geo database; with nothing, puts the right one there again.
    pub fn put_geo(&self, node: &str, how: Option<GeoFault>) -> io::Result<()> {
        let disk = self.machine(node)?.host().disk();
        match geo::found(how) {
            Some(database) => disk.put(GEO, database),
            None => disk.remove(GEO),
        }
        Ok(())
    }

    /// Gives a node's name the addresses of other nodes, or none.
    pub fn rename(&self, node: &str, to: &[String]) -> io::Result<()> {
        let machines = to.iter().map(|name| self.machine(name)).collect::<io::Result<Vec<_>>>()?;
        let addresses: Vec<_> =
            machines.iter().flat_map(|machine| machine.host().addresses()).copied().collect();
        self.simulation.name(&plan::dns_name(node), &addresses);
        Ok(())
    }

    /// What all backends have received so far from the one at this position on, in order.
    pub fn received_from(&self, position: usize) -> Vec<Receipt> {
        self.journal.receipts_from(position)
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

    /// Whether every node that runs can give requests to every other that runs; of a large region, to as many of its
    /// nodes as a node keeps tunnels to.
    pub fn is_whole(&self) -> io::Result<bool> {
        let running: BTreeMap<_, _> = self
            .machines()
            .filter(|machine| machine.is_running())
            .map(|machine| (machine.name(), machine.region()))
            .collect();
        for (node, own) in &running {
            let snapshot = self.machine(node)?.snapshot()?;
            let peers = snapshot.mesh.regions.iter().flat_map(|region| &region.peers);
            let usable = peers.filter(|peer| peer.condition == Condition::Usable);
            let usable: Vec<_> = usable.filter_map(|peer| running.get(peer.node.as_str())).collect();
            for region in self.plan.regions.iter().map(|region| region.name.as_str()) {
                let others = running.values().filter(|there| **there == region).count();
                let others = others - usize::from(*own == region);
                let reached = usable.iter().filter(|there| ***there == region).count();
                if reached < others.min(TUNNELS_PER_REGION_MAX) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Whether gossip tells every node that runs the same: that all who run are alive, and nobody else.
    pub fn agrees(&self) -> bool {
        let running = self.machines().filter(|machine| machine.is_running());
        let running: BTreeSet<_> = running.map(Machine::name).collect();
        let mut views = self.machines().filter_map(Machine::view);
        views.all(|view| view.live().map(|member| member.node.as_str()).eq(running.iter().copied()))
    }

    /// Waits until [`Fleet::agrees`], and says for how long; an error if it takes longer than `limit`.
    pub async fn until_agreed(&self, limit: Duration) -> io::Result<Duration> {
        let began = Instant::now();
        while !self.agrees() {
            if began.elapsed() >= limit {
                let message = format!("the nodes did not agree on who there is within {limit:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            sleep(LOOK_INTERVAL).await;
        }
        Ok(began.elapsed())
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

fn backend_site(simulation: &Simulation, host: &Host) -> Site {
    Site {
        name: host.name().to_owned(),
        world: host.world(),
        address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, BACKEND_PORT)),
        origin: simulation.network.origin(),
        chance: generator(simulation.seed, Purpose::Backend, &[host.id.number()]),
    }
}

/// What an operator puts on a disk: paths with contents.
type Image = Vec<(String, Vec<u8>)>;

/// Makes the host of every node, and what an operator would put on its disk.
fn hosts(simulation: &Simulation, plan: &FleetPlan) -> io::Result<Vec<(NodePlan, Host, Image)>> {
    let nodes = plan.nodes();
    for node in &nodes {
        simulation.name(&node.dns_name(), &[node.address]);
    }
    let seeds = plan.seeds();
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
        let mut image = vec![
            (format!("{HOME}/ca.pem"), authority.certificate().into()),
            (format!("{HOME}/node.pem"), issued.certificate.into()),
            (format!("{HOME}/node.key"), issued.key.into()),
            (format!("{HOME}/node.toml"), node.configuration(&seeds, plan.requests_in_flight_max).into()),
            (format!("{HOME}/fleet.toml"), plan.document().into()),
            (GEO.to_owned(), database.clone()),
            (ACCESS_LOG.to_owned(), Vec::new()),
        ];
        for tenant in &plan.tenants {
            let document = plan.tenant_document(tenant, 1, &tenant.residency);
            image.push((document_path(&tenant.id), document.into()));
        }
        hosts.push((node, host, image));
    }
    Ok(hosts)
}

fn document_path(tenant: &str) -> String {
    format!("{HOME}/tenants/{tenant}.toml")
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
