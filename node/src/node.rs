//! The one place where the node's parts are joined: start, run, stop.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use graticule_gossip::{Codec, GossipError, LoopbackCodec};
use graticule_gossip_core::View;
use graticule_node_core::config::NodeConfig;
use graticule_node_core::document::Diagnostic;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::identity::IdentityError;
use crate::shared::{Departure, Phase, Shared};
use crate::task::Task;
pub use crate::task::Threads;
use crate::telemetry::AccessLog;
use crate::tunnel::{EndpointError, Farewell, Parting};
use crate::world::World;

mod announce;
mod control;
mod fault;
mod geo;
mod leaving;
mod reload;
mod start;
mod worker;

/// How gossip crosses the mesh.
pub enum GossipCodec {
    /// As bytes.
    Bytes,
    /// As something else: simulations pass values.
    Other(Box<dyn Codec>),
}

/// A running node. Dropping it stops it at once.
#[derive(Debug)]
pub struct Node {
    addresses: Addresses,
    shared: Arc<Shared>,
    departure: Arc<Departure>,
    view: watch::Receiver<Arc<View>>,
    ended: watch::Receiver<Option<Farewell>>,
    reload: mpsc::Sender<oneshot::Sender<()>>,
    phase: watch::Sender<Phase>,
    parting: Option<Parting>,
    control: Vec<Task>,
    workers: Vec<Worker>,
    /// Last, so that it has what the workers write at their end.
    access_log: Option<AccessLog>,
}

#[derive(Debug)]
enum Worker {
    Thread(Option<JoinHandle<()>>),
    Here(#[expect(dead_code, reason = "held to keep it running")] Task),
}

/// Where a node listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// For clients.
    pub http: SocketAddr,
    /// For clients that want TLS.
    pub https: Option<SocketAddr>,
    /// The control endpoint; workers are on the ports after it.
    pub mesh: SocketAddr,
    /// For operators.
    pub admin: SocketAddr,
}

