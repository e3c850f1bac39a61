//! Everything outside a node: net, clock, chance, disk and name resolution.
//!
//! Production implements it with sockets and files ([`World::system`]), the simulator with memory. Nothing else in
//! the node opens a socket, reads a clock, draws a random number or touches a file.

use std::fmt::{self, Debug};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use graticule_node_core::Moment;
use graticule_node_core::pool::Resolved;
use rand::RngCore;
use tokio::io::{AsyncRead, AsyncWrite};

mod chance;
mod clock;
mod disk;
mod names;
mod net;
mod supervisor;
mod taking;

pub use supervisor::{Notice, Supervisor};
pub use taking::Taking;

/// A node's whole outside. Cheap to clone.
#[derive(Debug, Clone)]
pub struct World {
    /// TCP and UDP.
    pub net: Arc<dyn Net>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Random numbers.
    pub chance: Arc<dyn Chance>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Name resolution.
    pub names: Arc<dyn Names>,
}

/// TCP and UDP.
#[async_trait]
pub trait Net: Debug + Send + Sync {
    /// Listens for TCP connections. Several listeners of one node may share an address if all say `shared`.
    fn listen(&self, address: SocketAddr, shared: bool) -> io::Result<Box<dyn Listener>>;

    /// Opens a TCP connection. No deadline: the caller has one.
    async fn connect(&self, address: SocketAddr) -> io::Result<Stream>;

    /// Binds a UDP socket for QUIC.
    fn bind_udp(&self, address: SocketAddr) -> io::Result<Arc<dyn quinn::AsyncUdpSocket>>;
}

/// A bound TCP listener.
pub trait Listener: Debug + Send + Sync {
    /// The next connection. Errors of one connection are not passed on; an error here is the listener's.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Arrival>>;

    /// Where it listens, with the port that was chosen.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// A TCP connection that has come in.
pub struct Arrival {
    /// What goes over it.
    pub stream: Stream,
    /// Who is at the other end.
    pub peer: SocketAddr,
    /// To be dropped with the stream, which stays open as long.
    pub reset: Reset,
}

/// Ends when the other end has reset a connection, or the network has given it up; it need not be read for that. An other
/// end that only sends no more has done neither.
pub type Reset = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// A TCP connection.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// One TCP connection, boxed once for its life.
pub type Stream = Box<dyn ByteStream>;

/// What time it is.
pub trait Clock: Debug + Send + Sync {
    /// The boot-time clock: it counts suspended time and never steps.
    fn now(&self) -> Moment;

    /// The wall clock, for certificates and timestamps that people read.
    fn wall(&self) -> SystemTime;

    /// Processor time this process has used, user and system.
    fn cpu_time(&self) -> Duration;
}

/// Random numbers. Not for keys: the TLS library has its own source.
pub trait Chance: Debug + Send + Sync {
    /// A generator of its own for one task or worker.
    fn generator(&self) -> Box<dyn RngCore + Send>;
}

/// Files. Calls may block for a disk's time; they are made at start and on the control runtime only.
pub trait Disk: Debug + Send + Sync {
    /// The whole contents of a file of at most `bytes_max` bytes; a larger one is an error of kind `FileTooLarge`.
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>>;

    /// Replaces a file's contents in one step: after a crash it has the old or the new.
    fn replace(&self, path: &Path, contents: &[u8]) -> io::Result<()>;

    /// The paths of the files in a directory, sorted; an error if there is none.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// A number that changes when the file changes.
    fn stamp(&self, path: &Path) -> io::Result<u64>;

    /// Makes a directory and those above it.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Something that writes behind what a file has, and makes it if it is missing; `-` is standard output. A pipe or socket
    /// is refused. Whoever has this must be able to wait. A world without such files refuses.
    fn append(&self, path: &Path) -> io::Result<Box<dyn io::Write + Send>> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("no file can be appended to: {}", path.display()),
        ))
    }
}

/// Name resolution.
#[async_trait]
pub trait Names: Debug + Send + Sync {
    /// The addresses of `host:port`, where host is a name or an address.
    async fn resolve(&self, host_and_port: &str) -> io::Result<Vec<SocketAddr>>;

    /// The addresses of a name, and how long that holds, as DNS says.
    async fn lookup(&self, name: &str) -> io::Result<Resolved>;
}

impl World {
    /// The machine this process runs on.
    pub fn system() -> Self {
        Self::system_asking(Vec::new())
    }

    /// The same with these DNS servers instead of the machine's own, if there are any.
    pub fn system_asking(servers: Vec<SocketAddr>) -> Self {
        Self {
            net: Arc::new(net::SystemNet),
            clock: Arc::new(clock::SystemClock),
            chance: Arc::new(chance::SystemChance),
            disk: Arc::new(disk::SystemDisk),
            names: Arc::new(names::SystemNames::asking(servers)),
        }
    }
}
