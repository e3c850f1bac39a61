//! What one node says of itself by gossip.

use std::net::SocketAddr;

use crate::{NodeName, RegionName};

/// How often a node name has been started: rises with every start, from a counter on the node's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// Where a node's QUIC endpoints are: control on `base`, worker `i` on the port `base + 1 + i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeshAddress {
    /// Address and UDP port of the control endpoint.
    pub base: SocketAddr,
    /// How many workers, and so how many further ports; 1 to [`MeshAddress::WORKERS_MAX`].
    pub workers: u16,
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
