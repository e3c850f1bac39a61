//! A running fleet: what was planned, as processes.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use graticule::demo::wan::{Relays, Road, steady};
use graticule_node_api::{Why, WhyQuery, client};
use tempfile::TempDir;

use crate::certificates::self_signed;
use crate::node::{MESH_PORTS, Neighbours};
use crate::{Authority, Backend, Certificate, Node, Plan, Ran, Received, Region, eventually, run};

/// A fleet of processes; all end with it.
#[derive(Debug)]
pub struct Fleet {
    /// Its nodes, by region.
    pub nodes: Vec<Node>,
    /// Its backends, by region.
    pub backends: Vec<Backend>,
    plan: Plan,
    authority: Authority,
    wan: Option<Relays>,
    directory: TempDir,
}

/// A node that nobody planned.
#[derive(Debug)]
pub struct Guest<'a> {
    /// The directory for everything it has, within the fleet's.
    pub home: &'a str,
    /// The name in its configuration.
    pub name: &'a str,
    /// Its region.
    pub region: &'static str,
    /// Its documents.
    pub documents: &'a Path,
    /// Its certificate, and whom it trusts.
    pub certificate: &'a Certificate,
    /// Whom it begins with.
    pub seeds: &'a [SocketAddr],
}

impl Fleet {
    pub(crate) async fn start(plan: Plan) -> Self {
        let mut fleet = Self::prepare(plan).await;
        fleet.nodes.iter_mut().for_each(Node::start);
        fleet.until_connected().await;
        fleet
    }

    /// Writes everything that a fleet reads and starts its backends, but none of its nodes.
    pub async fn prepare(plan: Plan) -> Self {
        let directory = tempfile::Builder::new().prefix("graticule-test-").tempdir().expect("a directory");
        let authority = Authority::init(&directory.path().join("ca"), plan.mesh).await;
        let region_backends = |region: &Region| {
            let region = region.name;
            (0..plan.backends_per_region).map(move |_| Backend::start(region)).collect::<Vec<_>>()
        };
        let backends: Vec<_> = plan.regions.iter().flat_map(region_backends).collect();
        let mut fleet = Self { nodes: Vec::new(), backends, plan, authority, wan: None, directory };
        fleet.write_documents();
        fleet.write_certificates();
        fleet.place_nodes();
        fleet.configure_nodes().await;
        fleet
    }

    /// Writes a pair of files for each certificate, named after its first name.
    fn write_certificates(&self) {
        for names in &self.plan.certificates {
            fs::create_dir_all(self.certificates()).expect("a directory for certificates");
            self_signed(&self.certificates(), names[0], names);
        }
    }

    fn clients_see(&self) -> Option<PathBuf> {
        (!self.plan.certificates.is_empty()).then(|| self.certificates())
    }

    /// The directory of the certificates that clients see.
    pub fn certificates(&self) -> PathBuf {
        self.directory.path().join("clients")
    }

    fn write_documents(&self) {
        let documents = self.documents();
        let addresses = |region: &str| {
            let there = self.backends.iter().filter(|backend| backend.region == region);
            there.map(|backend| backend.address.to_string()).collect()
        };
        write(&documents.join("fleet.toml"), &self.plan.fleet_document());
        fs::create_dir_all(documents.join("tenants")).expect("a directory for documents");
        for tenant in &self.plan.tenants {
            write(&documents.join(format!("tenants/{}.toml", tenant.id)), &tenant.document(addresses));
        }
    }

    fn place_nodes(&mut self) {
        for region in &self.plan.regions {
            for at in 1..=self.plan.nodes_per_region {
                let name = format!("{}-{at}", region.name);
                let home = self.directory.path().join(&name);
                self.nodes.push(Node::new(name, region.name, home));
            }
        }
    }

