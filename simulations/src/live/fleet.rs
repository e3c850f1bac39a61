//! A fleet of real processes with everything around it: relays, backends, and the files that nodes read.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use graticule::demo::ports;
use graticule::world::World;
use graticule_node_api as api;
use graticule_node_core::mesh::Condition;
use http::{Method, StatusCode};
use tokio::time::{Instant, sleep};

use super::Programs;
use super::files::{Files, MESH_PORTS, Place};
use super::logs::WholeLines;
use super::network::LiveNetwork;
use super::observer::{ask, send};
use super::process::NodeProcess;
use crate::Process;
use crate::chance::{Purpose, generator};
use crate::fleet::FleetPlan;
use crate::fleet::backend::{self, Journal, Site};
use crate::run::driver::Opinions;

/// A fleet. Everything of it ends with it: processes first, then the network, then the files.
pub(super) struct LiveFleet {
    pub(super) nodes: Vec<LiveNode>,
    pub(super) plan: FleetPlan,
    pub(super) journal: Journal,
    pub(super) network: LiveNetwork,
    pub(super) files: Files,
    programs: Programs,
    backends: Vec<(String, SocketAddr)>,
    _backends: Vec<Process>,
}

/// A node that runs, or not.
pub(super) struct LiveNode {
    pub(super) place: Place,
    pub(super) process: RefCell<Option<NodeProcess>>,
    /// Whether that has answered.
    pub(super) has_started: Cell<bool>,
    /// Whether it was told to leave, so that its end surprises nobody.
    pub(super) leaves: Cell<bool>,
    /// What it thought of others when it was asked last.
    pub(super) opinions: RefCell<Option<Rc<Opinions>>>,
    /// Whether it said that it wants no requests when it was asked last.
    pub(super) is_unready: Cell<bool>,
    /// How far its access log has been read.
    pub(super) access_log: RefCell<WholeLines>,
    /// What it kept in memory when the fleet was whole, in bytes.
    pub(super) resident_at_first: Cell<u64>,
    configuration: PathBuf,
}

impl LiveFleet {
    /// Everything but the nodes' processes. Chance comes from the seed; times count from `origin`.
    pub(super) async fn prepare(
        plan: &FleetPlan,
        (seed, origin): (u64, Instant),
        programs: Programs,
    ) -> io::Result<Self> {
        let files = Files::new(&programs)?;
        let places = places(plan)?;
        let (network, roads) = LiveNetwork::start(&places, plan, seed).await?;
        let journal = Journal::default();
        let (mut backends, mut running) = (Vec::new(), Vec::new());
        let all =
            plan.regions.iter().flat_map(|region| (1..=region.backends).map(move |number| (region, number)));
        for (at, (region, number)) in (0..).zip(all) {
            let site = Site {
                name: format!("{}-backend-{number}", region.name),
                world: World::system(),
                address: local(ports::lasting(1)?),
                origin,
                chance: generator(seed, Purpose::Backend, &[at]),
            };
            backends.push((region.name.clone(), site.address));
            running.push(backend::start(site, region, &journal)?);
        }
        let mut nodes = Vec::new();
        for (place, roads) in places.into_iter().zip(roads) {
            let configuration = files.write_node(&place, plan, &roads)?;
            nodes.push(LiveNode::new(place, configuration));
        }
        let plan = plan.clone();
        let fleet = Self { nodes, plan, journal, network, files, programs, backends, _backends: running };
        for (node, tenant) in
            fleet.nodes.iter().flat_map(|node| fleet.plan.tenants.iter().map(move |tenant| (node, tenant)))
        {
            fleet.put_document(&node.place.name, &tenant.id, 1, &tenant.residency)?;
        }
        Ok(fleet)
    }

    /// Starts all nodes, and waits until they answer.
    pub(super) async fn start_all(&self) -> io::Result<()> {
        for node in &self.nodes {
            self.launch(node)?;
        }
        for node in &self.nodes {
            self.until_answers(node).await?;
        }
        Ok(())
    }

    /// Starts a node, and waits until it answers.
    pub(super) async fn start(&self, name: &str) -> io::Result<()> {
        let node = self.node(name)?;
        self.launch(node)?;
        let started = self.until_answers(node).await;
        if started.is_err() {
            node.process.take();
        }
        started
    }

    fn launch(&self, node: &LiveNode) -> io::Result<()> {
        let log = self.files.log(&node.place.name);
        let process = NodeProcess::start(&self.programs, &node.configuration, &log)?;
        node.has_started.set(false);
        node.leaves.set(false);
        node.process.replace(Some(process));
        Ok(())
    }

