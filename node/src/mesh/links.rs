//! The control tunnels that exist, by peer: dialled by this node or by the other.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use graticule_gossip_core::{NodeName, View};
use graticule_node_core::mesh::{PeerId, ProbedTunnel};
use quinn::Connection;
use tokio::sync::{Notify, Semaphore};

use super::probes::Pair;
use crate::identity::PeerIdentity;
use crate::identity::refusal::{self, Refusal};

/// What a tunnel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// This node dialled and probes the peer, which it follows under this number.
    Kept(PeerId),
    /// This node dialled, to hear of others.
    Seed,
    /// The peer dialled.
    Accepted,
}

/// One control tunnel.
#[derive(Debug)]
pub struct Link {
    /// The QUIC connection.
    pub connection: Connection,
    /// Who is at the other end.
    pub peer: PeerIdentity,
    /// What it is for.
    pub role: Role,
    /// Its probes.
    pub(super) probed: RefCell<ProbedTunnel>,
    /// What it shares with others to the same peer.
    pub(super) pair: Rc<Pair>,
    /// Gossip messages that may be under way at once.
    pub gossip_slots: Arc<Semaphore>,
    /// Which link of this process it is, from 1.
    pub number: u64,
}

/// All control tunnels of a node.
#[derive(Debug)]
pub struct Links {
    own: NodeName,
    by_node: RefCell<BTreeMap<NodeName, Vec<Rc<Link>>>>,
    addresses: RefCell<BTreeMap<SocketAddr, NodeName>>,
    numbered: Cell<u64>,
    entered: Notify,
}

/// Takes a link out of the table when it is dropped.
#[derive(Debug)]
pub struct LinkGuard<'a> {
    links: &'a Links,
    link: Rc<Link>,
}

impl Links {
    /// No links yet of the node `own`.
    pub fn new(own: NodeName) -> Self {
        Self {
            own,
            by_node: RefCell::default(),
            addresses: RefCell::default(),
            numbered: Cell::default(),
            entered: Notify::new(),
        }
    }

    /// Enters a link, which is taken out with the guard; unless a node of that name is connected from another region,
    /// or has too many links.
    pub fn enter(
        &self,
        connection: Connection,
        peer: PeerIdentity,
        role: Role,
    ) -> Result<LinkGuard<'_>, Refusal> {
        let mut by_node = self.by_node.borrow_mut();
        let links = by_node.entry(peer.node.clone()).or_default();
        if links.iter().any(|link| link.peer.region != peer.region) {
            return Err(refusal::OTHER_REGION);
        }
        if links.len() >= LINKS_PER_NODE_MAX {
            return Err(refusal::TOO_MANY);
        }
        let gossip_slots = Arc::new(Semaphore::new(GOSSIP_UNDER_WAY_MAX));
        let number = self.numbered.get() + 1;
        self.numbered.set(number);
        let shared = links.first().map(|link| Rc::clone(&link.pair));
        let pair = shared.unwrap_or_else(|| Rc::new(Pair::new(&self.own, &peer.node)));
        let probed = RefCell::new(pair.tunnel(role));
        let link = Rc::new(Link { connection, peer, role, probed, pair, gossip_slots, number });
        links.push(Rc::clone(&link));
        self.entered.notify_waiters();
        Ok(LinkGuard { links: self, link })
    }

    /// The number of the newest link.
    pub fn newest(&self) -> u64 {
        self.numbered.get()
    }

    /// Ends when there is a link to `node` that is newer than number `than`: it lives.
    pub async fn newer(&self, node: &NodeName, than: u64) {
        loop {
            let entered = self.entered.notified();
            let by_node = |by_node: &BTreeMap<_, Vec<Rc<Link>>>| {
                by_node.get(node).is_some_and(|links| links.iter().any(|link| link.number > than))
            };
            if by_node(&self.by_node.borrow()) {
                return;
            }
            entered.await;
        }
    }

    /// The tunnel to prefer towards `node`: the newest one that this node dialled, or else any.
    pub fn to(&self, node: &NodeName) -> Option<Rc<Link>> {
        let by_node = self.by_node.borrow();
        let links = by_node.get(node)?;
        links.iter().rev().find(|link| link.role != Role::Accepted).or(links.last()).cloned()
    }

    /// The tunnel towards whoever is known at `address`.
    pub fn to_address(&self, address: SocketAddr) -> Option<Rc<Link>> {
        self.to(self.addresses.borrow().get(&address)?)
    }

    /// `node` can be spoken to as `address` from now on.
    pub fn learn_address(&self, address: SocketAddr, node: &NodeName) {
        let mut addresses = self.addresses.borrow_mut();
        if addresses.len() < ADDRESSES_MAX || addresses.contains_key(&address) {
            addresses.insert(address, node.clone());
        }
    }

    /// Takes over the addresses that nodes announce, and forgets those of nodes nobody knows.
    pub fn learn_view(&self, view: &View) {
        let by_node = self.by_node.borrow();
        let known = |node: &NodeName| by_node.contains_key(node) || view.members.contains_key(node);
        self.addresses.borrow_mut().retain(|_, node| known(node));
        for (node, member) in &view.members {
            self.learn_address(member.announcement.mesh.base, node);
        }
    }

    /// Every link, by peer.
    pub fn all(&self) -> Vec<Rc<Link>> {
        self.by_node.borrow().values().flatten().cloned().collect()
    }
}

impl LinkGuard<'_> {
    /// The link.
    pub fn link(&self) -> &Rc<Link> {
        &self.link
    }
}

impl Drop for LinkGuard<'_> {
    fn drop(&mut self) {
        self.link.pair.ended(&self.link);
        let mut by_node = self.links.by_node.borrow_mut();
        if let Some(links) = by_node.get_mut(&self.link.peer.node) {
            links.retain(|link| !Rc::ptr_eq(link, &self.link));
            if links.is_empty() {
                by_node.remove(&self.link.peer.node);
            }
        }
    }
}

/// Links with one node: both may dial as seed and as target, and old links may not have ended yet.
const LINKS_PER_NODE_MAX: usize = 8;
/// Gossip messages under way on one tunnel; a further one is dropped.
const GOSSIP_UNDER_WAY_MAX: usize = 16;
/// Addresses under which peers are spoken to.
const ADDRESSES_MAX: usize = 8_192;

#[cfg(test)]
mod tests;
