//! What one node says of itself by gossip.

use std::fmt;
use std::net::SocketAddr;

use crate::{NodeName, RegionName};

mod values;

pub use values::{VALUE_BYTES_MAX, VALUES_MAX};

/// How often a node name has been started: rises with every start, from a counter on the node's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// Where a node's QUIC endpoints are: control on `base`, worker `i` on the port `base + 1 + i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MeshAddress {
    /// Address and UDP port of the control endpoint.
    pub base: SocketAddr,
    /// How many workers, and so how many further ports; 1 to [`MeshAddress::WORKERS_MAX`].
    pub workers: u16,
}

impl MeshAddress {
    /// How many workers a node can have.
    pub const WORKERS_MAX: u16 = 256;

    /// An address that can be dialled: one host, and as many ports as there are endpoints. `None` for any other.
    pub fn dialable(base: SocketAddr, workers: u16) -> Option<Self> {
        let one_host = !base.ip().is_unspecified() && !base.ip().is_multicast();
        let ports = base.port() > 0 && base.port().checked_add(workers).is_some();
        let legal = one_host && ports && (1..=Self::WORKERS_MAX).contains(&workers);
        legal.then_some(Self { base, workers })
    }

    /// Where worker `worker`, counted from 0, listens; `None` if there is no such worker.
    pub fn worker(self, worker: u16) -> Option<SocketAddr> {
        if worker >= self.workers {
            return None;
        }
        let port = self.base.port().checked_add(1)?.checked_add(worker)?;
        Some(SocketAddr::new(self.base.ip(), port))
    }
}

/// What a node says of itself. Hearsay to everybody else: used to find nodes and to show them, never to route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Its name, which the carrier has compared with the sender's certificate where the sender speaks of itself.
    pub node: NodeName,
    /// The region in its certificate.
    pub region: RegionName,
    /// Which start of this name speaks.
    pub generation: Generation,
    /// Where to dial it.
    pub mesh: MeshAddress,
    /// The version of its software, at most 32 bytes.
    pub software: String,
    /// The version of the fleet document it has active.
    pub fleet_version: u64,
    /// The digest of all documents it has active (hex), at most 64 bytes.
    pub policy_digest: String,
    /// Whether it is leaving and wants no new requests.
    pub draining: bool,
}

/// Why a received set of values is no announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnnouncementError {
    /// A value that must be there is not.
    Missing(&'static str),
    /// A value that is not of its form, or over its limit.
    Malformed(&'static str),
}

impl fmt::Display for AnnouncementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "the announcement lacks `{key}`"),
            Self::Malformed(key) => write!(f, "the announcement's `{key}` is not of its form"),
        }
    }
}

impl std::error::Error for AnnouncementError {}
