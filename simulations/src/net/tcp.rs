//! How do TCP connections come about: listeners, connections and what travels between their ends.
//!
//! A connection is two ordered lanes. What a lane loses, or what meets a cut link or a host that is down, is tried
//! again after a growing pause, and everything sent later waits behind it. So a cut delays and a crash is silence,
//! until the host is up again and answers what it does not know with a reset.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::network::{HostId, Life, Wire, host_is_down};

mod connection;
mod end;
mod lane;
mod listener;
mod stream;

use connection::Connection;
use end::End;
use lane::Segment;
pub(crate) use lane::{Parcel, Retransmission};
pub(crate) use listener::MemoryListener;
use listener::{Listeners, Offer};
pub(crate) use stream::MemoryStream;

/// Every connection and listener of every host.
#[derive(Debug)]
pub(crate) struct Tcp {
    connections: BTreeMap<ConnectionId, Connection>,
    listeners: Listeners,
    opened: u64,
    window_bytes: usize,
}

/// A connection, numbered in the order they were opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionId(u64);

/// One of a connection's two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndId {
    connection: ConnectionId,
    side: Side,
}

/// Which end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl EndId {
    fn other(self) -> Self {
        Self { side: self.side.other(), ..self }
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            connections: BTreeMap::new(),
            listeners: Listeners::default(),
            opened: 0,
            window_bytes: WINDOW_BYTES,
        }
    }
}

impl Tcp {
    /// Bytes that may be sent before they are read, in each direction of connections opened from now on.
    pub(crate) fn set_window(&mut self, bytes: usize) {
        self.window_bytes = bytes.max(1);
    }

    /// How many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Begins to open a connection.
    fn connect(&mut self, wire: &mut Wire, life: Life, to: SocketAddr) -> io::Result<EndId> {
        if !wire.hosts.is_alive(life) {
            return Err(host_is_down());
        }
        let to = SocketAddr::new(to.ip().to_canonical(), to.port());
        let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let host = wire.hosts.destination(life.host, to.ip()).ok_or_else(|| no_route(to))?;
        let from = wire.hosts.source(life.host, any, to.ip()).ok_or_else(|| no_route(to))?;
        let from = SocketAddr::new(from, wire.hosts.draw_port(life.host));
        self.opened += 1;
        let id = ConnectionId(self.opened);
        let client = End::new(life.host, from, self.window_bytes);
        let server = End::new(host, to, self.window_bytes);
        let connection = self.connections.entry(id).or_insert(Connection::new(id, client, server));
        connection.transmit(wire, Side::Client, Segment::Syn);
        Ok(EndId { connection: id, side: Side::Client })
    }

    /// A parcel gets to the host of the other end.
    pub(crate) fn arrive(&mut self, wire: &mut Wire, parcel: Parcel) {
        let Some(connection) = self.connections.get_mut(&parcel.sender.connection) else { return };
        if !connection.can_receive(wire, &parcel) {
            return connection.hold(wire, parcel);
        }
        let receiver = parcel.sender.other();
        if parcel.segment != Segment::Syn {
            return connection.receive(wire, parcel);
        }
        match self.listeners.offer(wire, connection.end(receiver.side), receiver) {
            Offer::Taken => connection.welcome(wire),
            Offer::Full => connection.hold(wire, parcel),
            Offer::Nobody => connection.refuse(wire),
        }
    }

    /// What an end holds back is sent again.
    pub(crate) fn retransmit(&mut self, wire: &mut Wire, Retransmission(end): Retransmission) {
        if let Some(connection) = self.connections.get_mut(&end.connection) {
            connection.retransmit(wire, end.side);
        }
    }

    /// The ends and listeners of a host are no more, and the other ends do not know it.
    pub(crate) fn crash(&mut self, host: HostId) {
        self.listeners.crash(host);
        self.connections.values_mut().for_each(|connection| connection.crash(host));
        self.connections.retain(|_, connection| !connection.is_over());
    }

    /// A connection that nobody accepted, and nobody will.
    fn reset(&mut self, wire: &mut Wire, end: EndId) {
        if let Some(connection) = self.connections.get_mut(&end.connection) {
            connection.abort(wire, end.side);
            self.close(wire, end);
        }
    }

    /// Nobody holds this end any longer.
    fn close(&mut self, wire: &mut Wire, end: EndId) {
        let Some(connection) = self.connections.get_mut(&end.connection) else { return };
        connection.close(wire, end.side);
        if connection.is_over() {
            self.connections.remove(&end.connection);
        }
    }
}

fn no_route(to: SocketAddr) -> io::Error {
    io::Error::new(io::ErrorKind::NetworkUnreachable, format!("no host has the address of {to}"))
}

/// Bytes that may be sent before they are read, unless the simulation says otherwise.
const WINDOW_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests;
