//! How do datagrams travel: QUIC's sockets in memory.
//!
//! What cannot be delivered vanishes, as on the Internet: lost, cut, too large for the path, nobody there, or the
//! receiver's queue full. There are no ICMP answers.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use crate::network::{Bindings, Event, HostId, Life, Network, Wire, host_is_down, register, seen_by};

/// A bound socket; it is closed when dropped.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    network: Arc<Network>,
    life: Life,
    local: SocketAddr,
}

/// Every bound socket of every host.
#[derive(Debug, Default)]
pub(crate) struct Udp {
    inboxes: Bindings<Inbox>,
}

/// A datagram on its way.
#[derive(Debug, Clone)]
pub(crate) struct Datagram {
    sender: HostId,
    receiver: HostId,
    from: SocketAddr,
    to: SocketAddr,
    ecn: Option<EcnCodepoint>,
    payload: Bytes,
}

/// What arrived at one socket and was not read yet.
#[derive(Debug, Default)]
struct Inbox {
    datagrams: VecDeque<Datagram>,
    bytes: usize,
    reader: Option<Waker>,
}

impl UdpSocket {
    /// Binds a socket in this life of a host.
    pub(crate) fn bind(network: &Arc<Network>, life: Life, address: SocketAddr) -> io::Result<Self> {
        let local = network.enter(|state| {
            let hosts = &mut state.wire.hosts;
            if !hosts.is_alive(life) {
                return Err(host_is_down());
            }
            state.udp.inboxes.bind(hosts, life.host, address, Inbox::default())
        })?;
        Ok(Self { network: Arc::clone(network), life, local })
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.network.enter(|state| {
            if state.wire.hosts.is_alive(self.life) {
                state.udp.inboxes.unbind(self.life.host, self.local);
            }
        });
    }
}

impl AsyncUdpSocket for UdpSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.network.enter(|state| {
            if state.wire.hosts.is_alive(self.life) {
                send(&mut state.wire, self.life.host, self.local, transmit);
            }
        });
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.network.enter(|state| {
            let alive = state.wire.hosts.is_alive(self.life);
            let inbox = state.udp.inboxes.get(self.life.host, self.local).filter(|_| alive);
            // The process of a crashed host waits for ever.
            let Some(inbox) = inbox else { return Poll::Pending };
            let read = buffers
                .iter_mut()
                .zip(metas)
                .map_while(|(buffer, meta)| inbox.read(self.local, buffer).map(|read| *meta = read))
                .count();
            if read == 0 {
                register(&mut inbox.reader, cx);
                return Poll::Pending;
            }
            Poll::Ready(Ok(read))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn max_transmit_segments(&self) -> usize {
        TRANSMIT_SEGMENTS_MAX
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

impl Udp {
    /// The sockets of a host are no more; what is on its way stays on its way.
    pub(crate) fn crash(&mut self, host: HostId) {
        self.inboxes.clear(host);
    }

    /// Puts a datagram where its socket reads it.
    pub(crate) fn arrive(&mut self, wire: &mut Wire, datagram: Datagram) {
        wire.hosts.arrive(datagram.sender, datagram.payload.len());
        let Some((_, inbox)) = self.inboxes.receiver(datagram.receiver, datagram.to) else { return };
        if inbox.bytes + datagram.payload.len() <= INBOX_BYTES_MAX {
            inbox.bytes += datagram.payload.len();
            inbox.datagrams.push_back(datagram);
            wire.wake(&mut inbox.reader);
        }
    }
}

impl Inbox {
    /// Moves the first datagram into `buffer`; what does not fit is cut off, as by the kernel.
    fn read(&mut self, local: SocketAddr, buffer: &mut [u8]) -> Option<RecvMeta> {
        let datagram = self.datagrams.pop_front()?;
        self.bytes -= datagram.payload.len();

        let len = datagram.payload.len().min(buffer.len());
        buffer[..len].copy_from_slice(&datagram.payload[..len]);
        Some(RecvMeta {
            addr: SocketAddr::new(seen_by(local, datagram.from.ip()), datagram.from.port()),
            len,
            stride: len,
            ecn: datagram.ecn,
            dst_ip: Some(seen_by(local, datagram.to.ip())),
        })
    }
}

/// Sends each segment of a transmit as a datagram of its own.
fn send(wire: &mut Wire, sender: HostId, local: SocketAddr, transmit: &Transmit<'_>) {
    let to = SocketAddr::new(transmit.destination.ip().to_canonical(), transmit.destination.port());
    let source = transmit.src_ip.unwrap_or(local.ip());
    let Some(source) = wire.hosts.source(sender, source, to.ip()) else { return };
    let Some(receiver) = wire.hosts.destination(sender, to.ip()) else { return };
    let from = SocketAddr::new(source, local.port());
    let mut rest = Bytes::copy_from_slice(transmit.contents);
    let segment_bytes = transmit.segment_size.unwrap_or(rest.len()).max(1);
    while !rest.is_empty() {
        let payload = rest.split_to(segment_bytes.min(rest.len()));
        depart(wire, Datagram { sender, receiver, from, to, ecn: transmit.ecn, payload });
    }
}

/// Puts one datagram on the wire, which may deliver it twice.
fn depart(wire: &mut Wire, datagram: Datagram) {
    let bytes = datagram.payload.len();
    let passage = wire.cross(datagram.sender, datagram.receiver, bytes);
    let passage = passage.filter(|_| bytes <= payload_bytes_max(&datagram));
    let Some(passage) = passage.filter(|_| wire.hosts.depart(datagram.sender, bytes)) else {
        return wire.record(datagram.from, datagram.to, bytes, None);
    };
    let arrives = wire.now + passage.late + passage.held;
    wire.record(datagram.from, datagram.to, bytes, Some(arrives));
    if passage.twice && wire.hosts.depart(datagram.sender, bytes) {
        wire.post(wire.now + passage.late, Event::Datagram(datagram.clone()));
    }
    wire.post(arrives, Event::Datagram(datagram));
}

/// The largest payload that the path takes in one packet.
fn payload_bytes_max(datagram: &Datagram) -> usize {
    let packet = if datagram.sender == datagram.receiver { LOOPBACK_MTU_BYTES } else { PATH_MTU_BYTES };
    packet - if datagram.to.is_ipv4() { HEADER_BYTES_V4 } else { HEADER_BYTES_V6 }
}

/// Sending never waits: what is too much is dropped on the way.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Datagrams in one transmit: what QUIC makes at most.
const TRANSMIT_SEGMENTS_MAX: usize = 10;
/// Unread bytes of one socket: what production asks the kernel for.
const INBOX_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The largest packet between two hosts.
const PATH_MTU_BYTES: usize = 1_500;
/// The largest packet within a host.
const LOOPBACK_MTU_BYTES: usize = 65_535;
/// IPv4 and UDP headers.
const HEADER_BYTES_V4: usize = 28;
/// IPv6 and UDP headers.
const HEADER_BYTES_V6: usize = 48;

#[cfg(test)]
mod tests;
