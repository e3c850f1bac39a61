//! Where clients come in: accepts connections and reads requests of HTTP/1 and HTTP/2, within limits.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use graticule_node_core::Reason;
use graticule_node_core::frame_meter::Flood;
use graticule_node_core::shared::InFlight;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use ipnet::IpNet;
use rustls::ServerConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::body::ResponseBody;
use crate::shared::{Phase, Rejection};
use crate::task;
use crate::world::{Arrival, Listener};

mod announced;
mod answering;
mod closing;
mod connection;
mod early;
mod handshake;
mod limits;
mod parting;
mod stream;
mod takeover;
mod watching;

use closing::Closing;
use connection::Server;
pub use early::EarlyWriter;
pub use limits::IngressLimits;

/// Answers requests; the rest of the node, as the ingress sees it.
pub trait Handler: 'static {
    /// Answers one request. Dropped when the client goes away.
    fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        client: &Client,
    ) -> impl Future<Output = Answered> + use<Self>;

    /// Hears of a request that was answered without it, because its head broke the rules or was over its limits.
    fn refused(&self, version: Version, reason: Reason);

    /// Hears of a client that was cut off because it sent too many frames of a kind.
    fn flooded(&self, flood: Flood);

    /// Hears of a connection that was closed before its first request.
    fn rejected(&self, rejection: Rejection);
}

/// Whoever is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Client {
    /// The TCP peer.
    pub address: IpAddr,
    /// What TLS has found out, if there is TLS.
    pub secured: Option<Rc<Secured>>,
    /// Where informational responses are said, if they can be.
    pub early: Option<EarlyWriter>,
}

/// What the TLS handshake of a connection has found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secured {
    /// The host that the client asked for, in lower case.
    pub server_name: Option<String>,
}

/// One way in: where connections come from, and what TLS is to be made with, if there is to be any.
#[derive(Debug)]
pub struct Entrance {
    /// Where connections are accepted.
    pub listener: Box<dyn Listener>,
    /// Whose connections begin with a PROXY header, before anything else.
    pub announcing: Arc<[IpNet]>,
    /// With it, connections begin with a TLS handshake.
    pub tls: Option<Arc<ServerConfig>>,
}

/// What the HTTP library wants of a service that never fails.
pub type Answered = Result<Response<ResponseBody>, Infallible>;

/// Accepts and serves connections until `phase` says that the node closes; serves those that it has to their ends, which
/// outlive this future. `open` counts them, and the listeners for as long as they accept.
pub async fn run<H: Handler>(
    entrances: Vec<Entrance>,
    limits: IngressLimits,
    handler: Rc<H>,
    (open, mut phase): (InFlight, watch::Receiver<Phase>),
) {
    let listening = open.try_enter(u32::MAX);
    let slots = Arc::new(Semaphore::new(limits.client.connections_max as usize));
    let closing = Closing::default();
    let server = Rc::new(Server::new(limits, handler, closing.clone()));
    let door = Door { entrances, turn: Cell::new(0), slots, server, open, closing };
    tokio::select! {
        biased;
        // An error means that the node is gone, and this with it.
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => {}
        () = door.accept() => {}
    }
    door.closing.begin();
    door.accept_queued().await;
    drop((door, listening));
    // A task that has ended is a sign of trouble.
    std::future::pending::<()>().await;
}

/// A connection that was just accepted.
struct Accepted {
    arrival: Arrival,
    is_announced: bool,
    tls: Option<Arc<ServerConfig>>,
}

/// Where connections come in.
struct Door<H> {
    entrances: Vec<Entrance>,
    /// Which entrance is looked at first; they take turns.
    turn: Cell<usize>,
    slots: Arc<Semaphore>,
    server: Rc<Server<H>>,
    open: InFlight,
    closing: Closing,
}

impl<H: Handler> Door<H> {
    /// Accepts without end.
    async fn accept(&self) {
        // The semaphore lives as long as this loop and is never closed.
        while let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await {
            match poll_fn(|cx| self.poll_accept(cx)).await {
                Ok(accepted) => self.serve(accepted, slot),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Accepts what the kernel has accepted already: closing the listener would reset it.
    async fn accept_queued(&self) {
        for _ in 0..QUEUE_LOOKS {
            // Whether there is more is known only after the runtime has asked the kernel.
            tokio::time::sleep(QUEUE_LOOK_INTERVAL).await;
            while let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await {
                let accepted = poll_fn(|cx| Poll::Ready(self.poll_accept(cx))).await;
                let Poll::Ready(Ok(accepted)) = accepted else { break };
                self.serve(accepted, slot);
            }
        }
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        self.turn.set(self.turn.get().wrapping_add(1));
        let first = self.turn.get() % self.entrances.len().max(1);
        let (after, before) = self.entrances.split_at(first);
        for Entrance { listener, announcing, tls } in before.iter().chain(after) {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                let passed_on_by = |peer: SocketAddr| {
                    let address = peer.ip().to_canonical();
                    announcing.iter().any(|network| network.contains(&address))
                };
                return Poll::Ready(accepted.map(|arrival| {
                    let is_announced = passed_on_by(arrival.peer);
                    Accepted { arrival, is_announced, tls: tls.clone() }
                }));
            }
        }
        Poll::Pending
    }

    fn serve(&self, accepted: Accepted, slot: OwnedSemaphorePermit) {
        let counted = self.open.try_enter(u32::MAX);
        let serving = Box::pin(Rc::clone(&self.server).serve(accepted));
        task::spawn_detached("client connection", async move {
            serving.await;
            drop((slot, counted));
        });
    }
}

/// How often a closing node looks for connections that wait to be accepted.
const QUEUE_LOOKS: usize = 3;
const QUEUE_LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// After a failed accept, which is most often a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
