//! One connection to a backend as one request has it: how it is opened, used and closed.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;

use super::http2::Lane;
use super::request_body::RequestBody;
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
#[derive(Debug)]
pub(super) struct Http1 {
    sender: SendRequest<RequestBody>,
    _driver: Task,
}

impl Http1 {
    /// HTTP/1.1 over `stream`.
    pub(super) async fn over(stream: Stream, address: SocketAddr) -> io::Result<Self> {
        let handshake =
            Builder::new().max_header_size(RESPONSE_HEAD_BYTES_MAX).handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        let driver = task::spawn("backend connection", async move {
            if let Err(error) = connection.await {
                tracing::debug!(%address, %error, "a backend connection ended");
            }
        });
        Ok(Self { sender, _driver: driver })
    }

    /// Sends one request. The error has the request if no byte of it was written.
    pub(super) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<> {
        self.sender.try_send_request(request)
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