    async fn configure_nodes(&mut self) {
        let roads: Vec<(usize, usize, Road)> = self.roads();
        let plain = roads.iter().map(|(_, _, road)| road.clone()).collect();
        let (wan, addresses) = Relays::start(plain).await.expect("ports for the network");
        self.wan = Some(wan);
        let by_road: Vec<_> = roads.iter().zip(&addresses).collect();
        for (at, node) in self.nodes.iter().enumerate() {
            let own_roads = by_road.iter().filter(|((from, _, _), _)| *from == at);
            let dial: Vec<_> =
                own_roads.map(|((_, to, _), address)| (self.nodes[*to].name.clone(), **address)).collect();
            let certificate = self.authority.issue(node.region, &node.name, &self.home(node)).await;
            let neighbours =
                Neighbours { seeds: self.seeds(node, &dial), dial, clients_see: self.clients_see() };
            node.configure(&self.documents(), &certificate, &neighbours);
        }
    }

    /// One road for each pair of nodes in different regions, in both directions of dialling.
    fn roads(&self) -> Vec<(usize, usize, Road)> {
        let mut roads = Vec::new();
        let pairs = (0..self.nodes.len()).flat_map(|from| (0..self.nodes.len()).map(move |to| (from, to)));
        for (from, to) in pairs.filter(|_| self.plan.over_wan) {
            let (here, there) = (self.region_of(from), self.region_of(to));
            if here != there {
                let weather = steady(here.round_trip(there) / 2);
                roads.push((from, to, Road { target: self.nodes[to].mesh, ports: MESH_PORTS, weather }));
            }
        }
        roads
    }

    /// One node of every region is enough to find all others.
    fn seeds(&self, node: &Node, dial: &[(String, SocketAddr)]) -> Vec<SocketAddr> {
        let first = self.nodes.iter().filter(|seed| seed.name.ends_with("-1") && seed.name != node.name);
        let by_road =
            |seed: &Node| dial.iter().find(|(name, _)| *name == seed.name).map(|(_, address)| *address);
        first.map(|seed| by_road(seed).unwrap_or(seed.mesh)).collect()
    }

    fn region_of(&self, node: usize) -> Region {
        let name = self.nodes[node].region;
        *self.plan.regions.iter().find(|region| region.name == name).expect("a planned region")
    }

    fn home(&self, node: &Node) -> PathBuf {
        self.directory.path().join(&node.name)
    }

    /// The directory of its documents.
    pub fn documents(&self) -> PathBuf {
        self.directory.path().join("documents")
    }

