//! One node of a fleet: its host, and the process that runs there.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::Arc;

use graticule::node::{GossipCodec, Node, Threads};
use graticule::shared::Shared;
use graticule_gossip::Handover;
use graticule_node_core::Snapshot;
use graticule_node_core::config::NodeConfig;
use graticule_node_core::document::Source;
use tokio::sync::oneshot;

use super::plan::HOME;
use crate::{Host, Process};

/// A machine with a node, which may be down.
#[derive(Debug)]
pub struct Machine {
    host: Host,
    region: String,
    handover: Handover,
    /// What an operator put on its disk.
    image: Vec<(String, Vec<u8>)>,
    running: RefCell<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    process: Process,
}

impl Machine {
    pub(super) fn new(host: Host, region: &str, image: Vec<(String, Vec<u8>)>, handover: &Handover) -> Self {
        let (region, handover) = (region.to_owned(), handover.clone());
        let machine = Self { host, region, handover, image, running: RefCell::default() };
        machine.lay_out_disk();
        machine
    }

    /// Puts everything on the disk that an operator had put there.
    fn lay_out_disk(&self) {
        for (path, contents) in &self.image {
            self.host.disk().put(path, contents.clone());
        }
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// The node's region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The machine.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Whether its node runs.
    pub fn is_running(&self) -> bool {
        self.running.borrow().is_some()
    }

    /// What the parts of its node share; an error if none runs.
    pub fn shared(&self) -> io::Result<Arc<Shared>> {
        let running = self.running.borrow();
        let running = running.as_ref().ok_or_else(|| io::Error::other(format!("{} is down", self.name())))?;
        Ok(Arc::clone(&running.shared))
    }

    /// What its node decides by at the moment; an error if none runs.
    pub fn snapshot(&self) -> io::Result<Arc<Snapshot>> {
        Ok(self.shared()?.snapshot())
    }

    /// Starts the machine, if it is down, and its node as its disk describes it. Returns when the node listens; an
    /// error says why it does not.
    pub async fn start(&self) -> io::Result<()> {
        self.host.start();
        let (ready, is_ready) = oneshot::channel();
        let process = Process::spawn(self.name(), run(self.host.clone(), self.handover.clone(), ready));
        let shared = is_ready.await.map_err(io::Error::other)??;
        self.running.replace(Some(Running { shared, process }));
        Ok(())
    }

    /// Takes the machine down at once and without a word. Its disk stays.
    pub fn crash(&self) {
        self.host.crash();
        self.running.take();
    }

    /// Ends the node as its process ends by itself, with a farewell, and takes the machine down.
    pub fn stop(&self) {
        self.running.take();
        self.host.crash();
    }

    /// Lets the node's process stand still, or go on.
    pub fn stall(&self, stalled: bool) {
        if let Some(running) = &*self.running.borrow() {
            running.process.stall(stalled);
        }
    }

    /// Forgets everything that the node wrote; what an operator had put there is there again.
    pub fn lose_disk(&self) {
        self.host.disk().remove_directory("/");
        self.lay_out_disk();
    }
}

/// Runs a node for as long as its process lives.
async fn run(host: Host, handover: Handover, ready: oneshot::Sender<io::Result<Arc<Shared>>>) {
    match start(&host, &handover).await {
        Ok(node) => {
            // Nobody waits if the machine crashed meanwhile.
            let _ = ready.send(Ok(Arc::clone(node.shared())));
            std::future::pending::<()>().await;
            drop(node);
        }
        Err(error) => drop(ready.send(Err(error))),
    }
}

async fn start(host: &Host, handover: &Handover) -> io::Result<Node> {
    let world = host.world();
    let name = format!("{HOME}/node.toml");
    let text = world.disk.read(Path::new(&name), Source::BYTES_MAX)?;
    let (config, diagnostics) = NodeConfig::parse(&Source::new(name, text), &[]);
    let config = config.ok_or_else(|| {
        let lines: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
        io::Error::other(lines.join("\n"))
    })?;
    let codec = GossipCodec::Other(Box::new(handover.codec()));
    Node::start_in(world, config, Threads::This, codec).await.map_err(io::Error::other)
}
