//! One worker's HTTP/1 connections to backends: which one a request takes, and what happens if it cannot.
//!
//! A connection belongs to one request at a time, from its choice to the end of the response's body. Whatever drops
//! it before that end closes it at once, so the backend notices a client that went away. A request is sent a second
//! time only while none of its bytes can have left.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use graticule_node_core::Reason;
use graticule_node_core::decide::backend::choose;
use graticule_node_core::policy::Pool;
use http::{Request, Response};
use http_body::Body;
use smallvec::SmallVec;

use crate::task::{self, Task};
use crate::world::{Net, World};

mod backends;
mod connection;
mod exchange;
mod patience;
mod request_body;
mod response_body;

use backends::Backends;
use exchange::{Exchange, Unsent};
pub use response_body::PooledBody;

/// One worker's connections to the backends it has spoken to lately. Lives and is used on that worker's runtime.
#[derive(Debug)]
pub struct Connections {
    net: Arc<dyn Net>,
    backends: Rc<Backends>,
    _sweeper: Task,
}

/// A request that got no response.
#[derive(Debug)]
pub struct SendFailure<B> {
    /// What the client is to be told.
    pub reason: Reason,
    /// The request, if no byte of it can have reached a backend: then it may be sent elsewhere, whatever it is.
    pub request: Option<Request<B>>,
}

impl Connections {
    /// No connections yet. Must be called on the runtime that will use them.
    pub fn new(world: &World) -> Self {
        let backends = Rc::new(Backends::default());
        let sweeper = task::spawn("backend connections", Rc::clone(&backends).sweep());
        Self { net: Arc::clone(&world.net), backends, _sweeper: sweeper }
    }

    /// How many requests this worker has at `backend`: each from its choice to the end of its response's body.
    pub fn in_flight(&self, backend: SocketAddr) -> u32 {
        self.backends.in_flight(backend)
    }

    /// Sends `request` to one of `backends` and waits for the head of the response, which may come before the
    /// request's body has gone.
    ///
    /// The request goes out as it is: the caller has set `Host`, made the URI origin-form (`/path?query`), set version
    /// 1.1 and removed hop-by-hop headers. 1xx responses are dropped unless the request asks for them with
    /// [`hyper::ext::on_informational`]; 101 is a failure, because nothing here carries what comes after it.
    ///
    /// The backend is the less busy of two that `chance` picks. One that cannot be connected to is replaced by
    /// another, each at most once and at most three in all; then the reason is `BackendUnreachable` and the request
    /// comes back. `pool.response_timeout` runs while the backend is to act: it begins again with each piece of the
    /// request's body, and rests while the client is to send the next. A body that fails is `BadRequest`.
    pub fn send<B>(
        &self,
        backends: &[SocketAddr],
        pool: &Pool,
        chance: u32,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<PooledBody>, SendFailure<B>>>
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (request, kept) = request_body::erase(request);
        let mut unsent = Some(request);
        async move {
            let sent = self.send_to_any(backends, pool, chance, &mut unsent).await;
            sent.map_err(|reason| SendFailure {
                reason,
                request: unsent.and_then(|request| request_body::restore(request, kept)),
            })
        }
    }

    async fn send_to_any(
        &self,
        backends: &[SocketAddr],
        pool: &Pool,
        chance: u32,
        unsent: &mut Unsent,
    ) -> Result<Response<PooledBody>, Reason> {
        let mut tried = SmallVec::<[SocketAddr; BACKENDS_TRIED_MAX]>::new();
        while tried.len() < BACKENDS_TRIED_MAX {
            let Some(address) = self.choose(backends, &tried, chance) else { break };
            match self.send_to(address, pool, unsent).await {
                Err(_) if unsent.is_some() => tried.push(address),
                done => return done,
            }
        }
        Err(Reason::BackendUnreachable)
    }

    fn choose(&self, backends: &[SocketAddr], tried: &[SocketAddr], chance: u32) -> Option<SocketAddr> {
        let in_flight = |address| self.in_flight(address);
        if tried.is_empty() {
            return choose(backends, in_flight, chance);
        }
        let untried = backends.iter().copied().filter(|address| !tried.contains(address));
        choose(&untried.collect::<SmallVec<[SocketAddr; 8]>>(), in_flight, chance)
    }

    /// Sends to one backend: on an idle connection if there is one, and on a new one if there is none or the backend
    /// turns out to have closed it.
    async fn send_to(
        &self,
        address: SocketAddr,
        pool: &Pool,
        unsent: &mut Unsent,
    ) -> Result<Response<PooledBody>, Reason> {
        if let Some((in_flight, connection)) = self.backends.take_idle(address).await {
            match Exchange::new(in_flight, connection).run(unsent, pool.response_timeout).await {
                Err(_) if unsent.is_some() => {}
                done => return done,
            }
        }
        let in_flight = self.backends.enter(address);
        match connection::open(&*self.net, address, pool.connect_timeout).await {
            Ok(connection) => Exchange::new(in_flight, connection).run(unsent, pool.response_timeout).await,
            Err(error) => {
                tracing::debug!(%address, %error, "no connection to a backend");
                Err(Reason::BackendUnreachable)
            }
        }
    }
}

/// How many backends one request is offered to.
const BACKENDS_TRIED_MAX: usize = 3;

#[cfg(test)]
mod tests;
