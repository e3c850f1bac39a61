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
    running: RefCell<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    _process: Process,
}

impl Machine {
    pub(super) fn new(host: Host, region: &str, handover: &Handover) -> Self {
        Self { host, region: region.to_owned(), handover: handover.clone(), running: RefCell::default() }
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

    /// What its node decides by at the moment; an error if none runs.
    pub fn snapshot(&self) -> io::Result<Arc<Snapshot>> {
        let running = self.running.borrow();
        let running = running.as_ref().ok_or_else(|| io::Error::other(format!("{} is down", self.name())))?;
        Ok(running.shared.snapshot())
    }

    /// Starts the machine, if it is down, and its node as its disk describes it. Returns when the node listens; an
    /// error says why it does not.
    pub async fn start(&self) -> io::Result<()> {
        self.host.start();
        let (ready, is_ready) = oneshot::channel();
        let process = Process::spawn(self.name(), run(self.host.clone(), self.handover.clone(), ready));
        let shared = is_ready.await.map_err(io::Error::other)??;
        self.running.replace(Some(Running { shared, _process: process }));
        Ok(())
    }

    /// Takes the machine down at once and without a word. Its disk stays.
    pub fn crash(&self) {
        self.host.crash();
        self.running.take();
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
