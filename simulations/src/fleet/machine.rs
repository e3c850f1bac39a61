//! One node of a fleet: its host, and the process that runs there.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::Arc;

use graticule::node::{GossipCodec, Node, Threads};
use graticule::shared::{Departure, Shared};
use graticule_gossip::Handover;
use graticule_gossip_core::View;
use graticule_node_core::Snapshot;
use graticule_node_core::config::NodeConfig;
use graticule_node_core::document::Source;
use graticule_node_core::leaving::LeavingInput;
use tokio::sync::{oneshot, watch};

use super::plan::{ACCESS_LOG, HOME};
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
    departure: Arc<Departure>,
    view: watch::Receiver<Arc<View>>,
    /// Closed when the node has ended, whether it left or crashed.
    gone: watch::Receiver<()>,
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

    /// What its node has written into its access log since this was asked last.
    pub fn take_access_log(&self) -> Vec<u8> {
        self.host.disk().take(ACCESS_LOG)
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

    /// What its node believes of the mesh by gossip; nothing if none runs.
    pub fn view(&self) -> Option<Arc<View>> {
        self.running.borrow().as_ref().map(|running| Arc::clone(&running.view.borrow()))
    }

    /// Whether its node wants requests: what a load balancer would be told.
    pub fn is_ready(&self) -> bool {
        let running = self.running.borrow();
        running
            .as_ref()
            .is_some_and(|Running { shared, .. }| !shared.drain.is_draining() && !*shared.joining.borrow())
    }

    /// Starts the machine, if it is down, and its node as its disk describes it. Returns when the node listens; an
    /// error says why it does not.
    pub async fn start(&self) -> io::Result<()> {
        self.host.start();
        let ((ready, is_ready), (living, gone)) = (oneshot::channel(), watch::channel(()));
        let process = run(self.host.clone(), self.handover.clone(), ready, living);
        let process = Process::spawn(self.name(), process);
        let (shared, departure, view) = is_ready.await.map_err(io::Error::other)??;
        self.running.replace(Some(Running { shared, departure, view, gone, process }));
        Ok(())
    }

    /// Tells its node to leave, as `graticule drain` does; an error if none runs.
    pub fn drain(&self) -> io::Result<()> {
        self.tell(LeavingInput::Drain)
    }

    /// Tells its node to stay after all; an error if none runs, or it is too late.
    pub fn undrain(&self) -> io::Result<()> {
        self.tell(LeavingInput::Undrain)
    }

    /// Waits until the node has ended, and takes the machine down.
    pub async fn left(&self) {
        let gone = self.running.borrow().as_ref().map(|running| running.gone.clone());
        let Some(mut gone) = gone else { return };
        // Nothing is ever sent: an error is the end.
        while gone.changed().await.is_ok() {}
        // It may have been started again meanwhile, by somebody else.
        let ended = self.running.borrow_mut().take_if(|running| running.gone.has_changed().is_err());
        if ended.is_some() {
            self.host.crash();
        }
    }

    /// Drains the node, waits until it has left, and starts it again: a graceful upgrade. Returns when it listens.
    pub async fn upgrade(&self) -> io::Result<()> {
        self.drain()?;
        self.left().await;
        self.start().await
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

    fn tell(&self, input: LeavingInput) -> io::Result<()> {
        let running = self.running.borrow();
        let running = running.as_ref().ok_or_else(|| io::Error::other(format!("{} is down", self.name())))?;
        running.departure.tell(input).map_err(io::Error::other)?;
        Ok(())
    }
}

/// What [`Machine`] needs of its node.
type Handles = (Arc<Shared>, Arc<Departure>, watch::Receiver<Arc<View>>);

/// Runs a node until it has left, for as long as its process lives. `_living` ends with it.
async fn run(
    host: Host,
    handover: Handover,
    ready: oneshot::Sender<io::Result<Handles>>,
    _living: watch::Sender<()>,
) {
    match start(&host, &handover).await {
        Ok(node) => {
            // Nobody waits if the machine crashed meanwhile.
            let _ = ready.send(Ok((Arc::clone(node.shared()), Arc::clone(node.departure()), node.view())));
            let farewell = node.left().await;
            node.stop(farewell).await;
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
