//! Real processes as rehearsals ask them.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use graticule::world::World;
use graticule_geo::Country;
use graticule_gossip_core::View;
use graticule_node_api::{self as api, client};
use http::Method;
use tokio::time::sleep;

use super::fleet::{DRAIN, LiveFleet, UNDRAIN};
use super::observer::{ask, send};
use crate::fleet::{Receipt, geo};
use crate::run::chronicle::Chronicle;
use crate::run::driver::{Client, Driver, Opinions};
use crate::scenario::{BackendFault, GeoFault};
use crate::{Link, outcome};

/// A fleet of processes.
pub(super) struct Live {
    fleet: Rc<LiveFleet>,
    chronicle: Chronicle,
}

impl Live {
    /// Of a fleet that is whole.
    pub(super) fn new(fleet: Rc<LiveFleet>, chronicle: Chronicle) -> Self {
        for node in &fleet.nodes {
            node.resident_at_first.set(node.resident_bytes().unwrap_or_default());
        }
        Self { fleet, chronicle }
    }
}

#[async_trait(?Send)]
impl Driver for Live {
    fn world(&self) -> outcome::World {
        outcome::World::Live
    }

    fn delay_max(&self) -> Duration {
        DELAY_MAX
    }

    fn client(&self, edge: &str, country: Option<Country>) -> io::Result<Client> {
        let place = &self.fleet.node(edge)?.place;
        let region = self.fleet.plan.regions.iter().position(|region| region.name == place.region.name);
        let told = geo::address(country, region.map_or(0, |region| region as u8 + 1));
        Ok(Client { world: World::system(), to: place.http, told: Some(told) })
    }

    fn is_unready(&self, node: &str) -> bool {
        self.fleet.node(node).is_ok_and(|live| live.is_unready.get())
    }

    fn received_from(&self, position: usize) -> Vec<Receipt> {
        self.fleet.journal.receipts_from(position)
    }

    fn take_access_log(&self, node: &str) -> Vec<u8> {
        let Ok(live) = self.fleet.node(node) else { return Vec::new() };
        // What cannot be read now is read later, from where it was.
        live.access_log.borrow_mut().read(&self.fleet.files.access_log(node)).unwrap_or_default()
    }

    fn opinions(&self, node: &str) -> Option<Rc<Opinions>> {
        self.fleet.node(node).ok()?.opinions.borrow().clone()
    }

    fn hearsay(&self, _node: &str) -> Option<Arc<View>> {
        None
    }

    async fn view(&self, node: &str) -> io::Result<Vec<api::Node>> {
        ask(self.fleet.node(node)?.place.admin, &client::nodes()).await
    }

    fn growth(&self) -> Vec<(String, String)> {
        let mut grown = Vec::new();
        for node in &self.fleet.nodes {
            let (before, now) = (node.resident_at_first.get(), node.resident_bytes().unwrap_or_default());
            if now > before + GROWTH_BYTES_MAX {
                let what = format!("it kept {before} bytes in memory when load began, and {now} in the end");
                grown.push((node.place.name.clone(), what));
            }
        }
        grown
    }

    fn crash(&self, node: &str) -> io::Result<()> {
        let node = self.fleet.node(node)?;
        drop(node.process.take());
        node.opinions.take();
        Ok(())
    }

    fn lose_disk(&self, node: &str) -> io::Result<()> {
        self.fleet.files.lose_data(node)?;
        self.fleet.files.put_geo(node, None)?;
        let mut tenants = self.fleet.plan.tenants.iter();
        tenants.try_for_each(|tenant| self.fleet.put_document(node, &tenant.id, 1, &tenant.residency))
    }

    async fn start(&self, node: &str) -> io::Result<()> {
        self.fleet.start(node).await
    }

    async fn stop(&self, node: &str) -> io::Result<()> {
        let live = self.fleet.node(node)?;
        let process = live.process.take();
        live.opinions.take();
        if let Some(process) = process
            && !process.stop().await?
        {
            self.chronicle.note("node", node, "did not end in time, and was killed");
        }
        Ok(())
    }

    fn stall(&self, node: &str, stalled: bool) -> io::Result<()> {
        self.fleet.node(node)?.process.borrow().as_ref().map_or(Ok(()), |process| process.stall(stalled))
    }

    async fn drain(&self, node: &str) -> io::Result<()> {
        let live = self.fleet.node(node)?;
        if live.process.borrow().is_none() {
            return Ok(());
        }
        live.leaves.set(true);
        match send(live.place.admin, Method::POST, DRAIN).await? {
            (status, _) if status < 300 => Ok(()),
            (status, body) => {
                let body = String::from_utf8_lossy(&body).into_owned();
                Err(io::Error::other(format!("{node} answered {DRAIN} with {status}: {body}")))
            }
        }
    }

    async fn undrain(&self, node: &str) -> io::Result<bool> {
        let live = self.fleet.node(node)?;
        // Neither a node that is gone nor one that is about to go answers that it stays.
        let stays =
            matches!(send(live.place.admin, Method::POST, UNDRAIN).await, Ok((status, _)) if status < 300);
        live.leaves.set(!stays);
        Ok(stays)
    }

    async fn left(&self, node: &str) {
        let Ok(live) = self.fleet.node(node) else { return };
        while live.process.borrow().is_some() && live.ended_by_itself().is_ok_and(|ended| ended.is_none()) {
            sleep(LOOK_INTERVAL).await;
        }
    }

    fn drift(&self, _: &str, _: i32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, _: &str, _: &[String]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn put_geo(&self, node: &str, how: Option<GeoFault>) -> io::Result<()> {
        self.fleet.files.put_geo(node, how)
    }

    fn put_document(&self, node: &str, tenant: &str, version: u64, residency: &str) -> io::Result<()> {
        self.fleet.put_document(node, tenant, version, residency)
    }

    fn hurt_backends(&self, id: u64, regions: &[String], host: Option<String>, how: BackendFault) {
        self.fleet.journal.begin(id, regions, host, how);
    }

    fn mend_backends(&self, id: u64) {
        self.fleet.journal.end(id);
    }

    fn base_link(&self, from: &str, to: &str) -> Option<Link> {
        self.fleet.plan.base_link(from, to)
    }

    fn shape(&self, from: &str, to: &str, link: Link) -> io::Result<()> {
        self.fleet.network.shape(self.fleet.position(from)?, self.fleet.position(to)?, link);
        Ok(())
    }
}

/// All processes of a fleet share the cores of one machine, with whatever else runs there.
const DELAY_MAX: Duration = Duration::from_millis(250);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Of a node with a load that a rehearsal can bring about, beyond what it has when it starts.
const GROWTH_BYTES_MAX: u64 = 64 << 20;
