//! Backends, bodies and a world of memory for the tests of pools.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use graticule_node_core::Moment;
use graticule_node_core::policy::{Pool, PoolIndex, TenantIndex};
use graticule_node_core::pool::{Condition, Member, MemberId, PoolState};
use graticule_node_core::shared::RetryBudget;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::executor::LocalExecutor;
use super::{Asked, Links, Trust};
use crate::task::{self, Task};
use crate::world::{Clock, Listener, Net, Stream, World};

/// A body of any kind.
pub(crate) type AnyBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

pub(crate) fn full(content: impl Into<Bytes>) -> AnyBody {
    Full::new(content.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that comes as it is sent.
#[derive(Debug)]
pub(crate) struct ChannelBody(pub(crate) mpsc::Receiver<Result<Frame<Bytes>, io::Error>>);

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(cx)
    }
}

/// The sender of a body, and the body.
pub(crate) fn channel() -> (mpsc::Sender<Result<Frame<Bytes>, io::Error>>, ChannelBody) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, ChannelBody(receiver))
}

/// An endless body of 16 KiB pieces that counts those that were asked for.
#[derive(Debug)]
pub(crate) struct Endless(pub(crate) Arc<Mutex<usize>>);

impl Body for Endless {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        *self.0.lock().unwrap() += 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 16 * 1024])))))
    }
}

/// What a backend has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Connections that were ever opened.
    pub(crate) connections: Cell<usize>,
    /// Connections that are open.
    pub(crate) open: Cell<usize>,
    /// Requests that came in.
    pub(crate) requests: Cell<usize>,
}

/// A hyper server; it ends when this is dropped.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Rc<Seen>,
    _task: Task,
}

impl Backend {
    /// On a port of the loopback interface.
    pub(crate) async fn on_loopback<F, A>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + 'static,
        A: Future<Output = Response<AnyBody>> + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, answer) = (Rc::new(Seen::default()), Rc::new(answer));
        let accepting = Rc::clone(&seen);
        let task = task::spawn("backend", async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                task::spawn_detached("served", serve(stream, Rc::clone(&accepting), Rc::clone(&answer)));
            }
        });
        Self { address, seen, _task: task }
    }

    /// In memory.
    pub(crate) fn in_memory<F, A>(net: &MemoryNet, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + 'static,
        A: Future<Output = Response<AnyBody>> + 'static,
    {
        let answer = Rc::new(answer);
        Self::accepting(net, move |stream, seen| serve(stream, seen, Rc::clone(&answer)))
    }

    /// In memory, with HTTP/2 as `http2` has it.
    pub(super) fn of_http2<F, A>(net: &MemoryNet, http2: Http2, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + 'static,
        A: Future<Output = Response<AnyBody>> + 'static,
    {
        let answer = Rc::new(answer);
        Self::accepting(net, move |stream, seen| {
            let serving = http2.serve_connection(TokioIo::new(stream), seen.service(Rc::clone(&answer)));
            async move {
                let _ = serving.await;
                seen.open.set(seen.open.get() - 1);
            }
        })
    }

    /// In memory, with `serve` for every connection.
    fn accepting<S>(net: &MemoryNet, serve: impl Fn(DuplexStream, Rc<Seen>) -> S + 'static) -> Self
    where
        S: Future<Output = ()> + 'static,
    {
        let (address, mut incoming) = net.listen_in_memory();
        let seen = Rc::new(Seen::default());
        let accepting = Rc::clone(&seen);
        let task = task::spawn("backend", async move {
            while let Some(stream) = incoming.recv().await {
                task::spawn_detached("served", serve(stream, Rc::clone(&accepting)));
            }
        });
        Self { address, seen, _task: task }
    }
}

/// A server of HTTP/2, and what it allows.
pub(super) type Http2 = http2::Builder<LocalExecutor>;

impl Seen {
    /// One more connection, and what answers on it.
    fn service<F, A>(
        self: &Rc<Self>,
        answer: Rc<F>,
    ) -> impl Service<Request<Incoming>, Response = Response<AnyBody>, Error = io::Error, Future: 'static>
    + use<F, A>
    where
        F: Fn(Request<Incoming>) -> A + 'static,
        A: Future<Output = Response<AnyBody>> + 'static,
    {
        self.connections.set(self.connections.get() + 1);
        self.open.set(self.open.get() + 1);
        let requests = Rc::clone(self);
        service_fn(move |request| {
            requests.requests.set(requests.requests.get() + 1);
            let response = answer(request);
            async move { Ok::<_, io::Error>(response.await) }
        })
    }
}

async fn serve<I, F, A>(io: I, seen: Rc<Seen>, answer: Rc<F>)
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
    F: Fn(Request<Incoming>) -> A + 'static,
    A: Future<Output = Response<AnyBody>> + 'static,
{
    let service = seen.service(answer);
    let _ = http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
    seen.open.set(seen.open.get() - 1);
}

/// TCP in memory: connections carry 64 KiB each way before they hold the writer up.
#[derive(Debug, Default)]
pub(crate) struct MemoryNet {
    listeners: Mutex<BTreeMap<SocketAddr, mpsc::Sender<DuplexStream>>>,
    /// Every address that was connected to, in order.
    pub(crate) attempts: Mutex<Vec<SocketAddr>>,
}

impl MemoryNet {
    /// Nobody answers there, not even with a refusal.
    pub(crate) const BLACK_HOLE: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);

    pub(crate) fn listen_in_memory(&self) -> (SocketAddr, mpsc::Receiver<DuplexStream>) {
        let mut listeners = self.listeners.lock().unwrap();
        let address = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 1 + listeners.len() as u16));
        let (sender, receiver) = mpsc::channel(1_024);
        listeners.insert(address, sender);
        (address, receiver)
    }

    /// A world with this net, and a clock that follows the runtime's.
    pub(crate) fn world(self: &Arc<Self>) -> World {
        let net = Arc::clone(self);
        World { net, clock: Arc::new(RuntimeClock(Instant::now())), ..World::system() }
    }
}

