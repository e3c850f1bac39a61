//! Who listens where: listeners, their backlogs, and whose turn it is among those that share an address.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use graticule::world::{Arrival, Listener};

use super::EndId;
use super::end::End;
use super::stream::MemoryStream;
use crate::network::{Bindings, HostId, Hosts, Life, Network, State, Wire, host_is_down, register, seen_by};

/// A node's listener; it is closed when dropped, and what was not accepted is reset.
#[derive(Debug)]
pub(crate) struct MemoryListener {
    network: Arc<Network>,
    life: Life,
    local: SocketAddr,
    id: u64,
}

/// Every listener of every host.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    groups: Bindings<Group>,
    opened: u64,
}

/// The listeners of one address.
#[derive(Debug)]
struct Group {
    shared: bool,
    members: Vec<Member>,
    turn: usize,
}

#[derive(Debug)]
struct Member {
    id: u64,
    backlog: VecDeque<EndId>,
    acceptor: Option<Waker>,
}

/// What became of a connection that was offered to an address's listeners.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// One of them has it.
    Taken,
    /// The one whose turn it is has too many waiting.
    Full,
    /// Nobody listens.
    Nobody,
}

impl MemoryListener {
    /// Listens in this life of a host.
    pub(crate) fn bind(
        network: &Arc<Network>,
        life: Life,
        address: SocketAddr,
        shared: bool,
    ) -> io::Result<Self> {
        let (local, id) = network.enter(|state| {
            if !state.wire.hosts.is_alive(life) {
                return Err(host_is_down());
            }
            state.tcp.listeners.listen(&mut state.wire.hosts, life.host, address, shared)
        })?;
        Ok(Self { network: Arc::clone(network), life, local, id })
    }

    fn poll_backlog(&self, state: &mut State, cx: &Context<'_>) -> Poll<(EndId, SocketAddr)> {
        if !state.wire.hosts.is_alive(self.life) {
            return Poll::Pending;
        }
        let State { tcp, .. } = state;
        let Some(member) = tcp.listeners.member(self.life.host, self.local, self.id) else {
            return Poll::Pending;
        };
        let Some(end) = member.backlog.pop_front() else {
            register(&mut member.acceptor, cx);
            return Poll::Pending;
        };
        match tcp.connections.get(&end.connection) {
            Some(connection) => Poll::Ready((end, connection.end(end.side.other()).address)),
            None => Poll::Pending,
        }
    }
}

impl Listener for MemoryListener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Arrival>> {
        self.network.enter(|state| self.poll_backlog(state, cx)).map(|(end, peer)| {
            let stream = MemoryStream::accepted(&self.network, end);
            let peer = SocketAddr::new(seen_by(self.local, peer.ip()), peer.port());
            let reset = Box::pin(stream.reset());
            Ok(Arrival { stream: Box::new(stream), peer, reset })
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.network.enter(|state| {
            let State { wire, tcp, .. } = state;
            if wire.hosts.is_alive(self.life) {
                for end in tcp.listeners.leave(self.life.host, self.local, self.id) {
                    tcp.reset(wire, end);
                }
            }
        });
    }
}

impl Listeners {
    /// Puts a connection before the listener whose turn it is.
    pub(super) fn offer(&mut self, wire: &mut Wire, server: &End, end: EndId) -> Offer {
        let Some((_, group)) = self.groups.receiver(server.host, server.address) else {
            return Offer::Nobody;
        };
        let turn = group.turn % group.members.len().max(1);
        let Some(member) = group.members.get_mut(turn) else { return Offer::Nobody };
        if member.backlog.len() >= BACKLOG_MAX {
            return Offer::Full;
        }
        member.backlog.push_back(end);
        wire.wake(&mut member.acceptor);
        group.turn = turn + 1;
        Offer::Taken
    }

    /// The listeners of a host are no more.
    pub(super) fn crash(&mut self, host: HostId) {
        self.groups.clear(host);
    }

    fn listen(
        &mut self,
        hosts: &mut Hosts,
        host: HostId,
        address: SocketAddr,
        shared: bool,
    ) -> io::Result<(SocketAddr, u64)> {
        self.opened += 1;
        let id = self.opened;
        let member = Member { id, backlog: VecDeque::new(), acceptor: None };
        if let Some(group) = self.groups.get(host, address).filter(|group| group.shared && shared) {
            group.members.push(member);
            return Ok((address, id));
        }
        let group = Group { shared, members: vec![member], turn: 0 };
        Ok((self.groups.bind(hosts, host, address, group)?, id))
    }

    fn member(&mut self, host: HostId, address: SocketAddr, id: u64) -> Option<&mut Member> {
        self.groups.get(host, address)?.members.iter_mut().find(|member| member.id == id)
    }

    /// Takes a listener away and returns what it had not accepted.
    fn leave(&mut self, host: HostId, address: SocketAddr, id: u64) -> VecDeque<EndId> {
        let Some(group) = self.groups.get(host, address) else { return VecDeque::new() };
        let left = group.members.extract_if(.., |member| member.id == id).next();
        if group.members.is_empty() {
            self.groups.unbind(host, address);
        }
        left.map(|member| member.backlog).unwrap_or_default()
    }
}

/// Connections that wait to be accepted, for each listener; as production asks of the kernel.
const BACKLOG_MAX: usize = 1_024;