/// Why a node could not start: what failed, on whom, and what to do.
#[derive(Debug)]
pub enum StartError {
    /// The documents have errors.
    Documents(Vec<Diagnostic>),
    /// The certificate's region is not in the fleet document.
    Region(String),
    /// The certificate names another node than the configuration.
    Name(String),
    /// The certificates cannot be used.
    Identity(IdentityError),
    /// A TCP address cannot be listened on.
    Listen(SocketAddr, std::io::Error),
    /// A UDP address cannot be bound.
    Endpoint(EndpointError),
    /// The directory of clients' certificates cannot be used.
    Certificates(String),
    /// A geo database cannot be used.
    Geo(String),
    /// The data directory cannot be used.
    Data(PathBuf, std::io::Error),
    /// The access log cannot be opened.
    AccessLog(PathBuf, std::io::Error),
    /// Gossip cannot begin.
    Gossip(GossipError),
    /// A thread could not be made, or ended before it was ready.
    Thread(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Documents(diagnostics) => {
                writeln!(f, "the documents have errors; mend them and check with `graticule check`:")?;
                diagnostics.iter().try_for_each(|diagnostic| writeln!(f, "{diagnostic}"))
            }
            Self::Region(message)
            | Self::Name(message)
            | Self::Geo(message)
            | Self::Certificates(message)
            | Self::Thread(message) => f.write_str(message),
            Self::Identity(error) => error.fmt(f),
            Self::Listen(address, error) => {
                write!(f, "cannot listen on {address}: {error}; choose another address or stop what has it")
            }
            Self::Endpoint(error) => error.fmt(f),
            Self::Data(path, error) => {
                let advice = "let the node's user write there, or name another directory in `data`";
                write!(f, "cannot use the data directory at {}: {error}; {advice}", path.display())
            }
            Self::AccessLog(path, error) => write!(
                f,
                "cannot write the access log at {}: {error}; name a file in a directory that is there, or `-` for standard output, in `access_log.path`",
                path.display()
            ),
            Self::Gossip(error) => write!(f, "cannot start gossip: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<IdentityError> for StartError {
    fn from(error: IdentityError) -> Self {
        Self::Identity(error)
    }
}

impl From<EndpointError> for StartError {
    fn from(error: EndpointError) -> Self {
        Self::Endpoint(error)
    }
}

impl Node {
    /// Starts a node on this machine, with a thread for each worker. Must be called on a local runtime.
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        let world = World::system_asking(config.dns_servers.clone());
        Self::start_in(world, config, Threads::Own, GossipCodec::Bytes).await
    }

    /// Everything that would keep a node of this configuration from starting, or some of its clients from being served, as
    /// far as the files tell that it names, and what is hardly meant. Nothing is written or bound.
    pub fn faults(world: &World, config: &NodeConfig) -> Vec<Diagnostic> {
        start::faults(world, config)
    }

    /// Starts a node in any world.
    pub async fn start_in(
        world: World,
        config: NodeConfig,
        threads: Threads,
        codec: GossipCodec,
    ) -> Result<Self, StartError> {
        start::start(world, Rc::new(config), threads, codec).await
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What its runtimes share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Where it is told to leave, or to stay.
    pub fn departure(&self) -> &Arc<Departure> {
        &self.departure
    }

    /// What it believes of the mesh by gossip.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Looks for changed files now, and not only at the next look, and opens the access log anew. Returns when what has
    /// changed was read.
    pub async fn reload(&self) {
        if let Some(log) = &self.access_log {
            log.reopen();
        }
        let (done, is_done) = oneshot::channel();
        // Whoever finds the queue full is not the first to ask: a look follows in any case.
        if self.reload.try_send(done).is_ok() {
            let _ = is_done.await;
        }
    }

    /// Waits until it takes nothing new any more.
    pub async fn closing(&self) {
        // It cannot go away: this node has it.
        let _ = self.phase.subscribe().wait_for(|phase| *phase != Phase::Serving).await;
    }

    /// Waits until it has met the mesh, as far as that can be met.
    pub async fn joined(&self) {
        // It cannot go away: this node has it.
        let _ = self.shared.joining.subscribe().wait_for(|joining| !joining).await;
    }

    /// What does not answer within `patience`, for whoever supervises the process; nothing if all is well. The caller is
    /// on the control runtime, so that this itself says that it runs.
    pub async fn ailments(&self, patience: Duration) -> Vec<String> {
        let silent = self.shared.pulse.silent(patience).await;
        let workers = silent.into_iter().map(|worker| format!("worker {worker} does not answer"));
        let ended = self.control.iter().any(Task::has_ended);
        workers.chain(ended.then(|| "a task of the control runtime has ended".to_owned())).collect()
    }

    /// Waits until it has left, and gives what to say then to [`Node::stop`].
    pub async fn left(&self) -> Farewell {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(farewell) => farewell.unwrap_or(Farewell::Stopped),
            Err(_) => Farewell::Stopped,
        }
    }

    /// Says `farewell` on every tunnel and ends everything. Takes a second at most: a worker that has not ended by then
    /// is left alone, and ends with the process.
    pub async fn stop(mut self, farewell: Farewell) {
        self.shared.drain.finish();
        self.phase.send_replace(Phase::Ended(farewell));
        let control = std::mem::take(&mut self.control);
        if let Some(parting) = self.parting.take() {
            parting.say(farewell, control).await;
        }
        // Each worker holds on to it until its end.
        if timeout(STOP_TIMEOUT, self.phase.closed()).await.is_err() {
            tracing::error!("a worker does not end; leaving without it");
            self.workers.clear();
        }
        if let Some(log) = self.access_log.take() {
            log.finish().await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shared.drain.finish();
        self.phase.send_replace(Phase::Ended(Farewell::Stopped));
        self.parting.take();
        self.control.clear();
        for worker in &mut self.workers {
            if let Worker::Thread(thread) = worker {
                // A worker that panicked has said so.
                let _ = thread.take().map(JoinHandle::join);
            }
        }
    }
}

impl GossipCodec {
    async fn open(self) -> Result<Box<dyn Codec>, StartError> {
        match self {
            Self::Other(codec) => Ok(codec),
            Self::Bytes => {
                let codec = LoopbackCodec::open().await;
                let codec = codec.map_err(|error| StartError::Listen(LOOPBACK, error))?;
                Ok(Box::new(codec))
            }
        }
    }
}

/// Where the gossip codec's sockets are.
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// From the last farewell to the end of the workers, which say theirs meanwhile.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);
