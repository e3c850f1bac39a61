//! The control side of the mesh: who is there, tunnels to them, probes, gossip and admin calls between nodes.
//!
//! One connection per pair and direction of dialling; probes cross one of them. [`Mesh::run`] keeps tunnels and serves them,
//! [`track`] turns what they show into the state that decisions use, [`carry`] takes gossip to them.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use graticule_gossip::Inbound;
use graticule_gossip_core::{NodeName, View};
use quinn::Endpoint;
use tokio::sync::{mpsc, watch};

use crate::identity::refusal::Refusal;
use crate::identity::{Identity, PeerIdentity};
use crate::shared::Shared;
use crate::tunnel;
use crate::world::World;

mod gossip;
mod link;
mod links;
mod load;
mod probes;
mod seed;
mod streams;
mod targets;
mod tracking;

pub use gossip::carry;
pub use links::{Link, Links, Role};
pub use load::measure;
pub use streams::{AdminHandler, REMOTE_ADMIN_BYTES_MAX};
pub use tracking::{Tracking, run as track};

/// What the mesh needs to know from the node's configuration.
#[derive(Debug)]
pub struct MeshSettings {
    /// `host:port` of nodes to begin with.
    pub seeds: Vec<Seed>,
    /// Where to dial a peer instead of the address that it announces.
    pub dial: BTreeMap<NodeName, SocketAddr>,
    /// Peers of one region that this node keeps tunnels to.
    pub tunnels_per_region_max: usize,
}

/// A node to begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// `host:port` of its control endpoint.
    pub host_and_port: String,
    /// What stands for it in gossip until its own address is known. Never on a wire.
    pub alias: SocketAddr,
}

impl Seed {
    /// The `at`-th seed.
    pub fn new(at: u16, host_and_port: String) -> Self {
        // RFC 6666: a prefix that leads nowhere, so that an alias is nobody's address.
        let alias = Ipv6Addr::new(0x0100, 0, 0, 0, 0, 0, 0, at);
        Self { host_and_port, alias: SocketAddr::from((alias, 1)) }
    }
}

/// What the parts of the control side share; lives on the control runtime.
#[derive(Debug)]
pub struct Mesh {
    world: World,
    shared: Arc<Shared>,
    identity: Identity,
    endpoint: Endpoint,
    settings: MeshSettings,
    links: Links,
    tracking: Rc<Tracking>,
    view: watch::Receiver<Arc<View>>,
    gossip_in: mpsc::Sender<Inbound>,
    admin: AdminHandler,
}

/// What [`Mesh::new`] is given beside its settings.
#[derive(Debug)]
pub struct MeshParts {
    /// The node's outside.
    pub world: World,
    /// What the runtimes share.
    pub shared: Arc<Shared>,
    /// The node's certificate.
    pub identity: Identity,
    /// The control endpoint.
    pub endpoint: Endpoint,
    /// First-hand state.
    pub tracking: Rc<Tracking>,
    /// What gossip says.
    pub view: watch::Receiver<Arc<View>>,
    /// Where gossip messages go.
    pub gossip_in: mpsc::Sender<Inbound>,
    /// Who answers admin calls of other nodes.
    pub admin: AdminHandler,
}

impl Mesh {
    /// The control side of one node.
    pub fn new(parts: MeshParts, settings: MeshSettings) -> Rc<Self> {
        let MeshParts { world, shared, identity, endpoint, tracking, view, gossip_in, admin } = parts;
        let links = Links::new(shared.snapshot().here.node.clone());
        Rc::new(Self { world, shared, identity, endpoint, settings, links, tracking, view, gossip_in, admin })
    }

    /// Every link, for the admin API and for gossip.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Accepts control tunnels, keeps those to seeds and targets; ends with the future.
    pub async fn run(self: Rc<Self>) {
        let accepting = {
            let (admitting, serving) = (Rc::clone(&self), Rc::clone(&self));
            tunnel::accept(
                self.endpoint.clone(),
                move |peer| admitting.admit(peer),
                move |connection, peer| Rc::clone(&serving).serve_link(connection, peer, Role::Accepted),
            )
        };
        tokio::join!(accepting, Rc::clone(&self).keep_seeds(), Rc::clone(&self).keep_targets());
    }

    /// Whether there may be a tunnel with `peer`.
    fn admit(&self, peer: &PeerIdentity) -> Result<(), Refusal> {
        let snapshot = self.shared.snapshot();
        tunnel::admit(&snapshot.policy.fleet, &snapshot.here.node, peer, self.world.clock.wall())
    }
}
