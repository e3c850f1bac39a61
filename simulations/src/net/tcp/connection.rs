//! What do two ends do to each other: opening, bytes and room for bytes, closing, resets.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::ReadBuf;

use super::end::{End, EndState};
use super::lane::{Parcel, Retransmission, Segment};
use super::{ConnectionId, EndId, Side};
use crate::network::{Event, HostId, Wire, register};

/// A connection from its client's first packet until neither end is held.
#[derive(Debug)]
pub(super) struct Connection {
    id: ConnectionId,
    client: End,
    server: End,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, client: End, server: End) -> Self {
        Self { id, client, server }
    }

    pub(super) fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// Whether no end will be used again, so that what is still on its way does not matter.
    pub(super) fn is_over(&self) -> bool {
        self.client.is_done() && (self.server.is_done() || self.server.state == EndState::Opening)
    }

    /// Whether the client is connected; an error if it never will be.
    pub(super) fn poll_established(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        match self.client.state {
            EndState::Opening => {
                register(&mut self.client.inbound.reader, cx);
                Poll::Pending
            }
            EndState::Open | EndState::Closed => Poll::Ready(Ok(())),
            EndState::Failed(kind) => Poll::Ready(Err(kind.into())),
            EndState::Vanished => Poll::Pending,
        }
    }

    /// Whether an end has broken.
    pub(super) fn poll_failed(&mut self, side: Side, cx: &Context<'_>) -> Poll<()> {
        let end = self.end_mut(side);
        if matches!(end.state, EndState::Failed(_)) {
            return Poll::Ready(());
        }
        register(&mut end.watcher, cx);
        Poll::Pending
    }

    /// Reads what has arrived; nothing read means that no more will come.
    pub(super) fn poll_read(
        &mut self,
        wire: &mut Wire,
        side: Side,
        cx: &Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let end = self.end_mut(side);
        match end.state {
            EndState::Failed(kind) => return Poll::Ready(Err(kind.into())),
            EndState::Vanished => return Poll::Pending,
            _ => {}
        }
        if !end.inbound.has_bytes() && !end.inbound.ended {
            register(&mut end.inbound.reader, cx);
            return Poll::Pending;
        }
        end.inbound.read(buffer);
        if let Some(credit) = end.inbound.take_credit() {
            self.transmit(wire, side, Segment::Credit(credit));
        }
        Poll::Ready(Ok(()))
    }

    /// Sends as much as there is room for; waits if there is none.
    pub(super) fn poll_write(
        &mut self,
        wire: &mut Wire,
        side: Side,
        cx: &Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let end = self.end_mut(side);
        match end.state {
            EndState::Failed(kind) => return Poll::Ready(Err(kind.into())),
            EndState::Vanished => return Poll::Pending,
            _ if end.outbound.ended => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            _ => {}
        }
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        if end.outbound.credit == 0 {
            register(&mut end.outbound.writer, cx);
            return Poll::Pending;
        }
        let bytes = gather(slices, end.outbound.credit.min(SEGMENT_BYTES_MAX));
        let written = bytes.len();
        end.outbound.credit -= written;
        self.transmit(wire, side, Segment::Data(bytes));
        Poll::Ready(Ok(written))
    }

    /// This end sends no more; it may still read.
    pub(super) fn shut_down(&mut self, wire: &mut Wire, side: Side) {
        let end = self.end_mut(side);
        if end.state == EndState::Open && !end.outbound.ended {
            end.outbound.ended = true;
            self.transmit(wire, side, Segment::Fin);
        }
    }

    /// Nobody holds this end any longer. What was sent still arrives, unless what was received was not read.
    pub(super) fn close(&mut self, wire: &mut Wire, side: Side) {
        if self.end(side).is_done() {
            return;
        }
        if self.end(side).inbound.has_bytes() {
            return self.abort(wire, side);
        }
        self.shut_down(wire, side);
        self.end_mut(side).state = EndState::Closed;
    }

    /// The connection was put before a listener.
    pub(super) fn welcome(&mut self, wire: &mut Wire) {
        self.client.lane.progress();
        self.server.state = EndState::Open;
        self.transmit(wire, Side::Server, Segment::SynAck);
    }

    /// Nobody listens.
    pub(super) fn refuse(&mut self, wire: &mut Wire) {
        self.server.state = EndState::Closed;
        self.transmit(wire, Side::Server, Segment::Reset);
    }

    /// Nobody holds this end any longer, and the other one is told at once; what it has not got yet is forgotten.
    pub(super) fn abort(&mut self, wire: &mut Wire, side: Side) {
        let end = self.end_mut(side);
        end.lane.clear();
        end.inbound.clear();
        end.state = EndState::Closed;
        self.transmit(wire, side, Segment::Reset);
    }

    /// A host's end is no more. A server that was not asked yet will be asked when its host is up.
    pub(super) fn crash(&mut self, host: HostId) {
        if self.client.host == host {
            self.client.vanish();
        }
        if self.server.host == host && self.server.state != EndState::Opening {
            self.server.vanish();
        }
    }

    /// Sends a segment behind all that was sent before.
    pub(super) fn transmit(&mut self, wire: &mut Wire, side: Side, segment: Segment) {
        let sender = EndId { connection: self.id, side };
        let sequence = self.end_mut(side).lane.number();
        self.depart(wire, Parcel { sender, sequence, segment });
    }

    /// Sends again what an end holds back, or gives the connection up.
    pub(super) fn retransmit(&mut self, wire: &mut Wire, side: Side) {
        let end = self.end_mut(side);
        let Some(held) = end.lane.release() else {
            return end.fail(wire, io::ErrorKind::TimedOut);
        };
        let sender = EndId { connection: self.id, side };
        for (sequence, segment) in held {
            self.depart(wire, Parcel { sender, sequence, segment });
        }
    }

    /// Keeps a segment that did not get through, to send it again.
    pub(super) fn hold(&mut self, wire: &mut Wire, parcel: Parcel) {
        let side = parcel.sender.side;
        let (here, there) = (self.end(side).host, self.end(side.other()).host);
        let round_trip = wire.round_trip(here, there);
        let end = self.end_mut(side);
        let first_pause = match end.state {
            EndState::Failed(_) => return,
            EndState::Vanished if parcel.segment != Segment::Reset => return,
            EndState::Opening => SYN_PAUSE + round_trip,
            _ => PAUSE + round_trip,
        };
        if let Some(pause) = end.lane.hold(parcel.sequence, parcel.segment, first_pause) {
            wire.post(wire.now + pause, Event::Retransmission(Retransmission(parcel.sender)));
        }
    }

    /// Whether a parcel that got to its host is taken there: the host is up and nothing before it is missing.
    pub(super) fn can_receive(&self, wire: &Wire, parcel: &Parcel) -> bool {
        let side = parcel.sender.side;
        wire.hosts.is_up(self.end(side.other()).host) && !self.end(side).lane.must_hold(parcel.sequence)
    }

    /// Takes a parcel for one end.
    pub(super) fn receive(&mut self, wire: &mut Wire, parcel: Parcel) {
        self.end_mut(parcel.sender.side).lane.progress();
        let side = parcel.sender.side.other();
        let end = self.end_mut(side);
        match (end.state, parcel.segment) {
            (EndState::Open, Segment::Data(bytes)) => {
                end.inbound.push(bytes);
                wire.wake(&mut end.inbound.reader);
            }
            (EndState::Open, Segment::Credit(bytes)) => {
                end.outbound.credit += bytes;
                wire.wake(&mut end.outbound.writer);
            }
            (EndState::Open, Segment::Fin) => {
                end.inbound.ended = true;
                wire.wake(&mut end.inbound.reader);
            }
            (EndState::Opening, Segment::SynAck) => {
                end.state = EndState::Open;
                wire.wake(&mut end.inbound.reader);
            }
            (EndState::Opening, Segment::Reset) => end.fail(wire, io::ErrorKind::ConnectionRefused),
            (EndState::Open, Segment::Reset) => end.fail(wire, io::ErrorKind::ConnectionReset),
            (_, Segment::Reset) => {}
            (EndState::Vanished, _) | (EndState::Closed, Segment::Data(_) | Segment::SynAck) => {
                self.transmit(wire, side, Segment::Reset);
            }
            _ => {}
        }
    }

    fn depart(&mut self, wire: &mut Wire, parcel: Parcel) {
        let side = parcel.sender.side;
        if self.end(side).lane.must_hold(parcel.sequence) {
            return self.hold(wire, parcel);
        }
        let bytes = SEGMENT_HEADER_BYTES + parcel.segment.bytes();
        match wire.cross(self.end(side).host, self.end(side.other()).host, bytes) {
            Some(passage) => {
                let arrives = wire.now + passage.late;
                let arrives = self.end_mut(side).lane.in_order(arrives);
                wire.post(arrives, Event::Parcel(parcel));
            }
            None => self.hold(wire, parcel),
        }
    }

    fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

/// The first bytes of the slices, at most so many.
fn gather(slices: &[IoSlice<'_>], bytes_max: usize) -> Bytes {
    let mut gathered = BytesMut::new();
    for slice in slices {
        let bytes = slice.len().min(bytes_max - gathered.len());
        gathered.extend_from_slice(&slice[..bytes]);
    }
    gathered.freeze()
}

/// IPv4 and TCP headers.
const SEGMENT_HEADER_BYTES: usize = 40;
/// Bytes that travel, and get lost, together.
const SEGMENT_BYTES_MAX: usize = 64 * 1024;
/// Before something is sent again for the first time, beside a round trip; as on Linux.
const PAUSE: Duration = Duration::from_millis(200);
/// Before the first packet of a connection is sent again for the first time; as on Linux.
const SYN_PAUSE: Duration = Duration::from_secs(1);
