//! One worker's connections to backends: which one a request takes, and what happens if it cannot.
//!
//! An HTTP/1.1 connection belongs to one request at a time, from its choice to the end of the response's body; HTTP/2
//! connections are shared. Whatever drops a request before that end closes its connection or stream at once, so the
//! backend notices a client that went away. A request whose bytes may have left is sent a second time only if it may be
//! repeated, and its tenant has saved up a retry.

use std::cell::Cell;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use graticule_node_core::policy::{Pool, PoolIndex, Protocol, TenantIndex};
use graticule_node_core::pool::{Ask, Fault, MemberId, PoolState, retry};
use graticule_node_core::shared::{RetryBudget, Row};
use graticule_node_core::{Moment, Reason};
use http::{HeaderMap, Request, Response};
use http_body::Body;
use tokio::sync::mpsc;

use super::Trust;
use super::transport::{self, ConnectError};
use crate::task::{self, Task};
use crate::world::World;

mod backends;
mod connection;
mod exchange;
mod greeting;
mod handle;
mod http2;
mod key;
mod patience;
mod request_body;
mod response_body;
mod retries;
mod running;
mod spare;
mod upgraded;

use backends::{Backends, InFlight};
use connection::{Connection, Http1};
use exchange::{Exchange, Unsent};
use handle::{Handle, Handles, Outcome};
use http2::Load;
pub use request_body::Sent;
pub use response_body::PooledBody;
use spare::Spare;

/// One worker's connections to the backends it has spoken to lately. Lives and is used on that worker's runtime.
#[derive(Debug)]
pub struct Connections {
    world: World,
    trust: Trust,
    backends: Rc<Backends>,
    handles: Rc<Handles>,
    _sweeper: Task,
}

/// How a worker's connections and the control side know of each other.
#[derive(Debug, Clone)]
pub struct Links {
    /// Where it is told that a row of failures begins or is full.
    pub failing: mpsc::Sender<(MemberId, Row)>,
    /// Whom to believe.
    pub trust: Trust,
}

/// The pool that a request is for, as one snapshot has it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Whose it is.
    pub tenant: TenantIndex,
    /// Which of the tenant's.
    pub index: PoolIndex,
    /// What the document says of it.
    pub pool: &'a Pool,
    /// Its backends as they are.
    pub state: &'a Arc<PoolState>,
    /// What pays for the tenant's retries.
    pub budget: &'a RetryBudget,
    /// The client, for pools that choose by its address.
    pub client: Option<IpAddr>,
    /// Where it is noted who was asked, if anybody wants to know.
    pub trail: Option<&'a Trail>,
}

/// Who was asked last for a request.
pub type Trail = Cell<Option<Visit>>;

/// A backend that was asked.
#[derive(Debug, Clone, Copy)]
pub struct Visit {
    /// Of which of the tenant's pools.
    pub pool: PoolIndex,
    /// Which.
    pub backend: SocketAddr,
    /// How many were asked so far, it included.
    pub attempts: u8,
}

/// A request on its way to a backend. Whoever sends it keeps it in one place: it would be copied with every future that
/// took it.
pub struct Outgoing<B> {
    unsent: Unsent,
    /// The body, if it is empty.
    empty: Option<B>,
    spare: Option<Spare>,
}

/// A request that got no response.
#[derive(Debug)]
pub struct SendFailure<B> {
    /// What the client is to be told.
    pub reason: Reason,
    /// Whether a backend may have seen it.
    pub reached: bool,
    /// The request, if it may be sent elsewhere: no backend has seen it, or it may be repeated.
    pub request: Option<Request<B>>,
    /// What was read of its body, to be put back in front.
    pub sent: Sent,
}

impl Asked<'_> {
    fn note(&self, backend: SocketAddr) {
        let Some(trail) = self.trail else { return };
        let before = trail.get().map_or(0, |visit| visit.attempts);
        trail.set(Some(Visit { pool: self.index, backend, attempts: before.saturating_add(1) }));
    }
}

impl<B> Outgoing<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Nothing sent yet.
    pub fn new(request: Request<B>) -> Self {
        let (request, empty) = request_body::erase(request);
        let spare = Spare::of(&request);
        Self { unsent: Some(request), empty, spare }
    }

    /// The headers, until it is sent.
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.unsent.as_ref().map(Request::headers)
    }
}

