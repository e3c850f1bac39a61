//! The one place where the node's parts are joined: start, run, stop.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use graticule_gossip::{Codec, GossipError, LoopbackCodec};
use graticule_node_core::config::NodeConfig;
use graticule_node_core::document::Diagnostic;
use tokio::sync::watch;

use crate::identity::IdentityError;
use crate::shared::Shared;
use crate::task::Task;
use crate::tunnel::EndpointError;
use crate::world::World;

mod announce;
mod control;
mod geo;
mod reload;
mod start;
mod worker;

/// Where a node's workers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// One thread each.
    Own,
    /// All on the thread that starts the node: for simulations.
    This,
}

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
    stop: watch::Sender<bool>,
    control: Vec<Task>,
    workers: Vec<Worker>,
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
    /// A geo database cannot be used.
    Geo(String),
    /// The data directory cannot be used.
    Data(PathBuf, std::io::Error),
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
            Self::Region(message) | Self::Name(message) | Self::Geo(message) | Self::Thread(message) => {
                f.write_str(message)
            }
            Self::Identity(error) => error.fmt(f),
            Self::Listen(address, error) => {
                write!(f, "cannot listen on {address}: {error}; choose another address or stop what has it")
            }
            Self::Endpoint(error) => error.fmt(f),
            Self::Data(path, error) => {
                write!(f, "cannot use the data directory at {}: {error}", path.display())
            }
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
        Self::start_in(World::system(), config, Threads::Own, GossipCodec::Bytes).await
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
}

impl Drop for Node {
    fn drop(&mut self) {
        // Nobody listens if every worker has ended already.
        let _ = self.stop.send(true);
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
