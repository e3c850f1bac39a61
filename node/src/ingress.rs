//! Where clients come in: accepts connections and reads HTTP/1.1 requests, within limits.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use graticule_node_core::shared::InFlight;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use crate::body::ResponseBody;
use crate::shared::Phase;
use crate::task;
use crate::world::{Listener, Stream, Taking};

mod closing;

use closing::Closing;

/// Limits of one worker's client side.
#[derive(Debug, Clone, Copy)]
pub struct IngressLimits {
    /// Connections open at once; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// Bytes of a request's line and headers.
    pub head_bytes_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
    /// From the first wait for a request, or the last answer, to the end of the next request's headers.
    pub head_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub body_timeout: Duration,
}

/// Answers requests; the rest of the node, as the ingress sees it.
pub trait Handler: 'static {
    /// Answers one request from the TCP peer `peer`. Dropped when the client goes away.
    fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>>;
}

/// Accepts and serves connections until `phase` says that the node closes; serves those that it has to their ends, which
/// outlive this future. `open` counts them, and the listener for as long as it accepts.
pub async fn run<H: Handler>(
    listener: Box<dyn Listener>,
    limits: IngressLimits,
    handler: Rc<H>,
    (open, mut phase): (InFlight, watch::Receiver<Phase>),
) {
    let listening = open.try_enter(u32::MAX);
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let server = Rc::new(server(limits));
    let body_timeout = limits.body_timeout;
    let door = Door { listener, slots, server, handler, open, body_timeout, closing: Closing::default() };
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

/// Where connections come in.
struct Door<H> {
    listener: Box<dyn Listener>,
    slots: Arc<Semaphore>,
    server: Rc<http1::Builder>,
    handler: Rc<H>,
    open: InFlight,
    body_timeout: Duration,
    closing: Closing,
}

impl<H: Handler> Door<H> {
    /// Accepts without end.
    async fn accept(&self) {
        // The semaphore lives as long as this loop and is never closed.
        while let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await {
            match poll_fn(|cx| self.listener.poll_accept(cx)).await {
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
                let accepted = poll_fn(|cx| Poll::Ready(self.listener.poll_accept(cx))).await;
                let Poll::Ready(Ok(accepted)) = accepted else { break };
                self.serve(accepted, slot);
            }
        }
    }

    fn serve(&self, (stream, peer): (Stream, SocketAddr), slot: OwnedSemaphorePermit) {
        let counted = self.open.try_enter(u32::MAX);
        let stream = Taking::new(stream, self.body_timeout);
        let (server, handler, closing) =
            (Rc::clone(&self.server), Rc::clone(&self.handler), self.closing.clone());
        task::spawn_detached("client connection", async move {
            serve(&server, handler, closing, (stream, peer)).await;
            drop((slot, counted));
        });
    }
}

fn server(limits: IngressLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_bytes_max.max(HYPER_BUFFER_BYTES_MIN))
        .max_headers(limits.headers_max);
    builder
}

async fn serve<H: Handler>(
    server: &http1::Builder,
    handler: Rc<H>,
    closing: Closing,
    (stream, peer): (Taking, SocketAddr),
) {
    let begun = closing.begun();
    let service =
        service_fn(move |request| closing.answering(Rc::clone(&handler).handle(request, peer.ip())));
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = begun => {
            // A request may be on its way already: it is answered, and the answer says that it is the last.
            if let Ok(ended) = timeout(LAST_REQUEST_GRACE, connection.as_mut()).await {
                ended
            } else {
                // Ends the connection if it is idle, and after its answer if not. The one place for HTTP/2's GOAWAY.
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "client connection ended");
    }
}

/// How long a connection may still bring a request when its node closes.
const LAST_REQUEST_GRACE: Duration = Duration::from_millis(250);
/// How often a closing node looks for connections that wait to be accepted.
const QUEUE_LOOKS: usize = 3;
const QUEUE_LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// After a failed accept, which is most often a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The library takes no smaller buffer.
const HYPER_BUFFER_BYTES_MIN: usize = 8_192;

#[cfg(test)]
mod tests;
