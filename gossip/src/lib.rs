//! Runs chitchat over the mesh and publishes the view.
//!
//! What is published is hearsay: good for finding nodes, comparing versions and showing the fleet, never for routing.
//! A [`Carrier`], which somebody else provides, takes messages to peers through authenticated tunnels and says from
//! whose certificate each one came. What that proves is little: a member of the mesh sent it. Chitchat's messages
//! are about every node at once and carry no signatures, so one member can relay a lie about a third. What is visible
//! is refused: messages of another mesh, and whoever announces an address as its own from which another certificate
//! is heard (see [`GossipConfig`] for the rest of the limits).
//!
//! Nothing that arrives can end more than one start of chitchat: its task may panic on remote data, and is then
//! started again under a newer generation while the last view stands.
//!
//! In production bytes cross the carrier ([`LoopbackCodec`]). In a simulation bytes still cross it, so that gossip
//! rides the simulated network with its delays, losses and sizes, but each message is only a ticket: the envelope
//! itself is handed over inside the process ([`Handover`]).

mod carrier;
mod codec;
mod config;
mod contain;
mod driver;
mod gossip;
mod handover_codec;
mod harvest;
mod heard;
mod lane;
mod loopback_codec;
mod pace;
mod patience;
mod pump;
mod session;
mod speakers;
mod tally;

pub use carrier::{Carrier, Inbound, MESSAGE_BYTES_MAX, Outbound};
pub use codec::{Codec, CodecError};
pub use config::{GossipConfig, Timing};
pub use gossip::{Gossip, GossipError};
pub use handover_codec::{Carried, Handover, HandoverCodec};
pub use loopback_codec::LoopbackCodec;
pub use tally::Counters;
