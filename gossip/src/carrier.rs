//! What takes gossip to peers and brings it from them: two bounded queues that somebody else serves.

use std::net::SocketAddr;

use bytes::Bytes;
use graticule_gossip_core::NodeName;
use tokio::sync::mpsc;

/// Both ends of the road, as gossip holds them.
///
/// Gossip never waits for the carrier: a message that finds `outbound` full is dropped and counted, and chitchat says
/// the same things again within an interval or two. The carrier, in turn, should drop rather than wait when
/// `inbound` is full. Either queue may be closed; gossip then hears or says nothing, and goes on.
#[derive(Debug)]
pub struct Carrier {
    /// To peers.
    pub outbound: mpsc::Sender<Outbound>,
    /// From peers.
    pub inbound: mpsc::Receiver<Inbound>,
}

/// A message to a peer.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// The peer's advertised base address, as [`MeshAddress::base`](graticule_gossip_core::MeshAddress::base). It may be
    /// hearsay: a liar can name any address here, and the carrier decides whether to dial it.
    pub to: SocketAddr,
    /// At most [`MESSAGE_BYTES_MAX`] bytes.
    pub message: Bytes,
}

/// A message from a peer.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// The peer's advertised base address, known first-hand: it was dialled there, or said so itself in its tunnel.
    /// Replies are sent to it.
    pub from: SocketAddr,
    /// The name in the peer's certificate.
    pub node: NodeName,
    /// At most [`MESSAGE_BYTES_MAX`] bytes; a longer one is dropped.
    pub message: Bytes,
}

/// No message is longer: chitchat's own limit, the largest payload of an IPv4 datagram.
pub const MESSAGE_BYTES_MAX: usize = 65_507;