    /// A directory of this name beside everything else of the fleet.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The authority that issued its certificates.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A node that nobody planned, beside the fleet. It is not running yet.
    pub fn guest(&self, guest: &Guest<'_>) -> Node {
        let node = Node::new(guest.name.to_owned(), guest.region, self.scratch(guest.home));
        let neighbours = Neighbours { seeds: guest.seeds.to_vec(), ..Neighbours::default() };
        node.configure(guest.documents, guest.certificate, &neighbours);
        node
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.name == name).unwrap_or_else(|| panic!("no node {name}"))
    }

    /// A node by name, to be changed.
    pub fn node_mut(&mut self, name: &str) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.name == name).unwrap_or_else(|| panic!("no node {name}"))
    }

    /// The nodes of a region.
    pub fn nodes_in<'a>(&'a self, region: &'a str) -> impl Iterator<Item = &'a Node> {
        self.nodes.iter().filter(move |node| node.region == region)
    }

    /// Kills every node of a region, one right after the other.
    pub fn kill_region(&mut self, region: &str) {
        self.nodes.iter_mut().filter(|node| node.region == region).for_each(Node::kill);
    }

    /// Where clients of a region come in: its first node.
    pub fn edge(&self, region: &str) -> SocketAddr {
        self.nodes_in(region).next().unwrap_or_else(|| panic!("no node in {region}")).http
    }

    /// Where clients of a region come in that want TLS.
    pub fn tls_edge(&self, region: &str) -> SocketAddr {
        self.nodes_in(region).next().unwrap_or_else(|| panic!("no node in {region}")).https
    }

    /// The backends of a region, to be stopped and resumed.
    pub fn backends_in<'a>(&'a mut self, region: &'a str) -> impl Iterator<Item = &'a mut Backend> {
        self.backends.iter_mut().filter(move |backend| backend.region == region)
    }

    /// Where a request of this name arrived, with what arrived there.
    pub fn seen(&self, id: &str) -> Vec<(String, Received)> {
        let at = |backend: &Backend| {
            let region = backend.region.clone();
            backend.named(id).into_iter().map(move |received| (region.clone(), received))
        };
        self.backends.iter().flat_map(at).collect()
    }

    /// Waits until every running node can give requests to every other, and all backends of its region are healthy.
    pub async fn until_connected(&mut self) {
        let running = self.nodes.iter().filter(|node| node.is_running()).count();
        eventually("every node reaches every other", READY_LIMIT, async || {
            self.nodes.iter_mut().for_each(Node::assert_alive);
            for node in self.nodes.iter().filter(|node| node.is_running()) {
                let tunnels = node.call(&client::tunnels()).await.map_err(|error| error.0)?;
                let usable = tunnels.iter().filter(|tunnel| tunnel.condition == "usable").count();
                if usable + 1 != running {
                    return Err(format!(
                        "{} has {usable} of {} tunnels: {tunnels:?}",
                        node.name,
                        running - 1
                    ));
                }
            }
            Ok(())
        })
        .await;
    }

    /// Waits until what nodes think of near regions no longer depends on how they were started.
    pub async fn until_settled(&self) {
        tokio::time::sleep(SETTLING).await;
    }

    /// What the node would decide, by its admin API.
    pub async fn why(&self, edge: &str, tenant: &str, ip: Option<IpAddr>, path: &str) -> Why {
        let query = WhyQuery { tenant: tenant.to_owned(), ip, edge: None, path: Some(path.to_owned()) };
        let answer = self.node(edge).call(&client::why(&query)).await;
        answer.unwrap_or_else(|error| panic!("{edge} cannot say why: {}", error.0))
    }

    /// Runs `graticule why` against a node.
    pub async fn why_by_command(&self, edge: &str, tenant: &str, ip: Option<IpAddr>, path: &str) -> Ran {
        let admin = self.node(edge).admin.to_string();
        let mut arguments = vec!["why", "--json", "--admin", &admin, "--tenant", tenant, "--path", path];
        let ip = ip.map(|ip| ip.to_string());
        if let Some(ip) = &ip {
            arguments.extend(["--ip", ip]);
        }
        run(arguments).await
    }

    /// Waits until every running node agrees whether `region` is able to serve `tenant`.
    pub async fn until_able(&self, region: &str, tenant: &str, able: bool) {
        let what = format!("{region} is {} to serve {tenant}", if able { "able" } else { "unable" });
        eventually(&what, ABLE_LIMIT, async || {
            for node in self.nodes.iter().filter(|node| node.is_running()) {
                let why = self.why(&node.name, tenant, None, "/").await;
                let candidate = why.candidates.iter().find(|candidate| candidate.region.as_str() == region);
                let verdict = candidate.map_or("missing", |candidate| &candidate.verdict);
                if UNABLE.contains(&verdict) == able {
                    return Err(format!("{} says {verdict}", node.name));
                }
            }
            Ok(())
        })
        .await;
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a file in a directory")).expect("a directory for documents");
    fs::write(path, text).expect("a document is written");
}

/// Verdicts that say that a region cannot serve.
const UNABLE: [&str; 4] = ["no-healthy-backend", "unreachable", "suspect", "draining"];
/// Starting some nodes on a loaded machine.
const READY_LIMIT: Duration = Duration::from_secs(40);
/// The first round trips are measured while nodes start; after this time the lowest ones count.
const SETTLING: Duration = Duration::from_millis(3_500);
const ABLE_LIMIT: Duration = Duration::from_secs(20);