    async fn until_answers(&self, node: &LiveNode) -> io::Result<()> {
        let began = Instant::now();
        loop {
            self.runs(node)?;
            if node.process.borrow().is_none() {
                return Err(io::Error::other(format!(
                    "node {} was killed while it started",
                    node.place.name
                )));
            }
            if ask(node.place.admin, &api::client::health()).await.is_ok() {
                node.has_started.set(true);
                return Ok(());
            }
            if began.elapsed() >= START_TIME_MAX {
                let message = format!("node {} did not answer within {START_TIME_MAX:?}", node.place.name);
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// An error with the last of its log if a node's process has ended by itself.
    fn runs(&self, node: &LiveNode) -> io::Result<()> {
        match node.ended_by_itself()? {
            None => Ok(()),
            Some(how) => {
                let log = last_lines(&self.files.log(&node.place.name));
                Err(io::Error::other(format!("node {} ended ({how}):\n{log}", node.place.name)))
            }
        }
    }

    /// An error if the node's program is one that cannot be told to leave.
    pub(super) async fn can_leave(&self) -> io::Result<()> {
        let Some(node) = self.nodes.first() else { return Ok(()) };
        // Asked with another method, a path that is there answers that it wants to be asked otherwise.
        let (status, _) = send(node.place.admin, Method::GET, DRAIN).await?;
        if status != StatusCode::NOT_FOUND.as_u16() {
            return Ok(());
        }
        let program = self.programs.node.display();
        let message = format!("the scenario drains nodes, and {program} cannot: it has no POST {DRAIN}");
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }

    /// An error if any node's process has ended by itself.
    pub(super) fn all_run(&self) -> io::Result<()> {
        self.nodes.iter().try_for_each(|node| self.runs(node))
    }

    /// Whether every node can give requests to every other.
    pub(super) fn is_whole(&self) -> bool {
        self.nodes.iter().all(|node| {
            let opinions = node.opinions.borrow();
            let usable = opinions.iter().flat_map(|opinions| opinions.values());
            usable.filter(|condition| **condition == Condition::Usable).count() + 1 == self.nodes.len()
        })
    }

    /// Replaces a tenant's document of a node.
    pub(super) fn put_document(
        &self,
        node: &str,
        tenant: &str,
        version: u64,
        residency: &str,
    ) -> io::Result<()> {
        let tenant = self.plan.tenant(tenant).ok_or_else(|| absent("tenant", tenant))?;
        let backends = |region: &str| {
            let there = self.backends.iter().filter(|(name, _)| name == region);
            there.map(|(_, address)| *address).collect()
        };
        self.files.put_document(node, &tenant.id, &tenant.document(version, residency, backends))
    }

    /// A node; an error if there is none of that name.
    pub(super) fn node(&self, name: &str) -> io::Result<&LiveNode> {
        Ok(&self.nodes[self.position(name)?])
    }

    /// A node's position in the fleet.
    pub(super) fn position(&self, name: &str) -> io::Result<usize> {
        self.nodes.iter().position(|node| node.place.name == name).ok_or_else(|| absent("node", name))
    }

    /// The names of all nodes.
    pub(super) fn node_names(&self) -> impl Iterator<Item = String> {
        self.nodes.iter().map(|node| node.place.name.clone())
    }

    /// The last of what every node logged, for people.
    pub(super) fn last_logs(&self) -> String {
        let log = |node: &LiveNode| {
            let name = &node.place.name;
            format!("--- {name}\n{}\n", last_lines(&self.files.log(name)))
        };
        self.nodes.iter().map(log).collect()
    }
}

impl LiveNode {
    fn new(place: Place, configuration: PathBuf) -> Self {
        let (process, opinions) = (RefCell::default(), RefCell::default());
        Self {
            place,
            process,
            has_started: Cell::default(),
            leaves: Cell::default(),
            opinions,
            is_unready: Cell::default(),
            access_log: RefCell::default(),
            resident_at_first: Cell::default(),
            configuration,
        }
    }

    /// How its process ended, if nobody ended it.
    pub(super) fn ended_by_itself(&self) -> io::Result<Option<String>> {
        let mut process = self.process.borrow_mut();
        let ended = process.as_mut().map(NodeProcess::ended).transpose()?.flatten();
        Ok(ended.map(|status| status.to_string()))
    }

    /// What it keeps in memory, in bytes; nothing if it does not run.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        let pid = self.process.borrow().as_ref()?.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? << 10)
    }
}

fn places(plan: &FleetPlan) -> io::Result<Vec<Place>> {
    let nodes = plan.regions.iter().flat_map(|region| region.node_names().map(move |name| (region, name)));
    nodes
        .map(|(region, name)| {
            let first = ports::lasting(2 + MESH_PORTS)?;
            let (http, admin, mesh) = (local(first), local(first + 1), local(first + 2));
            Ok(Place { name, region: region.clone(), http, admin, mesh })
        })
        .collect()
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn last_lines(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

fn absent(what: &str, name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("the fleet has no {what} `{name}`"))
}

/// What lets a node leave.
pub(super) const DRAIN: &str = "/v1/drain";
/// What lets it stay after all.
pub(super) const UNDRAIN: &str = "/v1/undrain";
const START_TIME_MAX: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
const LOG_LINES_SHOWN: usize = 12;