impl Connections {
    /// No connections yet. Must be called on the runtime that will use them.
    pub fn new(world: &World, links: Links) -> Self {
        let (backends, handles) = (Rc::new(Backends::default()), Rc::new(Handles::new(links.failing)));
        let sweeping = Rc::clone(&backends).sweep(Rc::clone(&handles));
        let sweeper = task::spawn("backend connections", sweeping);
        Self { world: world.clone(), trust: links.trust, backends, handles, _sweeper: sweeper }
    }

    /// How many requests this worker has at `backend`: each from its choice to the end of its response's body.
    pub fn in_flight(&self, backend: SocketAddr) -> u32 {
        self.backends.in_flight(backend)
    }

    /// Sends `outgoing` to a backend of the pool and waits for the head of the response, which may come before the
    /// request's body has gone. To be called once for each.
    ///
    /// The request goes out as it is: the caller has set `Host`, made the URI origin-form (`/path?query`), set version
    /// 1.1 and removed hop-by-hop headers. 1xx responses are dropped unless the request asks for them with
    /// [`hyper::ext::on_informational`]. With `Upgrade` (and `Connection`), the body is what is sent after 101, and the
    /// response's body is what comes then; 101 is a failure otherwise.
    ///
    /// The pool's balance chooses the backend. One that cannot be connected to, or fails a request that may be repeated,
    /// is replaced by another, each at most once, as often as the pool's rule and the tenant's budget allow; one whose
    /// connection broke is asked again if there is no other. A request
    /// that reached no backend comes back, with `BackendUnreachable`, or `Overloaded` if the pool is at its limits; so does
    /// one that may be repeated.
    /// `pool.response_timeout` runs while the backend is to act: it begins again with each piece of the request's body,
    /// and rests while the client is to send the next. A body that fails is `BadRequest`.
    pub async fn send<B: 'static>(
        &self,
        asked: Asked<'_>,
        chance: u32,
        outgoing: &mut Outgoing<B>,
    ) -> Result<Response<PooledBody>, Box<SendFailure<B>>> {
        let Outgoing { unsent, empty, spare } = outgoing;
        let sent = self.send_to_any(&asked, chance, unsent, spare.as_ref()).await;
        sent.map_err(|reason| {
            let reached = unsent.is_none();
            let request = unsent.take().or_else(|| spare.as_ref()?.request());
            let restored = request.and_then(|request| request_body::restore(request, empty.take())).unzip();
            let (request, sent) = (restored.0, restored.1.unwrap_or_default());
            // Boxed: every answer would be moved about in the room that the request takes.
            Box::new(SendFailure { reason, reached, request, sent })
        })
    }

    async fn send_to_any(
        &self,
        asked: &Asked<'_>,
        chance: u32,
        unsent: &mut Unsent,
        spare: Option<&Spare>,
    ) -> Result<Response<PooledBody>, Reason> {
        let handle = self.handles.get(asked, &self.backends);
        let key = unsent.as_ref().and_then(|request| key::of(asked.pool, request.headers(), asked.client));
        let now = self.world.clock.now();
        let ask = Ask { tried: &[], key, turn: handle.next_turn(), chance, now };
        let member = handle.choose(&ask).ok_or(Reason::BackendUnreachable)?;
        let result = self.attempt(&handle, asked, (member, now), unsent).await;
        if retries::judge(&result, unsent).is_some() {
            // Rare, so it may cost an allocation; every request would pay for its size otherwise.
            let first = retries::First { handle: &handle, member, result, spare };
            return Box::pin(self.retry(asked, first, chance, unsent)).await;
        }
        if result.is_ok() {
            asked.budget.succeeded();
        }
        result
    }

    /// Sends to one backend, and learns from what comes of it.
    async fn attempt(
        &self,
        handle: &Rc<Handle>,
        asked: &Asked<'_>,
        (member, begun): (usize, Moment),
        unsent: &mut Unsent,
    ) -> Result<Response<PooledBody>, Reason> {
        handle.begin(member, begun);
        let result = self.send_to(handle, asked, member, unsent).await;
        let outcome = match &result {
            Ok(response) if !retry::is_failure(response.status().as_u16()) => Outcome::Answered,
            // The client's fault, or the pool's limit.
            Err(
                Reason::BadRequest
                | Reason::RequestTimeout
                | Reason::BodyTooLarge
                | Reason::NotSupported
                | Reason::Overloaded,
            ) => return result,
            Ok(response) => Outcome::Failed(Fault::Status(response.status().as_u16())),
            Err(Reason::BackendTimeout) => Outcome::Failed(Fault::Late),
            Err(Reason::BackendUnreachable) => Outcome::Failed(handle.unreachable(member)),
            Err(_) => Outcome::Failed(Fault::Broken),
        };
        let now = self.world.clock.now();
        handle.report(member, outcome, now.since(begun), now);
        result
    }

    /// Sends to one backend: on an idle connection if there is one, and on a new one if there is none or the backend
    /// turns out to have closed it.
    async fn send_to(
        &self,
        handle: &Rc<Handle>,
        asked: &Asked<'_>,
        member: usize,
        unsent: &mut Unsent,
    ) -> Result<Response<PooledBody>, Reason> {
        let in_flight = self.enter(handle, member)?;
        asked.note(in_flight.backend().endpoint.address);
        let (pool, load) = (asked.pool, Load::of(unsent));
        let in_flight = match self.open_already(in_flight.backend(), load).await {
            None => in_flight,
            Some(connection) => {
                match Exchange::new(in_flight, connection).run(unsent, pool.response_timeout).await {
                    Err(_) if unsent.is_some() => self.enter(handle, member)?,
                    done => return done,
                }
            }
        };
        let connection = Box::pin(self.open(handle, pool, in_flight.backend(), load)).await?;
        Exchange::new(in_flight, connection).run(unsent, pool.response_timeout).await
    }

    fn enter(&self, handle: &Rc<Handle>, member: usize) -> Result<InFlight, Reason> {
        InFlight::enter(&self.backends, handle, member).ok_or(Reason::Overloaded)
    }

    /// A connection that is there.
    async fn open_already(&self, backend: &backends::Backend, load: Load) -> Option<Connection> {
        match backend.endpoint.protocol {
            Protocol::Http1 => self.backends.take_idle(backend).await,
            Protocol::Http2 => backend.multiplexed.lane(load).map(Connection::Http2),
        }
    }

    /// A connection that is made.
    async fn open(
        &self,
        handle: &Rc<Handle>,
        pool: &Pool,
        backend: &backends::Backend,
        load: Load,
    ) -> Result<Connection, Reason> {
        let _waiting = handle.connecting().ok_or(Reason::Overloaded)?;
        let (endpoint, limit) = (&backend.endpoint, pool.connect_timeout);
        let connect = transport::connect(&*self.world.net, &self.trust, endpoint, limit);
        let failed = |error: Option<ConnectError>| {
            let address = endpoint.address;
            backend.set_unreachable(error.as_ref().map_or(Fault::Unreachable, ConnectError::fault));
            match error {
                Some(error @ ConnectError::Untrusted(_)) => {
                    tracing::warn!(%address, %error, "a backend is not whom its pool names, or not of its protocol");
                }
                Some(error) => tracing::debug!(%address, %error, "no connection to a backend"),
                None => tracing::debug!(%address, "no more connections to a backend"),
            }
            Reason::BackendUnreachable
        };
        match endpoint.protocol {
            Protocol::Http1 => {
                let stream = connect.await.map_err(|error| failed(Some(error)))?;
                let connection = Http1::over(stream, endpoint.address).await;
                connection
                    .map(Connection::Http1)
                    .map_err(|error| failed(Some(ConnectError::Unreachable(error))))
            }
            Protocol::Http2 => {
                // Whoever waits for another one's attempt waits no longer than for its own.
                let opened = tokio::time::timeout(limit, backend.multiplexed.open(load, connect)).await;
                let opened = opened.unwrap_or(Err(Some(ConnectError::TimedOut)));
                opened.map(Connection::Http2).map_err(failed)
            }
        }
    }
}

#[cfg(test)]
mod tests;
