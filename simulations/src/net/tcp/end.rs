//! What one end of a connection knows: its state, what it may still send, and what it has received.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::Waker;

use bytes::{Buf, Bytes};
use tokio::io::ReadBuf;

use super::lane::Lane;
use crate::network::{HostId, Wire};

/// One end.
#[derive(Debug)]
pub(super) struct End {
    pub(super) host: HostId,
    pub(super) address: SocketAddr,
    pub(super) state: EndState,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    pub(super) lane: Lane,
    /// Who wants to know that it has broken, beside those who read and write.
    pub(super) watcher: Option<Waker>,
}

/// How far an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndState {
    /// The client waits for an answer, or the server has not been asked yet.
    Opening,
    /// Bytes may go both ways.
    Open,
    /// It broke; its holder does not know yet, or has been told so.
    Failed(io::ErrorKind),
    /// Nobody holds it any longer.
    Closed,
    /// Its host crashed.
    Vanished,
}

/// What was received and not read yet.
#[derive(Debug)]
pub(super) struct Inbound {
    chunks: VecDeque<Bytes>,
    /// Whether the other end said that no more will come.
    pub(super) ended: bool,
    unreturned: usize,
    return_at: usize,
    pub(super) reader: Option<Waker>,
}

/// What may still be sent.
#[derive(Debug)]
pub(super) struct Outbound {
    /// Bytes the other end has room for.
    pub(super) credit: usize,
    /// Whether this end said that no more will come.
    pub(super) ended: bool,
    pub(super) writer: Option<Waker>,
}

impl End {
    /// An end that is opening, with a window of so many bytes in each direction.
    pub(super) fn new(host: HostId, address: SocketAddr, window_bytes: usize) -> Self {
        Self {
            host,
            address,
            state: EndState::Opening,
            inbound: Inbound::new(window_bytes),
            outbound: Outbound { credit: window_bytes, ended: false, writer: None },
            lane: Lane::default(),
            watcher: None,
        }
    }

    /// Whether nobody will ever use it again.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, EndState::Closed | EndState::Vanished)
    }

    /// It breaks, and whoever waits is told.
    pub(super) fn fail(&mut self, wire: &mut Wire, kind: io::ErrorKind) {
        self.state = EndState::Failed(kind);
        self.forget();
        wire.wake(&mut self.inbound.reader);
        wire.wake(&mut self.outbound.writer);
        wire.wake(&mut self.watcher);
    }

    /// It vanishes with its host, and nobody is told.
    pub(super) fn vanish(&mut self) {
        self.state = EndState::Vanished;
        self.forget();
    }

    fn forget(&mut self) {
        self.inbound.clear();
        self.lane.clear();
    }
}

impl Inbound {
    fn new(window_bytes: usize) -> Self {
        let return_at = (window_bytes / 2).max(1);
        Self { chunks: VecDeque::new(), ended: false, unreturned: 0, return_at, reader: None }
    }

    /// Whether there is something to read.
    pub(super) fn has_bytes(&self) -> bool {
        !self.chunks.is_empty()
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.chunks.push_back(bytes);
    }

    /// Fills `buffer` as far as possible.
    pub(super) fn read(&mut self, buffer: &mut ReadBuf<'_>) {
        while let Some(chunk) = self.chunks.front_mut().filter(|_| buffer.remaining() > 0) {
            let bytes = chunk.len().min(buffer.remaining());
            buffer.put_slice(&chunk[..bytes]);
            chunk.advance(bytes);
            self.unreturned += bytes;
            if !chunk.has_remaining() {
                self.chunks.pop_front();
            }
        }
    }

    /// The room to tell the other end of: half a window or more, so that a slow reader does not answer every read.
    pub(super) fn take_credit(&mut self) -> Option<usize> {
        (self.unreturned >= self.return_at).then(|| std::mem::take(&mut self.unreturned))
    }

    /// Forgets what was not read.
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_read_is_what_came_and_the_room_for_it_is_given_back(
            window in 1usize..200,
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..20),
            size in 1usize..40,
        ) {
            let mut inbound = Inbound::new(window);
            let (mut read, mut returned) = (Vec::new(), 0);
            for chunk in &chunks {
                inbound.push(Bytes::copy_from_slice(chunk));
                let mut piece = vec![0; size];
                let mut buffer = ReadBuf::new(&mut piece);
                inbound.read(&mut buffer);
                read.extend_from_slice(buffer.filled());
                returned += inbound.take_credit().unwrap_or(0);
                prop_assert!(returned <= read.len());
                prop_assert!(read.len() - returned <= window / 2, "half a window at most is kept back");
            }
            prop_assert_eq!(&chunks.concat()[..read.len()], &read[..]);
            prop_assert_eq!(inbound.has_bytes(), read.len() < chunks.concat().len());
        }
    }
}