#[async_trait]
impl Net for MemoryNet {
    fn listen(&self, _: SocketAddr, _: bool) -> io::Result<Box<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        self.attempts.lock().unwrap().push(address);
        if address == Self::BLACK_HOLE {
            std::future::pending::<()>().await;
        }
        let listener = self.listeners.lock().unwrap().get(&address).cloned();
        let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (here, there) = tokio::io::duplex(64 * 1024);
        listener.send(there).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(Box::new(here))
    }

    fn bind_udp(&self, _: SocketAddr) -> io::Result<Arc<dyn quinn::AsyncUdpSocket>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[derive(Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    fn now(&self) -> Moment {
        Moment::from_micros(self.0.elapsed().as_micros() as u64)
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.0.elapsed()
    }

    fn cpu_time(&self) -> Duration {
        Duration::ZERO
    }
}

/// One pool as requests find it, all of its backends usable.
pub(crate) struct OnePool {
    pub(crate) pool: Pool,
    pub(crate) state: Arc<PoolState>,
    pub(crate) budget: RetryBudget,
}

impl OnePool {
    pub(crate) fn new(backends: &[SocketAddr], pool: &Pool) -> Self {
        let member = |(at, address): (usize, &SocketAddr)| Member {
            address: *address,
            weight: 1,
            condition: Condition::Usable,
            since: None,
            id: MemberId(at as u64),
            streak: Arc::default(),
        };
        let members = backends.iter().enumerate().map(member).collect();
        let state = PoolState::new(pool, members, false, Arc::default(), Moment::default());
        Self { pool: pool.clone(), state: Arc::new(state), budget: RetryBudget::new() }
    }

    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked {
            tenant: TenantIndex(0),
            index: PoolIndex::UNNAMED,
            pool: &self.pool,
            state: &self.state,
            budget: &self.budget,
            client: None,
            trail: None,
        }
    }
}

/// Links that lead nowhere: nobody hears of failures, and public authorities are not loaded.
pub(crate) fn links() -> Links {
    Links { failing: mpsc::channel(1).0, trust: Trust::default() }
}

/// Waits until `condition` holds, and fails if that takes more than two seconds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(2), "not within two seconds: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
