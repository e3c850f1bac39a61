//! The demo's fleet: everything started in order, ready, and ended together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use graticule_node_api::client;
use graticule_node_core::mesh::rtt_by_distance;
use tokio::time::sleep;

use super::DemoOptions;
use super::files::Files;
use super::plan::{self, Node, REGIONS};
use super::process::{self, Backend, Process};
use super::wan::{Link, steady};
use crate::cli::Failure;
use crate::cli::client::call;

/// A running fleet. Dropping it ends every process and removes every file.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) nodes: Vec<(Node, Process)>,
    pub(super) backends: Vec<Backend>,
    pub(super) files: Files,
}

impl Fleet {
    /// Starts everything and waits until every node reaches every other.
    pub(super) async fn start(options: &DemoOptions) -> Result<Self, Failure> {
        let files = Files::new()?;
        let mut backends = Vec::new();
        for region in REGIONS.iter().flat_map(|region| [region; BACKENDS_PER_REGION]) {
            backends.push(process::backend(region).await?);
        }
        files.write_documents(&backends)?;
        files.write_certificates()?;
        let planned = plan::nodes(options.nodes_per_region, options.port)?;
        let roads = roads(&planned, options)?;
        let mut nodes = Vec::new();
        for node in planned.iter().cloned() {
            let dial = &roads[&node.name];
            // One node of every region: enough to find all others.
            let seeds = planned.iter().filter(|seed| seed.name != node.name && seed.name.ends_with("-1"));
            let seeds: Vec<_> = seeds.map(|seed| address_for(dial, seed)).collect();
            let configuration = files.write_node(&node, &seeds, dial)?;
            let process = process::node(&node, &configuration, &files.log(&node))?;
            nodes.push((node, process));
        }
        let mut fleet = Self { nodes, backends, files };
        fleet.wait_until_ready().await?;
        Ok(fleet)
    }

    /// A node of a region.
    pub(super) fn edge(&self, region: &str) -> Option<&Node> {
        self.nodes.iter().map(|(node, _)| node).find(|node| node.region.name == region)
    }

    async fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let peers = self.nodes.len() - 1;
        for _ in 0..READY_POLLS_MAX {
            for (node, process) in &mut self.nodes {
                if process.has_ended() {
                    let log = std::fs::read_to_string(self.files.log(node)).unwrap_or_default();
                    return Err(Failure::Failed(format!("node {} ended:\n{log}", node.name)));
                }
            }
            if self.all_reach(peers).await {
                return Ok(());
            }
            sleep(READY_POLL).await;
        }
        let logs = self.nodes.iter().map(|(node, _)| {
            let log = std::fs::read_to_string(self.files.log(node)).unwrap_or_default();
            format!("--- {}\n{log}", node.name)
        });
        Err(Failure::Failed(format!(
            "the fleet was not ready within {} s\n{}",
            (READY_POLL * READY_POLLS_MAX).as_secs(),
            logs.collect::<String>()
        )))
    }

    async fn all_reach(&self, peers: usize) -> bool {
        for (node, _) in &self.nodes {
            let tunnels = call(&node.admin.to_string(), &client::tunnels()).await.unwrap_or_default();
            let usable = tunnels.iter().filter(|tunnel| tunnel.condition == "usable");
            if usable.count() < peers {
                return false;
            }
        }
        true
    }
}

/// Where a node dials each of its peers in other regions: through links as long as the distance.
type Roads = BTreeMap<String, Vec<(String, SocketAddr)>>;

fn roads(nodes: &[Node], options: &DemoOptions) -> Result<Roads, Failure> {
    let mut roads = Roads::new();
    for from in nodes {
        let road = roads.entry(from.name.clone()).or_default();
        let elsewhere = nodes.iter().filter(|to| to.region.name != from.region.name);
        for to in elsewhere.filter(|_| !options.no_wan_delay) {
            let round_trip = rtt_by_distance(from.region.coordinates, to.region.coordinates);
            let failed = |error| Failure::doing("cannot make the demo's network", error);
            let link = Link::bind(to.mesh, plan::MESH_PORTS, steady(round_trip / 2)).map_err(failed)?;
            road.push((to.name.clone(), link.base().map_err(failed)?));
            link.start();
        }
    }
    Ok(roads)
}

fn address_for(dial: &[(String, SocketAddr)], node: &Node) -> SocketAddr {
    dial.iter().find(|(name, _)| *name == node.name).map_or(node.mesh, |(_, address)| *address)
}

const BACKENDS_PER_REGION: usize = 2;
const READY_POLL: Duration = Duration::from_millis(100);
const READY_POLLS_MAX: u32 = 300;
