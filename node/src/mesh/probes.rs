//! Probes as they cross a control tunnel: sent when they are due, heard, answered, and what follows from them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use graticule_gossip_core::NodeName;
use graticule_node_core::Moment;
use graticule_node_core::framing::{ExceptionsDecoder, Probe, StreamKind};
use graticule_node_core::mesh::{Exceptions, PROBE_INTERVAL_MAX, PeerId, ProbedTunnel, Probing};
use quinn::Connection;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::streams::{exchange, only};
use super::{Link, Mesh, Role};
use crate::body::BodyError;
use crate::task;

/// What all tunnels between this node and one peer share.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) probing: RefCell<Probing>,
    /// Under which number the peer is followed, if it is.
    pub(super) peer: Cell<Option<PeerId>>,
    /// Whether its exceptions are being asked for.
    asking: Cell<bool>,
    /// Woken when a tunnel has ended, because another may be the one to use now.
    turned: Notify,
}

impl Pair {
    /// Nothing was said yet between `own` and `peer`.
    pub(super) fn new(own: &NodeName, peer: &NodeName) -> Self {
        let probing = RefCell::new(Probing::new(own, peer));
        Self { probing, peer: Cell::new(None), asking: Cell::new(false), turned: Notify::new() }
    }

    /// A new tunnel; if it is kept, the peer is followed.
    pub(super) fn tunnel(&self, role: Role) -> ProbedTunnel {
        let Role::Kept(peer) = role else { return self.probing.borrow_mut().tunnel(false) };
        self.peer.set(Some(peer));
        self.probing.borrow_mut().tunnel(true)
    }

    /// A tunnel has ended.
    pub(super) fn ended(&self, link: &Link) {
        self.probing.borrow_mut().ended(&link.probed.borrow());
        if link.role == self.peer.get().map_or(Role::Seed, Role::Kept) {
            self.peer.set(None);
        }
        self.turned.notify_waiters();
    }
}

impl Mesh {
    /// Sends, hears and answers probes on a tunnel until it ends.
    pub(super) async fn serve_probes(self: &Rc<Self>, link: &Rc<Link>) {
        let mut news = self.tracking.news();
        loop {
            let turned = link.pair.turned.notified();
            let (due, now) = (self.due(link), self.world.clock.now());
            tokio::select! {
                biased;
                () = until(due, now) => {
                    // What was heard on another tunnel meanwhile may have put it off.
                    if self.due(link) == due {
                        self.send_probe(link, false);
                    }
                }
                datagram = link.connection.read_datagram() => match datagram {
                    Ok(datagram) => self.hear(link, datagram),
                    Err(_) => return,
                },
                Ok(()) = news.changed() => {
                    let (interval, now) = (self.interval(link), self.world.clock.now());
                    link.pair.probing.borrow().news(&mut link.probed.borrow_mut(), interval, now);
                }
                () = turned => {}
            }
        }
    }

    fn due(&self, link: &Link) -> Option<Moment> {
        link.pair.probing.borrow().due(&link.probed.borrow(), self.interval(link))
    }

    fn interval(&self, link: &Link) -> Duration {
        let followed = link.pair.peer.get().and_then(|peer| self.tracking.probe_interval(peer));
        followed.unwrap_or(PROBE_INTERVAL_MAX)
    }

    fn send_probe(&self, link: &Link, at_once: bool) {
        let (peer, now, report) = (link.pair.peer.get(), self.world.clock.now(), self.tracking.report());
        let (mut probing, mut tunnel) = (link.pair.probing.borrow_mut(), link.probed.borrow_mut());
        let probe = probing.next(&mut tunnel, (at_once, peer.is_some()), report, now);
        let probe = Probe { deaf: peer.is_some_and(|peer| self.tracking.is_silent(peer)), ..probe };
        if let Some(peer) = peer {
            self.tracking.probe_sent(peer, probe.seq);
        }
        // A tunnel that takes none ends, or its peer is soon suspect: nothing to do here.
        if let Ok(datagram) = probe.encode() {
            let _ = link.connection.send_datagram(datagram);
        }
    }

    fn hear(self: &Rc<Self>, link: &Rc<Link>, datagram: Bytes) {
        let probe = match Probe::decode(datagram) {
            Ok(probe) => probe,
            Err(error) => return tracing::debug!(node = %link.peer.node, %error, "a datagram is no probe"),
        };
        let now = self.world.clock.now();
        let answers = {
            let (mut probing, mut tunnel) = (link.pair.probing.borrow_mut(), link.probed.borrow_mut());
            if !probing.admits(&mut tunnel, &probe, now) {
                return;
            }
            probing.heard(&mut tunnel, &probe, now)
        };
        // First, so that the answer does not complain of a silence that is over.
        if let Some(peer) = link.pair.peer.get() {
            self.tracking.heard(peer, &probe);
        }
        if answers {
            self.send_probe(link, true);
        }
        let Some(peer) = link.pair.peer.get() else { return };
        if self.tracking.wants_exceptions(peer) && !link.pair.asking.replace(true) {
            task::spawn_detached("exceptions", Rc::clone(self).ask_for_exceptions(peer, Rc::clone(link)));
        }
    }

    async fn ask_for_exceptions(self: Rc<Self>, peer: PeerId, link: Rc<Link>) {
        match exceptions(&link.connection).await {
            Ok(exceptions) => self.tracking.set_exceptions(peer, exceptions),
            Err(error) => {
                tracing::debug!(node = %link.peer.node, %error, "cannot learn a peer's exceptions");
            }
        }
        if self.tracking.wants_exceptions(peer) {
            // A later probe makes this node ask again, but not without pause.
            sleep(ASK_INTERVAL).await;
        }
        link.pair.asking.set(false);
    }
}

async fn exceptions(connection: &Connection) -> Result<Exceptions, BodyError> {
    let bytes = exchange(connection, StreamKind::Exceptions, &[], EXCEPTIONS_BYTES_MAX).await?;
    only(ExceptionsDecoder::new(), bytes)
}

/// Waits until `due`, or for ever.
async fn until(due: Option<Moment>, now: Moment) {
    match due {
        Some(due) => sleep(due.since(now)).await,
        None => std::future::pending().await,
    }
}

/// Between two questions of which the first has not helped.
const ASK_INTERVAL: Duration = Duration::from_millis(250);
/// As many exceptions as there can be.
const EXCEPTIONS_BYTES_MAX: usize = 64 * 1024;
