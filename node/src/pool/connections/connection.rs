//! One HTTP/1 connection to a backend: how it is opened, used and closed.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;

use super::request_body::RequestBody;
use crate::task::{self, Task};
use crate::world::Net;

/// An open connection. Dropping it closes it at once, whatever it is doing.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    _driver: Task,
}

/// Connects to `address` within `limit`.
pub(super) async fn open(net: &dyn Net, address: SocketAddr, limit: Duration) -> io::Result<Connection> {
    let stream = tokio::time::timeout(limit, net.connect(address)).await??;
    let handshake = Builder::new().max_header_size(RESPONSE_HEAD_BYTES_MAX).handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(io::Error::other)?;
    let driver = task::spawn("backend connection", async move {
        if let Err(error) = connection.await {
            tracing::debug!(%address, %error, "a backend connection ended");
        }
    });
    Ok(Connection { sender, _driver: driver })
}

impl Connection {
    /// Whether it is open and has nothing left to send or receive.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Sends one request. The error has the request if no byte of it was written.
    pub(super) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> {
        self.sender.try_send_request(request)
    }
}

/// The head of a response, and its trailers.
const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;
