//! HTTP/2 connections to one backend: shared by requests, opened one at a time.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use graticule_node_core::Reason;
use graticule_node_core::headers::{UpgradeAsked, ask_as_http2};
use http::{HeaderValue, Request, Response, Uri, Version, header, uri};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper::ext::Protocol;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Mutex;

use super::exchange::Unsent;
use super::greeting::Greeted;
use super::patience::Progress;
use super::request_body::RequestBody;
use super::running::{ConnectionExecutor, Running};
use crate::pool::transport::ConnectError;
use crate::task::{self, Task};
use crate::world::Stream;

/// The HTTP/2 connections of one worker to one backend.
#[derive(Debug, Default)]
pub(super) struct Multiplexed {
    open: RefCell<Vec<Rc<Shared>>>,
    /// Held by whoever opens a connection, so that those who come meanwhile share it.
    opening: Mutex<()>,
}

#[derive(Debug)]
struct Shared {
    sender: SendRequest<RequestBody>,
    /// Knows what the backend has said of itself. Its driver alone holds it: the library takes a connection for open as long
    /// as anybody does.
    connection: Weak<RefCell<Driven>>,
    streams: Cell<u32>,
    /// Ticks without a stream.
    idle: Cell<u32>,
    /// Whether it takes nothing new, and ends with its last stream.
    retired: Cell<bool>,
    _driver: Task,
    /// What the library runs for it, until this is dropped.
    running: Rc<Running>,
}

type Driven = Connection<TokioIo<Greeted>, RequestBody, ConnectionExecutor>;

/// What a request is going to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// Nothing else.
    Head,
    /// Something after it: a body, or what goes through an upgraded stream.
    Body,
}

/// One request's place on a connection; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Lane {
    of: Rc<Shared>,
}

impl Load {
    /// That of a request.
    pub(super) fn of(unsent: &Unsent) -> Self {
        match unsent.as_ref().map(Request::body) {
            None | Some(RequestBody::Empty) => Self::Head,
            Some(RequestBody::Streaming(..) | RequestBody::Later(_)) => Self::Body,
        }
    }
}

impl Multiplexed {
    /// A place on an open connection, if one has room. What it is to carry must have room in the connection's window,
    /// which bodies that the backend does not take have filled.
    pub(super) fn lane(&self, load: Load) -> Option<Lane> {
        let mut open = self.open.borrow_mut();
        open.retain(|shared| !shared.sender.is_closed() && !shared.retired.get());
        let fits =
            |shared: &&Rc<Shared>| shared.is_ready() && (load == Load::Head || !shared.running.is_blocked());
        open.iter().find(fits).map(|shared| Lane::on(Rc::clone(shared)))
    }

    /// A place on a connection that `connect` makes, or on one that was made while this waited its turn. If there are as many
    /// as may be, a body waits behind others.
    pub(super) async fn open(
        &self,
        load: Load,
        connect: impl Future<Output = Result<Stream, ConnectError>>,
    ) -> Result<Lane, Option<ConnectError>> {
        let _turn = self.opening.lock().await;
        if let Some(lane) = self.lane(load) {
            return Ok(lane);
        }
        if self.open.borrow().len() >= CONNECTIONS_MAX {
            return self.least_used().ok_or(None);
        }
        let stream = connect.await.map_err(Some)?;
        let shared = Rc::new(handshake(stream).await.map_err(Some)?);
        self.open.borrow_mut().push(Rc::clone(&shared));
        Ok(Lane::on(shared))
    }

    /// A place where the fewest requests are.
    fn least_used(&self) -> Option<Lane> {
        let open = self.open.borrow();
        let ready = open.iter().filter(|shared| shared.is_ready());
        ready.min_by_key(|shared| shared.streams.get()).map(|shared| Lane::on(Rc::clone(shared)))
    }

    /// A tick has passed: closes what was idle for `ticks_max` of them. Whether anything is open.
    pub(super) fn sweep(&self, ticks_max: u32) -> bool {
        let mut open = self.open.borrow_mut();
        open.retain(|shared| {
            let idle = if shared.streams.get() == 0 { shared.idle.get() + 1 } else { 0 };
            shared.idle.set(idle);
            idle < ticks_max && !shared.sender.is_closed() && !shared.retired.get()
        });
        !open.is_empty()
    }
}

impl Shared {
    fn is_ready(&self) -> bool {
        self.has_room() && self.sender.is_ready()
    }

    /// Requests beyond what the backend allows would wait for others to end, and upgrades may not end for hours.
    fn has_room(&self) -> bool {
        let streams = self.streams.get();
        let allows = |connection: Rc<RefCell<Driven>>| {
            (streams as usize) < connection.borrow().current_max_send_streams()
        };
        streams < STREAMS_MAX && self.connection.upgrade().is_some_and(allows)
    }
}

