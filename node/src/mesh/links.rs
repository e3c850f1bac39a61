//! The control tunnels that exist, by peer: dialled by this node or by the other.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use graticule_gossip_core::{NodeName, RegionName, View};
use quinn::Connection;
use tokio::sync::{Notify, Semaphore};

use crate::identity::PeerIdentity;

/// One control tunnel.
#[derive(Debug, Clone)]
pub struct Link {
    /// The QUIC connection.
    pub connection: Connection,
    /// Who is at the other end.
    pub peer: PeerIdentity,
    /// Whether this node dialled.
    pub dialled: bool,
    /// Gossip messages that may be under way at once.
    pub gossip_slots: Arc<Semaphore>,
    /// Which link of this process it is, from 1.
    pub number: u64,
}

/// All control tunnels of a node.
#[derive(Debug, Default)]
pub struct Links {
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
    /// Whether a peer's certificate agrees with who is connected already.
    pub fn admit(&self, peer: &PeerIdentity) -> Result<(), String> {
        let known = self.region_of(&peer.node);
        match known.filter(|region| *region != peer.region) {
            None => Ok(()),
            Some(region) => Err(format!(
                "node `{}` is connected from region `{region}`; a certificate for region `{}` is not its own",
                peer.node, peer.region
            )),
        }
    }

    fn region_of(&self, node: &NodeName) -> Option<RegionName> {
        self.by_node.borrow().get(node)?.first().map(|link| link.peer.region.clone())
    }

    /// Enters a link; it is taken out with the guard.
    pub fn enter(&self, connection: Connection, peer: PeerIdentity, dialled: bool) -> LinkGuard<'_> {
        let gossip_slots = Arc::new(Semaphore::new(GOSSIP_UNDER_WAY_MAX));
        let number = self.numbered.get() + 1;
        self.numbered.set(number);
        let link = Rc::new(Link { connection, peer, dialled, gossip_slots, number });
        let mut by_node = self.by_node.borrow_mut();
        by_node.entry(link.peer.node.clone()).or_default().push(Rc::clone(&link));
        self.entered.notify_waiters();
        LinkGuard { links: self, link }
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
        links.iter().rev().find(|link| link.dialled).or(links.last()).cloned()
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
        let mut by_node = self.links.by_node.borrow_mut();
        if let Some(links) = by_node.get_mut(&self.link.peer.node) {
            links.retain(|link| !Rc::ptr_eq(link, &self.link));
            if links.is_empty() {
                by_node.remove(&self.link.peer.node);
            }
        }
    }
}

/// Gossip messages under way on one tunnel; a further one is dropped.
const GOSSIP_UNDER_WAY_MAX: usize = 16;
/// Addresses under which peers are spoken to.
const ADDRESSES_MAX: usize = 8_192;
