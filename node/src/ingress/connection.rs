//! One client's connection from its first byte to its last.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use graticule_node_core::Reason;
use graticule_node_core::frame_meter::Flood;
use http::{Method, Request};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::answering::{Answering, Upgrade};
use super::closing::Closing;
use super::limits::{Deadlines, IngressLimits};
use super::parting::{PARTING_TIMEOUT, Parting};
use super::stream::{ClientStream, Opening, Version, sniff};
use super::watching::{Phase, Watch};
use super::{Accepted, Client, Handler};
use super::{announced, handshake};
use crate::shared::Rejection;
use crate::task;
use crate::ticker::Ticker;
use crate::world::{Arrival, Stream, Taking};

/// Serves the connections of one worker.
pub(super) struct Server<H> {
    limits: IngressLimits,
    deadlines: Deadlines,
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
    handler: Rc<H>,
    ticker: Ticker,
    closing: Closing,
}

/// Runs each stream of an HTTP/2 connection as a task of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        // Boxed: the runtime moves what it is given several times.
        task::spawn_detached("client stream", Box::pin(stream));
    }
}

impl<H: Handler> Server<H> {
    pub(super) fn new(limits: IngressLimits, handler: Rc<H>, closing: Closing) -> Self {
        let (deadlines, http1, http2) = (limits.deadlines(), limits.http1(), limits.http2());
        Self { limits, deadlines, http1, http2, handler, ticker: Ticker::default(), closing }
    }

    /// Serves one connection to its end. A client that is gone is cut off with its requests at once, while nobody reads what
    /// it has sent, too.
    pub(super) async fn serve(self: Rc<Self>, accepted: Accepted) {
        let Accepted { arrival: Arrival { stream, peer, reset }, is_announced, tls } = accepted;
        let (holder, gone) = oneshot::channel::<()>();
        // In a task of its own: with the connection's it would be polled, and take a lock, at every step of every request.
        let _watching = task::spawn("client reset", async move {
            reset.await;
            drop(holder);
        });
        let serving = pin!(self.serve_stream(stream, peer, (is_announced, tls)));
        tokio::select! {
            biased;
            () = serving => {}
            _ = gone => tracing::debug!(%peer, "a client connection was reset"),
        }
    }

    async fn serve_stream(
        self: Rc<Self>,
        mut stream: Stream,
        peer: SocketAddr,
        (is_announced, tls): (bool, Option<Arc<ServerConfig>>),
    ) {
        let watch = Watch::new(&self.ticker, self.deadlines, self.closing.clone());
        let mut client = Client { address: peer.ip(), secured: None, early: None };
        if is_announced {
            watch.hear();
            match self.in_time(&watch, announced::read(&mut stream)).await {
                Some(Ok(address)) => client.address = address.unwrap_or(client.address),
                Some(Err(error)) => {
                    self.reject(announced::rejection(&error));
                    return tracing::debug!(%error, "a load balancer's connection was closed");
                }
                None => return self.reject_late(Rejection::ProxyTimeout),
            }
        }
        if let Some(tls) = tls {
            watch.shake_hands();
            let shaken = match self.in_time(&watch, Box::pin(handshake::make(stream, tls))).await {
                Some(Ok(shaken)) => shaken,
                Some(Err(error)) => return self.reject(handshake::rejection(&error)),
                None => return self.reject_late(Rejection::TlsTimeout),
            };
            client.secured = Some(Rc::new(shaken.secured));
            stream = shaken.stream;
            if shaken.is_http2 {
                let opening = Opening::default();
                return Box::pin(self.serve_2((opening, stream), watch, client)).await;
            }
        }
        watch.sniff();
        match self.in_time(&watch, sniff(&mut stream)).await {
            // Boxed, each for itself: an HTTP/1 connection is not to be as large as one of HTTP/2.
            Some(Ok((Version::Http2, opening))) if client.secured.is_none() => {
                Box::pin(self.serve_2((opening, stream), watch, client)).await;
            }
            // Under TLS both have not agreed on HTTP/2, and so it is not spoken: what begins with its preface breaks the rules.
            Some(Ok((Version::Http1 | Version::Http2, opening))) => {
                Box::pin(self.serve_1((opening, stream), watch, client)).await;
            }
            Some(Ok((Version::Neither, _))) => {
                self.reject(Some(Rejection::NotHttp));
                part(stream, b"").await;
            }
            Some(Err(error)) => tracing::debug!(%error, "a client connection ended before its first request"),
            None => self.reject_late(Rejection::FirstBytesTimeout),
        }
    }

    fn reject(&self, rejection: Option<Rejection>) {
        if let Some(rejection) = rejection {
            self.handler.rejected(rejection);
        }
    }

    /// Whoever is late because the node closes has done nothing wrong.
    fn reject_late(&self, rejection: Rejection) {
        self.reject((!self.closing.has_begun()).then_some(rejection));
    }

    /// What comes before the first request, unless the client takes too long or the node closes.
    async fn in_time<T>(&self, watch: &Watch, opening: impl Future<Output = T>) -> Option<T> {
        let mut opening = pin!(opening);
        tokio::select! {
            biased;
            opened = &mut opening => Some(opened),
            () = self.closing.begun() => timeout(LAST_REQUEST_GRACE, opening).await.ok(),
            _ = watch.expired() => None,
        }
    }

