//! What a rehearsal asks of the world that it is played in: to do things to a fleet, and to say how the fleet is.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use graticule::world::World;
use graticule_geo::Country;
use graticule_gossip_core::View;
use graticule_node_api as api;
use graticule_node_core::mesh::Condition;

use crate::Link;
use crate::fleet::Receipt;
use crate::outcome;
use crate::scenario::{BackendFault, GeoFault};

/// A fleet in some world. Nodes are called by their names; one that the fleet does not have is an error.
#[async_trait(?Send)]
pub(crate) trait Driver {
    /// Which world it is.
    fn world(&self) -> outcome::World;

    /// How much longer anything may take here because the machine has something else to do.
    fn delay_max(&self) -> Duration;

    /// How a client in a country, or in none, comes to a node from nearby.
    fn client(&self, edge: &str, country: Option<Country>) -> io::Result<Client>;

    /// Whether a node says that it wants no requests: what a load balancer in front of it would hear.
    fn is_unready(&self, node: &str) -> bool;

    /// What all backends have received so far from the one at this position on, in order.
    fn received_from(&self, position: usize) -> Vec<Receipt>;

    /// What a node has written into its access log since this was asked last: whole lines.
    fn take_access_log(&self, node: &str) -> Vec<u8>;

    /// What a node thinks of others: another [`Rc`] when it may have changed. Nothing of a node that does not run.
    fn opinions(&self, node: &str) -> Option<Rc<Opinions>>;

    /// Whom a node holds for alive by gossip: another [`Arc`] when it may have changed. Nothing of a node that does not
    /// run, or in a world where it is not known at every moment.
    fn hearsay(&self, node: &str) -> Option<Arc<View>>;

    /// The nodes that a node knows of.
    async fn view(&self, node: &str) -> io::Result<Vec<api::Node>>;

    /// Everything that has grown and should not have, by node: asked when every client has its answer.
    fn growth(&self) -> Vec<(String, String)>;

    /// Kills a node without a word. Its disk stays.
    fn crash(&self, node: &str) -> io::Result<()>;

    /// Forgets everything that a node that is down wrote; what an operator had put there is there again.
    fn lose_disk(&self, node: &str) -> io::Result<()>;

    /// Starts a node that is down, and returns when it listens.
    async fn start(&self, node: &str) -> io::Result<()>;

    /// Ends a node as whoever upgrades it does.
    async fn stop(&self, node: &str) -> io::Result<()>;

    /// Lets a node's process stand still, or go on.
    fn stall(&self, node: &str, stalled: bool) -> io::Result<()>;

    /// Tells a node to leave. One that is down has nothing to leave.
    async fn drain(&self, node: &str) -> io::Result<()>;

    /// Tells a node that leaves to stay after all; whether it does. It is too late for one that takes nothing new.
    async fn undrain(&self, node: &str) -> io::Result<bool>;

    /// Waits until a node that was told to leave has ended, however it does.
    async fn left(&self, node: &str);

    /// Lets a node's clock run wrong by so many millionths.
    fn drift(&self, node: &str, ppm: i32) -> io::Result<()>;

    /// Gives a node's name the addresses of other nodes, or none.
    fn rename(&self, node: &str, to: &[String]) -> io::Result<()>;

    /// Replaces a node's geo database; with nothing, puts the right one there again.
    fn put_geo(&self, node: &str, how: Option<GeoFault>) -> io::Result<()>;

    /// Replaces a tenant's document on a node's disk.
    fn put_document(&self, node: &str, tenant: &str, version: u64, residency: &str) -> io::Result<()>;

    /// Lets the backends of some regions do something wrong until [`Driver::mend_backends`] with the same number: for
    /// requests to `host`, or for all.
    fn hurt_backends(&self, id: u64, regions: &[String], host: Option<String>, how: BackendFault);

    /// Ends what [`Driver::hurt_backends`] began.
    fn mend_backends(&self, id: u64);

    /// The way from one node to another without any fault.
    fn base_link(&self, from: &str, to: &str) -> Option<Link>;

    /// Changes the way from one node to another, in this direction only.
    fn shape(&self, from: &str, to: &str, link: Link) -> io::Result<()>;
}

/// How a client comes to a node.
pub(crate) struct Client {
    /// Its own outside.
    pub(crate) world: World,
    /// Where the node listens.
    pub(crate) to: SocketAddr,
    /// What a load balancer says of its address, where connections do not show it.
    pub(crate) told: Option<IpAddr>,
}

/// What a node thinks of others, by their names.
pub(crate) type Opinions = BTreeMap<String, Condition>;
