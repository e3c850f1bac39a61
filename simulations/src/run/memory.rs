//! The world in memory as rehearsals ask it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use graticule_geo::Country;
use graticule_gossip_core::View;
use graticule_node_api as api;
use graticule_node_core::mesh::{MeshState, PeerState};

use super::driver::{Client, Driver, Opinions};
use crate::fleet::{Fleet, HTTP_PORT, Machine, Receipt};
use crate::outcome;
use crate::scenario::{BackendFault, GeoFault};
use crate::{Link, Simulation};

/// A fleet in memory.
pub(super) struct Memory {
    simulation: Simulation,
    fleet: Fleet,
    /// What nodes thought when they were asked last, by their names.
    opinions: RefCell<BTreeMap<String, Read>>,
}

/// What a node thinks, and what that was read from.
type Read = (Arc<MeshState>, Rc<Opinions>);

impl Memory {
    pub(super) fn new(simulation: Simulation, fleet: Fleet) -> Self {
        Self { simulation, fleet, opinions: RefCell::default() }
    }
}

#[async_trait(?Send)]
impl Driver for Memory {
    fn world(&self) -> outcome::World {
        outcome::World::Memory
    }

    fn delay_max(&self) -> Duration {
        Duration::ZERO
    }

    fn client(&self, edge: &str, country: Option<Country>) -> io::Result<Client> {
        let machine = self.fleet.machine(edge)?;
        let client = self.fleet.traveller(machine.region(), country)?;
        let address = machine.host().addresses().first().copied();
        let address = address.ok_or_else(|| io::Error::other("a node without an address"))?;
        Ok(Client { world: client.world(), to: SocketAddr::new(address, HTTP_PORT), told: None })
    }

    fn is_unready(&self, node: &str) -> bool {
        self.fleet.machine(node).is_ok_and(|machine| machine.is_running() && !machine.is_ready())
    }

    fn received_from(&self, position: usize) -> Vec<Receipt> {
        self.fleet.received_from(position)
    }

    fn take_access_log(&self, node: &str) -> Vec<u8> {
        self.fleet.machine(node).map(Machine::take_access_log).unwrap_or_default()
    }

    fn opinions(&self, node: &str) -> Option<Rc<Opinions>> {
        let mesh = Arc::clone(&self.fleet.machine(node).ok()?.snapshot().ok()?.mesh);
        let mut known = self.opinions.borrow_mut();
        if let Some((read, opinions)) = known.get_mut(node) {
            // Loads and costs change all the time, and opinions seldom.
            if Arc::ptr_eq(read, &mesh) || are_those_of(opinions, &mesh) {
                *read = mesh;
                return Some(Rc::clone(opinions));
            }
        }
        let opinions: Opinions = peers(&mesh).map(|peer| (peer.node.to_string(), peer.condition)).collect();
        let opinions = Rc::new(opinions);
        known.insert(node.to_owned(), (mesh, Rc::clone(&opinions)));
        Some(opinions)
    }

    fn hearsay(&self, node: &str) -> Option<Arc<View>> {
        self.fleet.machine(node).ok()?.view()
    }

    async fn view(&self, node: &str) -> io::Result<Vec<api::Node>> {
        self.fleet.view(node).await
    }

    fn growth(&self) -> Vec<(String, String)> {
        let mut grown = Vec::new();
        for machine in self.fleet.machines() {
            let in_flight = machine.shared().map_or(0, |shared| shared.in_flight.total());
            if in_flight > 0 {
                let what = format!("{in_flight} requests are in flight, and nobody waits for them");
                grown.push((machine.name().to_owned(), what));
            }
        }
        let nodes = self.fleet.machines().count();
        let connections = self.simulation.tcp_connections();
        if connections > nodes * TCP_CONNECTIONS_PER_NODE_MAX {
            grown.push(("-".to_owned(), format!("{connections} TCP connections are open")));
        }
        let events = self.simulation.events_waiting();
        if events > nodes * EVENTS_PER_NODE_MAX {
            grown.push(("-".to_owned(), format!("{events} packets and timers are under way")));
        }
        grown
    }

    fn crash(&self, node: &str) -> io::Result<()> {
        self.fleet.machine(node)?.crash();
        Ok(())
    }

    fn lose_disk(&self, node: &str) -> io::Result<()> {
        self.fleet.machine(node)?.lose_disk();
        Ok(())
    }

    async fn start(&self, node: &str) -> io::Result<()> {
        self.fleet.machine(node)?.start().await
    }

    async fn stop(&self, node: &str) -> io::Result<()> {
        self.fleet.machine(node)?.stop();
        Ok(())
    }

    fn stall(&self, node: &str, stalled: bool) -> io::Result<()> {
        self.fleet.machine(node)?.stall(stalled);
        Ok(())
    }

    async fn drain(&self, node: &str) -> io::Result<()> {
        let machine = self.fleet.machine(node)?;
        if machine.is_running() { machine.drain() } else { Ok(()) }
    }

    async fn undrain(&self, node: &str) -> io::Result<bool> {
        Ok(self.fleet.machine(node)?.undrain().is_ok())
    }

    async fn left(&self, node: &str) {
        if let Ok(machine) = self.fleet.machine(node) {
            machine.left().await;
        }
    }

    fn drift(&self, node: &str, ppm: i32) -> io::Result<()> {
        self.fleet.machine(node)?.host().drift(ppm);
        Ok(())
    }

    fn rename(&self, node: &str, to: &[String]) -> io::Result<()> {
        self.fleet.rename(node, to)
    }

    fn put_geo(&self, node: &str, how: Option<GeoFault>) -> io::Result<()> {
        self.fleet.put_geo(node, how)
    }

    fn put_document(&self, node: &str, tenant: &str, version: u64, residency: &str) -> io::Result<()> {
        self.fleet.put_document(node, tenant, version, residency)
    }

    fn hurt_backends(&self, id: u64, regions: &[String], host: Option<String>, how: BackendFault) {
        self.fleet.hurt_backends(id, regions, host, how);
    }

    fn mend_backends(&self, id: u64) {
        self.fleet.mend_backends(id);
    }

    fn base_link(&self, from: &str, to: &str) -> Option<Link> {
        self.fleet.base_link(from, to)
    }

    fn shape(&self, from: &str, to: &str, link: Link) -> io::Result<()> {
        let (from, to) = (self.fleet.machine(from)?, self.fleet.machine(to)?);
        self.simulation.shape(from.host(), to.host(), |shaped| *shaped = link);
        Ok(())
    }
}

fn peers(mesh: &MeshState) -> impl Iterator<Item = &PeerState> {
    mesh.regions.iter().flat_map(|region| &region.peers)
}

fn are_those_of(opinions: &Opinions, mesh: &MeshState) -> bool {
    opinions.len() == peers(mesh).count()
        && peers(mesh).all(|peer| opinions.get(peer.node.as_str()) == Some(&peer.condition))
}

/// Kept to backends, by a node that serves some tenants.
const TCP_CONNECTIONS_PER_NODE_MAX: usize = 500;
const EVENTS_PER_NODE_MAX: usize = 1_000;
