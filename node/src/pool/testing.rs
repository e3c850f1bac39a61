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
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::task::{self, Task};
use crate::world::{Clock, Listener, Net, Stream, World};

/// A body of any kind.
pub(super) type AnyBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

pub(super) fn full(content: impl Into<Bytes>) -> AnyBody {
    Full::new(content.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that comes as it is sent.
#[derive(Debug)]
pub(super) struct ChannelBody(pub(super) mpsc::Receiver<Result<Frame<Bytes>, io::Error>>);

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
pub(super) fn channel() -> (mpsc::Sender<Result<Frame<Bytes>, io::Error>>, ChannelBody) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, ChannelBody(receiver))
}

/// An endless body of 16 KiB pieces that counts those that were asked for.
#[derive(Debug)]
pub(super) struct Endless(pub(super) Arc<Mutex<usize>>);

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
pub(super) struct Seen {
    /// Connections that were ever opened.
    pub(super) connections: Cell<usize>,
    /// Connections that are open.
    pub(super) open: Cell<usize>,
    /// Requests that came in.
    pub(super) requests: Cell<usize>,
}

/// A hyper server; it ends when this is dropped.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    pub(super) seen: Rc<Seen>,
    _task: Task,
}

impl Backend {
    /// On a port of the loopback interface.
    pub(super) async fn on_loopback<F, A>(answer: F) -> Self
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
    pub(super) fn in_memory<F, A>(net: &MemoryNet, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + 'static,
        A: Future<Output = Response<AnyBody>> + 'static,
    {
        let (address, mut incoming) = net.listen_in_memory();
        let (seen, answer) = (Rc::new(Seen::default()), Rc::new(answer));
        let accepting = Rc::clone(&seen);
        let task = task::spawn("backend", async move {
            while let Some(stream) = incoming.recv().await {
                task::spawn_detached("served", serve(stream, Rc::clone(&accepting), Rc::clone(&answer)));
            }
        });
        Self { address, seen, _task: task }
    }
}

async fn serve<I, F, A>(io: I, seen: Rc<Seen>, answer: Rc<F>)
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
    F: Fn(Request<Incoming>) -> A + 'static,
    A: Future<Output = Response<AnyBody>> + 'static,
{
    seen.connections.set(seen.connections.get() + 1);
    seen.open.set(seen.open.get() + 1);
    let requests = Rc::clone(&seen);
    let service = service_fn(move |request| {
        requests.requests.set(requests.requests.get() + 1);
        let response = answer(request);
        async move { Ok::<_, io::Error>(response.await) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
    seen.open.set(seen.open.get() - 1);
}

/// TCP in memory: connections carry 64 KiB each way before they hold the writer up.
#[derive(Debug, Default)]
pub(super) struct MemoryNet {
    listeners: Mutex<BTreeMap<SocketAddr, mpsc::Sender<DuplexStream>>>,
    /// Every address that was connected to, in order.
    pub(super) attempts: Mutex<Vec<SocketAddr>>,
}

impl MemoryNet {
    /// Nobody answers there, not even with a refusal.
    pub(super) const BLACK_HOLE: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);

    pub(super) fn listen_in_memory(&self) -> (SocketAddr, mpsc::Receiver<DuplexStream>) {
        let mut listeners = self.listeners.lock().unwrap();
        let address = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 1 + listeners.len() as u16));
        let (sender, receiver) = mpsc::channel(1_024);
        listeners.insert(address, sender);
        (address, receiver)
    }

    /// A world with this net, and a clock that follows the runtime's.
    pub(super) fn world(self: &Arc<Self>) -> World {
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

/// Waits until `condition` holds, and fails if that takes more than two seconds.
pub(super) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(2), "not within two seconds: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
