//! What is a client's connection waiting for, and since when?

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use graticule_node_core::frame_meter::Flood;

use super::closing::Closing;
use super::early::EarlyWriter;
use super::limits::Deadlines;
use super::takeover::Takeover;
use crate::ticker::{Alarm, Ticker};

/// One connection as its deadlines see it.
pub(super) struct Watch {
    alarm: Alarm,
    deadlines: Deadlines,
    closing: Closing,
    /// Whether a head comes after the first byte, and nothing else: in HTTP/2 bytes say nothing by themselves.
    heads: Cell<bool>,
    phase: Cell<Phase>,
    requests: Cell<u32>,
    early: EarlyWriter,
    /// What its client has sent too much of.
    flood: Cell<Option<Flood>>,
    /// Whether the client of HTTP/2 is told to go, for no fault of its own.
    farewell: Cell<bool>,
    /// What an upgraded connection is joined to, until it is.
    takeover: Cell<Option<Takeover>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// For the first bytes.
    Opening,
    /// For a request, or for the client to take the rest of an answer.
    Idle,
    /// For the rest of a head.
    Head,
    /// For an answer.
    Busy,
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Activity(Rc<Watch>);

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl Watch {
    /// A connection that was just accepted.
    pub(super) fn new(ticker: &Ticker, deadlines: Deadlines, closing: Closing) -> Rc<Self> {
        let alarm = ticker.alarm();
        let (heads, phase) = (Cell::new(false), Cell::new(Phase::Opening));
        let (requests, takeover, early) = (Cell::new(0), Cell::new(None), EarlyWriter::default());
        let (flood, farewell) = (Cell::default(), Cell::new(false));
        Rc::new(Self { alarm, deadlines, closing, heads, phase, requests, early, flood, farewell, takeover })
    }

    /// A PROXY header is waited for.
    pub(super) fn hear(&self) {
        self.alarm.set(self.deadlines.proxy);
    }

    /// A TLS handshake begins.
    pub(super) fn shake_hands(&self) {
        self.alarm.set(self.deadlines.handshake);
    }

    /// The first bytes are waited for.
    pub(super) fn sniff(&self) {
        self.alarm.set(self.deadlines.sniff);
    }

    /// The version is known: requests may come. HTTP/1 has `heads`.
    pub(super) fn open(&self, heads: bool) {
        self.heads.set(heads);
        self.rest();
    }

    /// Ends when the client has taken too long for what its connection waits for. From then on it has as long as one that
    /// is idle.
    pub(super) async fn expired(&self) -> Phase {
        self.alarm.due().await;
        self.alarm.set(self.deadlines.idle);
        self.phase.get()
    }

    /// Some bytes have come.
    pub(super) fn has_read(&self) {
        if self.phase.get() == Phase::Idle && self.heads.get() {
            self.phase.set(Phase::Head);
            self.alarm.set(self.deadlines.head);
        }
    }

    /// Some bytes have gone: a client that takes the last of an answer slowly is not idle.
    pub(super) fn has_written(&self) {
        if self.phase.get() == Phase::Idle {
            self.alarm.set(self.deadlines.idle);
        }
    }

    /// A request has come.
    pub(super) fn begin(self: &Rc<Self>) -> Activity {
        self.requests.set(self.requests.get() + 1);
        self.phase.set(Phase::Busy);
        self.alarm.clear();
        Activity(Rc::clone(self))
    }

    /// The client has sent too much of something, and is hung up on.
    pub(super) fn cut_off(&self, flood: Flood) {
        self.flood.set(Some(flood));
    }

    /// What the client has sent too much of.
    pub(super) fn flood(&self) -> Option<Flood> {
        self.flood.get()
    }

    /// The client is told to go.
    pub(super) fn say_farewell(&self) {
        self.farewell.set(true);
    }

    /// Whether it is.
    pub(super) fn has_said_farewell(&self) -> bool {
        self.farewell.get()
    }

    /// What is to be said to the client before its answer.
    pub(super) fn early(&self) -> &EarlyWriter {
        &self.early
    }

    /// The connection is to be upgraded once HTTP has ended on it.
    pub(super) fn set_takeover(&self, takeover: Takeover) {
        self.takeover.set(Some(takeover));
    }

    /// What it is to be joined to then, if it is to be upgraded.
    pub(super) fn take_over(&self) -> Option<Takeover> {
        self.takeover.take()
    }

    /// The seconds of a coarse clock.
    pub(super) fn second(&self) -> u32 {
        self.alarm.second()
    }

    fn rest(&self) {
        self.phase.set(Phase::Idle);
        self.alarm.set(self.deadlines.idle);
    }
}

impl Activity {
    /// The connection.
    pub(super) fn watch(&self) -> &Watch {
        &self.0
    }

    /// Whether the node closes, so that this is the connection's last request.
    pub(super) fn is_last(&self) -> bool {
        self.0.closing.has_begun()
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        let requests = self.0.requests.get() - 1;
        self.0.requests.set(requests);
        if requests == 0 {
            self.0.rest();
        }
    }
}
