//! Where clients come in: accepts connections and reads HTTP/1.1 requests, within limits.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

use crate::body::ResponseBody;
use crate::task;
use crate::world::{Listener, Taking};

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

/// Accepts and serves connections until the listener fails or the future is dropped.
pub async fn run<H: Handler>(listener: Box<dyn Listener>, limits: IngressLimits, handler: Rc<H>) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let server = Rc::new(server(limits));
    loop {
        // The semaphore lives as long as this loop and is never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match poll_fn(|cx| listener.poll_accept(cx)).await {
            Ok((stream, peer)) => {
                let (server, handler) = (Rc::clone(&server), Rc::clone(&handler));
                let stream = Taking::new(stream, limits.body_timeout);
                task::spawn_detached("client connection", async move {
                    serve(&server, handler, stream, peer).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
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

async fn serve<H: Handler>(server: &http1::Builder, handler: Rc<H>, stream: Taking, peer: SocketAddr) {
    let service = service_fn(move |request| Rc::clone(&handler).handle(request, peer.ip()));
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "client connection ended");
    }
}

/// After a failed accept, which is most often a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The library takes no smaller buffer.
const HYPER_BUFFER_BYTES_MIN: usize = 8_192;

#[cfg(test)]
mod tests;
