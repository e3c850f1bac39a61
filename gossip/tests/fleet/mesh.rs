//! A mesh in memory: nodes by address, a carrier for each, and certificates as the mesh would have checked them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use graticule_gossip::{
    Carrier, Codec, Counters, Gossip, GossipConfig, Handover, Inbound, LoopbackCodec, Outbound, Timing,
};
use graticule_gossip_core::{Announcement, Generation, MeshAddress, NodeName, View};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

/// Where everybody is. Clones are the same mesh.
#[derive(Clone, Default)]
pub(crate) struct Mesh {
    inboxes: Rc<RefCell<BTreeMap<SocketAddr, mpsc::Sender<Inbound>>>>,
    /// The latest messages that were sent, for whoever wants to alter them.
    pub(crate) overheard: Rc<RefCell<Vec<Outbound>>>,
    handover: Handover,
}

/// A node of the mesh.
pub(crate) struct Node {
    pub(crate) gossip: Gossip,
    pub(crate) announcement: Announcement,
    pub(crate) view: watch::Receiver<Arc<View>>,
    mesh: Mesh,
}

pub(crate) fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

/// Node `n` is at address `n`.
pub(crate) fn address(n: u8) -> SocketAddr {
    ([203, 0, 113, n], 4400).into()
}

pub(crate) fn announcement(node: &str, at: u8, generation: u64) -> Announcement {
    Announcement {
        node: name(node),
        region: "eu-central".parse().unwrap(),
        generation: Generation(generation),
        mesh: MeshAddress { base: address(at), workers: 2 },
        software: "0.1.0".to_owned(),
        fleet_version: 17,
        policy_digest: "9f86d081".repeat(8),
        draining: false,
    }
}

/// Gossip of `announcement` with node 1 for a seed; a second start takes the generations from 1,000 on.
pub(crate) fn config(announcement: &Announcement) -> GossipConfig {
    let counter = AtomicU64::new(1_000);
    GossipConfig {
        mesh: "test-mesh".parse().unwrap(),
        announcement: announcement.clone(),
        seeds: vec![address(1)],
        timing: Timing::default(),
        next_generation: Box::new(move || Generation(counter.fetch_add(1, Ordering::Relaxed))),
    }
}

impl Mesh {
    /// Starts node `n` as `n<n>` with envelopes handed over, as in a simulation.
    pub(crate) async fn start(&self, n: u8, generation: u64) -> Node {
        let announcement = announcement(&format!("n{n}"), n, generation);
        self.start_as(&announcement.node.clone(), announcement).await
    }

    /// Starts a node that says `announcement` and whose certificate says `certified`.
    pub(crate) async fn start_as(&self, certified: &NodeName, announcement: Announcement) -> Node {
        let codec = Box::new(self.handover.codec());
        self.start_all(certified, config(&announcement), codec).await
    }

    /// Starts node `n` with bytes on the wire. Needs real time.
    pub(crate) async fn start_real(&self, n: u8) -> Node {
        self.start_configured_real(config(&announcement(&format!("n{n}"), n, 1))).await
    }

    /// Starts a node as configured, with bytes on the wire. Needs real time.
    pub(crate) async fn start_configured_real(&self, config: GossipConfig) -> Node {
        let codec = Box::new(LoopbackCodec::open().await.unwrap());
        self.start_all(&config.announcement.node.clone(), config, codec).await
    }

    /// Starts a node as configured.
    pub(crate) async fn start_configured(&self, config: GossipConfig) -> Node {
        let codec = Box::new(self.handover.codec());
        self.start_all(&config.announcement.node.clone(), config, codec).await
    }

    async fn start_all(&self, certified: &NodeName, config: GossipConfig, codec: Box<dyn Codec>) -> Node {
        let announcement = config.announcement.clone();
        let carrier = self.carrier(announcement.mesh.base, certified);
        let gossip = Gossip::start(config, codec, carrier).await.unwrap();
        let view = gossip.view();
        Node { gossip, announcement, view, mesh: self.clone() }
    }

    /// Puts `message` into the inbox of node `to` as if `certified` had sent it from its address. False if it is full.
    pub(crate) fn inject(&self, to: u8, from: u8, certified: &str, message: impl Into<bytes::Bytes>) -> bool {
        let inbound = Inbound { from: address(from), node: name(certified), message: message.into() };
        self.inboxes.borrow()[&address(to)].try_send(inbound).is_ok()
    }

    fn carrier(&self, at: SocketAddr, certified: &NodeName) -> Carrier {
        let (outbound, mut sent) = mpsc::channel::<Outbound>(64);
        let (inbox, inbound) = mpsc::channel(64);
        self.inboxes.borrow_mut().insert(at, inbox);
        let (mesh, node) = (self.clone(), certified.clone());
        tokio::task::spawn_local(async move {
            while let Some(outbound) = sent.recv().await {
                mesh.overhear(outbound.clone());
                let (mesh, node) = (mesh.clone(), node.clone());
                tokio::task::spawn_local(async move {
                    sleep(LATENCY).await;
                    let inbox = mesh.inboxes.borrow().get(&outbound.to).cloned();
                    if let Some(inbox) = inbox {
                        let _ = inbox.try_send(Inbound { from: at, node, message: outbound.message });
                    }
                });
            }
        });
        Carrier { outbound, inbound }
    }

    fn overhear(&self, outbound: Outbound) {
        let mut overheard = self.overheard.borrow_mut();
        if overheard.len() == 100 {
            overheard.remove(0);
        }
        overheard.push(outbound);
    }
}

impl Node {
    /// Dies without a word.
    pub(crate) fn die(self) {
        self.mesh.inboxes.borrow_mut().remove(&self.announcement.mesh.base);
    }

    pub(crate) fn counters(&self) -> Counters {
        self.gossip.counters()
    }

    /// What it believes of `node`: generation, and whether it is alive.
    pub(crate) fn believes(&self, node: &str) -> Option<(u64, bool)> {
        let view = self.view.borrow();
        view.member(&name(node)).map(|member| (member.announcement.generation.0, member.alive))
    }

    pub(crate) fn live(&self) -> usize {
        self.view.borrow().live().count()
    }
}

/// How long it takes until `condition` holds; panics when it takes longer than `limit`.
pub(crate) async fn time_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        sleep(Duration::from_millis(10)).await;
    }
    start.elapsed()
}

const LATENCY: Duration = Duration::from_millis(20);
