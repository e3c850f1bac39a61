//! One HTTP/1 connection to a backend: how it is opened, used and closed.
//!
//! It has no task of its own: whoever waits for something of it drives it. That costs a request one task to wake where
//! there would be two, each several times.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Sleep;

use super::bell::Bell;
use super::request_body::RequestBody;
use crate::world::{Net, Stream};

/// An open connection. Dropping it closes it at once, whatever it is doing.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    driver: Driver,
    /// Set anew by each request: putting one off is cheaper than making one.
    alarm: Pin<Box<Sleep>>,
}

/// What a connection gives for a request; the error has the request if no byte of it was written.
pub(super) type Answer = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

/// Connects to `address` within `limit`.
pub(super) async fn open(net: &dyn Net, address: SocketAddr, limit: Duration) -> io::Result<Connection> {
    let stream = tokio::time::timeout(limit, net.connect(address)).await??;
    let handshake = Builder::new().max_header_size(RESPONSE_HEAD_BYTES_MAX).handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(io::Error::other)?;
    let alarm = Box::pin(tokio::time::sleep(Duration::ZERO));
    let mut driver = Driver::new(connection);
    // Who speaks before it was asked would be taken at its word: let the runtime look for that once.
    tokio::task::yield_now().await;
    driver.settle();
    Ok(Connection { sender, driver, alarm })
}

impl Connection {
    /// Whether it is open and has nothing left to send or receive, as of when it was last driven.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Begins a request. What is returned says nothing before the connection is driven, and wakes nobody.
    pub(super) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> (impl Future<Output = Answer> + use<>, &mut Driver, Pin<&mut Sleep>) {
        self.driver.mute();
        (self.sender.try_send_request(request), &mut self.driver, self.alarm.as_mut())
    }

    /// What sends and receives.
    pub(super) fn driver(&mut self) -> &mut Driver {
        &mut self.driver
    }
}

/// The part of a connection that sends and receives.
pub(super) struct Driver {
    /// `None` once the connection has ended.
    connection: Option<Box<http1::Connection<TokioIo<Stream>, RequestBody>>>,
    bell: Arc<Bell>,
    waker: Waker,
}

impl Driver {
    fn new(connection: http1::Connection<TokioIo<Stream>, RequestBody>) -> Self {
        let bell = Arc::<Bell>::default();
        Self { connection: Some(Box::new(connection)), waker: Waker::from(Arc::clone(&bell)), bell }
    }

    /// Sends and receives what is possible now; `cx` is woken when there is more.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        self.bell.ring_for(cx.waker());
        self.poll();
    }

    /// Sends and receives what is possible now, and wakes nobody from now on.
    pub(super) fn settle(&mut self) {
        self.bell.mute();
        self.poll();
    }

    /// Wakes nobody until it is driven: what is done to the connection meanwhile is followed by that.
    pub(super) fn mute(&self) {
        self.bell.mute();
    }

    fn poll(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        if let Poll::Ready(ended) = Pin::new(&mut **connection).poll(&mut Context::from_waker(&self.waker)) {
            self.connection = None;
            if let Err(error) = ended {
                tracing::debug!(%error, "a backend connection ended");
            }
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("open", &self.connection.is_some()).finish_non_exhaustive()
    }
}

/// The head of a response, and its trailers.
const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;
