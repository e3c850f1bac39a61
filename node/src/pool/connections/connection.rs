//! One connection to a backend as one request has it: how it is opened, used and closed.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use http::{HeaderValue, Method, Request, Response, header};
use hyper::body::{Body, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use super::http2::Lane;
use super::request_body::RequestBody;
use super::upgraded::Remains;
use crate::task::{self, Task};
use crate::world::Stream;

/// An open connection, or a place on a shared one.
#[derive(Debug)]
pub(super) enum Connection {
    /// HTTP/1.1: one request at a time.
    Http1(Http1),
    /// HTTP/2.
    Http2(Lane),
}

/// An open HTTP/1.1 connection. Dropping it closes it at once, whatever it is doing.
pub(super) struct Http1 {
    sender: SendRequest<RequestBody>,
    heir: Heir,
    _driver: Task,
}

/// Who gets what is left of the connection when HTTP has ended on it, if anybody wants it.
type Heir = Rc<Cell<Option<oneshot::Sender<Remains>>>>;

impl Http1 {
    /// HTTP/1.1 over `stream`.
    pub(super) async fn over(stream: Stream, address: SocketAddr) -> io::Result<Self> {
        // It takes 100 headers: with room for more it would allocate for every answer.
        let handshake =
            Builder::new().max_header_size(RESPONSE_HEAD_BYTES_MAX).handshake(TokioIo::new(stream));
        let (sender, mut connection) = handshake.await.map_err(io::Error::other)?;
        let heir = Heir::default();
        let heirs = Rc::clone(&heir);
        let driver = task::spawn("backend connection", async move {
            if let Err(error) = (&mut connection).await {
                tracing::debug!(%address, %error, "a backend connection ended");
            } else if let Some(heir) = heirs.take() {
                // Who does not wait any more has got another answer than an upgrade.
                drop(heir.send(connection.into_parts()));
            }
        });
        Ok(Self { sender, heir, _driver: driver })
    }

    /// What is left of the connection after 101. To be asked for before the request is sent that may lead to it.
    pub(super) fn remains(&self) -> oneshot::Receiver<Remains> {
        let (heir, remains) = oneshot::channel();
        self.heir.set(Some(heir));
        remains
    }

    /// Sends one request. The error has the request if no byte of it was written.
    pub(super) fn send(
        &mut self,
        mut request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<> {
        // The library drops bodies of unknown length of methods that seldom have one, unless it is told.
        let is_seldom = matches!(*request.method(), Method::GET | Method::HEAD);
        if is_seldom && !request.body().is_end_stream() && request.body().size_hint().exact().is_none() {
            request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        self.sender.try_send_request(request)
    }
}

impl fmt::Debug for Http1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1").field("sender", &self.sender).finish_non_exhaustive()
    }
}

impl Connection {
    /// Whether it is open and another request can have it for itself. A place on a shared connection is never kept.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.sender.is_ready(),
            Self::Http2(_) => false,
        }
    }
}

/// The head of a response, and its trailers.
const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;