    async fn serve_1(self: Rc<Self>, stream: (Opening, Stream), watch: Rc<Watch>, mut client: Client) {
        watch.open(true);
        let stream = ClientStream::new(self.taking(stream), Rc::clone(&watch), None);
        client.early = Some(watch.early().clone());
        let service = service_fn(|request| self.answer(request, &watch, &client));
        let mut connection = self.http1.serve_connection(TokioIo::new(stream), service);
        let ended = tokio::select! {
            biased;
            ended = &mut connection => ended,
            () = self.closing.begun() => {
                last(Pin::new(&mut connection), http1::Connection::graceful_shutdown).await
            }
            phase = watch.expired() => {
                let stream = connection.into_parts().io.into_inner();
                let is_late = phase == Phase::Head;
                if is_late {
                    self.handler.refused(http::Version::HTTP_11, Reason::RequestTimeout);
                }
                return part(stream, if is_late { REQUEST_TIMEOUT } else { b"" }).await;
            }
        };
        let takeover = watch.take_over().filter(|_| ended.is_ok());
        if let Err(error) = ended {
            if let Some(reason) = unread(&error) {
                self.handler.refused(http::Version::HTTP_11, reason);
            }
            tracing::debug!(%error, "client connection ended");
        }
        let http1::Parts { io, read_buf, .. } = connection.into_parts();
        let Some(takeover) = takeover else { return Box::pin(linger(io.into_inner())).await };
        let _activity = watch.begin();
        Box::pin(takeover.carry(io.into_inner(), read_buf, self.limits.client.upgrade_timeout)).await;
    }

    async fn serve_2(self: Rc<Self>, stream: (Opening, Stream), watch: Rc<Watch>, client: Client) {
        watch.open(false);
        let frames = self.limits.http2.frames;
        let stream = ClientStream::new(self.taking(stream), Rc::clone(&watch), Some(frames));
        let service = service_fn(|request| self.answer(request, &watch, &client));
        let mut connection = pin!(self.http2.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = self.closing.begun() => {
                let end = |connection: Pin<&mut http2::Connection<_, _, _>>| {
                    watch.say_farewell();
                    connection.graceful_shutdown();
                };
                last(connection, end).await
            }
            _ = watch.expired() => {
                watch.say_farewell();
                connection.as_mut().graceful_shutdown();
                // A request that crosses the farewell is answered; a client that does not listen is not waited for.
                tokio::select! {
                    biased;
                    ended = connection => ended,
                    _ = watch.expired() => return,
                }
            }
        };
        if let Err(error) = ended {
            let flood = watch.flood().or(is_too_much(&error).then_some(Flood::Library));
            if let Some(flood) = flood {
                self.handler.flooded(flood);
            }
            tracing::debug!(%error, flood = flood.map(tracing::field::display), "client connection ended");
        }
    }

    /// With a limit to how long the client may take nothing.
    fn taking(&self, (opening, stream): (Opening, Stream)) -> (Opening, Taking) {
        (opening, Taking::new(stream, self.limits.client.body_timeout))
    }

    fn answer(
        &self,
        mut request: Request<Incoming>,
        watch: &Rc<Watch>,
        client: &Client,
    ) -> Answering<impl Future<Output = super::Answered> + use<H>> {
        let (activity, version) = (watch.begin(), request.version());
        let upgrade = (*request.method() == Method::CONNECT).then(|| hyper::upgrade::on(&mut request));
        // The library counts the headers of HTTP/1 alone.
        let fits = request.headers().len() <= self.limits.client.headers_max as usize;
        if !fits {
            self.handler.refused(version, Reason::HeadersTooLarge);
        }
        let answer = fits.then(|| Rc::clone(&self.handler).handle(request, client));
        let upgrade = upgrade.map(|stream| Upgrade { stream, rest_max: self.limits.client.upgrade_timeout });
        Answering::new(answer, activity, version, upgrade)
    }
}

/// Whether the library has hung up on a client of HTTP/2 because that made it remember too much.
fn is_too_much(error: &hyper::Error) -> bool {
    let error = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    error.is_some_and(|error| error.is_library() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM))
}

/// Why the library has refused the head of a request by itself, if that is how a connection of HTTP/1 has ended.
fn unread(error: &hyper::Error) -> Option<Reason> {
    match (error.is_parse_too_large(), error.is_parse()) {
        (true, _) => Some(Reason::HeadersTooLarge),
        (false, true) => Some(Reason::BadRequest),
        (false, false) => None,
    }
}

/// The last of a connection whose node closes: a request may be on its way already; it is answered, and is told that it is
/// the last.
async fn last<C: Future>(mut connection: Pin<&mut C>, end: impl FnOnce(Pin<&mut C>)) -> C::Output {
    if let Ok(ended) = timeout(LAST_REQUEST_GRACE, connection.as_mut()).await {
        return ended;
    }
    // Ends the connection if it is idle, and after its answers if not.
    end(connection.as_mut());
    connection.await
}

/// Says a last word and closes. A connection that is closed with bytes unread is reset, which can overtake what was said;
/// so the client has a moment to see it.
async fn part(mut stream: impl AsyncRead + AsyncWrite + Unpin, word: &[u8]) {
    let parting = async {
        stream.write_all(word).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(PARTING_BYTES_MAX), &mut tokio::io::sink()).await
    };
    // It may not listen any more.
    let _ = timeout(PARTING_TIMEOUT, parting).await;
}

/// Lets a client that still sends read its answer.
async fn linger(mut stream: impl AsyncRead + Unpin) {
    let mut parting = Parting::default();
    poll_fn(|cx| parting.poll(&mut stream, cx)).await;
}

const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const PARTING_BYTES_MAX: u64 = 64 * 1024;
/// How long a connection may still bring a request when its node closes.
const LAST_REQUEST_GRACE: Duration = Duration::from_millis(250);