/// HTTP/2 over `stream`, once the backend has said what it takes.
async fn handshake(stream: Stream) -> Result<Shared, ConnectError> {
    let running = Rc::<Running>::default();
    let mut builder = Builder::new(running.executor());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(STREAM_WINDOW_BYTES * STREAMS_MAX)
        .max_header_list_size(RESPONSE_HEAD_BYTES_MAX)
        .max_concurrent_reset_streams(RESET_STREAMS_MAX);
    let (stream, greeting) = Greeted::listen(stream);
    let refused = |error| ConnectError::Untrusted(io::Error::other(error));
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(refused)?;
    let connection = Rc::new(RefCell::new(connection));
    let asked = Rc::downgrade(&connection);
    let driver = task::spawn("backend connection", async move {
        if let Err(error) = poll_fn(|cx| Pin::new(&mut *connection.borrow_mut()).poll(cx)).await {
            tracing::debug!(%error, "a backend connection ended");
        }
    });
    // What is no HTTP/2 fails here, too, and so does a backend that is about to stop: neither has said a word.
    greeting.await.map_err(|_| ConnectError::Unreachable(io::ErrorKind::UnexpectedEof.into()))?;
    Ok(Shared {
        sender,
        connection: asked,
        streams: Cell::new(0),
        idle: Cell::new(0),
        retired: Cell::new(false),
        _driver: driver,
        running,
    })
}

impl Lane {
    fn on(of: Rc<Shared>) -> Self {
        of.streams.set(of.streams.get() + 1);
        Self { of }
    }

    /// Sends one request, which must be in the form of [`prepare`]. The error has it if no byte of it was written.
    pub(super) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<> {
        if let Some(progress) = request.body().progress() {
            progress.set_connection(&self.of.running);
        }
        self.of.sender.clone().try_send_request(request)
    }

    /// What goes through the upgraded stream counts as a body.
    pub(super) fn carry(&self, upgraded: &Rc<Progress>) {
        self.of.running.carry(Rc::clone(upgraded));
    }

    /// Nothing new is to come to its connection, which ends with its last stream: one of them can be given up in no other way.
    pub(super) fn retire(&self) {
        self.of.retired.set(true);
    }

    /// Whether the backend has said that it may be asked for upgrades.
    pub(super) fn takes_upgrades(&self) -> bool {
        let connection = self.of.connection.upgrade();
        connection.is_some_and(|connection| connection.borrow().is_extended_connect_protocol_enabled())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.of.streams.set(self.of.streams.get() - 1);
    }
}

/// Makes a request of HTTP/1.1 one of HTTP/2: whom it is for is said by its URI.
pub(super) fn prepare(request: &mut Request<RequestBody>, tls: bool) {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(header::HOST);
    let authority = host.as_ref().and_then(|host| uri::Authority::try_from(host.as_bytes()).ok());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(if tls { uri::Scheme::HTTPS } else { uri::Scheme::HTTP });
    parts.authority = Some(authority.unwrap_or_else(|| uri::Authority::from_static("localhost")));
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

/// Makes a request of HTTP/1.1 to upgrade the one that HTTP/2 has for it (RFC 8441); [`prepare`] does the rest.
pub(super) fn ask_for_upgrade(request: &mut Request<RequestBody>) -> Result<UpgradeAsked, Reason> {
    let mut method = request.method().clone();
    let asked = ask_as_http2((&mut method, request.headers_mut()))?;
    *request.method_mut() = method;
    request.extensions_mut().insert(Protocol::from(asked.protocol()));
    Ok(asked)
}

/// Undoes [`ask_for_upgrade`], for a request that was not sent.
pub(super) fn take_back(request: &mut Request<RequestBody>, asked: UpgradeAsked) {
    let mut method = request.method().clone();
    asked.restore(&mut method, request.headers_mut());
    *request.method_mut() = method;
    request.extensions_mut().remove::<Protocol>();
}

/// Undoes [`prepare`], for a request that was not sent.
pub(super) fn restore(request: &mut Request<RequestBody>) {
    *request.version_mut() = Version::HTTP_11;
    let parts = std::mem::take(request.uri_mut()).into_parts();
    if let Some(host) = parts.authority.and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
    *request.uri_mut() = parts.path_and_query.map(Uri::from).unwrap_or_default();
}

/// Requests on one connection; servers allow a hundred unless they say otherwise.
const STREAMS_MAX: u32 = 100;
/// What a backend may send of one answer while its client takes nothing. The connection has room for that of all streams, so
/// that no client holds others up; an adaptive window has not.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Connections of one worker to one backend.
const CONNECTIONS_MAX: usize = 32;
/// How often a connection with requests is asked whether it lives, and how long it may take to say so.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The head of a response, and its trailers.
const RESPONSE_HEAD_BYTES_MAX: u32 = 64 * 1024;
/// Streams that were given up and whose last frames may still come.
const RESET_STREAMS_MAX: usize = 64;
