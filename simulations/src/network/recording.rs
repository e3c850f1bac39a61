//! Which datagrams crossed the network: how many of each port, and a bounded record for comparing runs.

use std::net::SocketAddr;

use graticule_node_core::Moment;

/// One datagram on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing {
    /// When it left, since the simulation began.
    pub left: Moment,
    /// When it gets to its host; nothing if it is lost on the way.
    pub arrives: Option<Moment>,
    /// Its sender.
    pub from: SocketAddr,
    /// Its receiver.
    pub to: SocketAddr,
    /// Its length without IP and UDP headers.
    pub bytes: usize,
}

/// How much has left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Departed {
    /// Datagrams.
    pub datagrams: u64,
    /// Their bytes without IP and UDP headers.
    pub bytes: u64,
}

/// The datagrams of a simulation from the moment it was asked to record, in the order they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recording {
    /// The first ones, at most a million.
    pub crossings: Vec<Crossing>,
    /// How many were sent after the limit was reached.
    pub missed: u64,
}

impl Recording {
    /// Adds one datagram.
    pub(crate) fn add(&mut self, crossing: Crossing) {
        if self.crossings.len() < CROSSINGS_MAX {
            self.crossings.push(crossing);
        } else {
            self.missed += 1;
        }
    }
}

/// Datagrams one recording holds.
const CROSSINGS_MAX: usize = 1_000_000;
