//! A request's way through this node: facts, decision, dispatch, answer.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use graticule_gossip_core::NodeName;
use graticule_node_core::frame_meter::Flood;
use graticule_node_core::headers::{self, ClientAddressRule};
use graticule_node_core::outcome::{Outcome, Protocol};
use graticule_node_core::policy::{Balance, HashKey, Policy, PoolIndex, TenantIndex};
use graticule_node_core::shared::{InFlight, Tallies};
use graticule_node_core::{Reason, RegionIndex, Snapshot};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use rand::RngCore;

use crate::body::ResponseBody;
use crate::ingress::{Client, Handler};
use crate::pool::{Asked, Connections};
use crate::relay::Tunnels;
use crate::shared::{AccessLane, Rejection, Shared, TraceLane};
use crate::world::World;

mod account;
mod answer;
mod dispatch;
mod facts;
mod serving;

use account::Account;
use answer::Manner;
use dispatch::Pending;

/// What a gateway needs to know from the node's configuration.
#[derive(Debug)]
pub struct GatewaySettings {
    /// Which header carries the client's address, and who may say so.
    pub client_address: ClientAddressRule,
    /// The node's name.
    pub name: NodeName,
    /// How long a request's body may rest from piece to piece.
    pub body_timeout: Duration,
    /// How long a request waits for a place in a tunnel.
    pub open_timeout: Duration,
    /// Requests this worker takes at once.
    pub requests_in_flight_max: u32,
    /// Which worker this is.
    pub worker: usize,
    /// This node in `Via`, for a request of HTTP/1.0.
    pub via_1_0: HeaderValue,
    /// This node in `Via`.
    pub via: HeaderValue,
    /// This node in `Via`, for a request of HTTP/2.
    pub via_2: HeaderValue,
    /// Where clients find TLS, if this node has it and it is not where everybody looks.
    pub https_port: Option<u16>,
    /// The node's name in `Proxy-Status`.
    pub proxy_status: HeaderValue,
}

/// Where one worker tells what became of its requests, beside counters.
#[derive(Debug, Default)]
pub struct Recorders {
    /// Lines of the access log, if there is one.
    pub access_log: Option<AccessLane>,
    /// Spans of traces, if they are wanted.
    pub traces: Option<TraceLane>,
}

/// One worker's gateway.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    world: World,
    backends: Connections,
    tunnels: Rc<Tunnels>,
    settings: GatewaySettings,
    in_flight: InFlight,
    recorders: Recorders,
    chance: RefCell<Chance>,
    current: RefCell<Current>,
    active: RefCell<Rc<Active>>,
}

/// What of a snapshot is needed until a request is over. It changes with the documents; a snapshot changes all the time,
/// and is too large to be kept by every request that takes its time.
#[derive(Debug)]
struct Active {
    policy: Arc<Policy>,
    tallies: Arc<Tallies>,
    /// This node's region in the policy.
    region: RegionIndex,
}

impl Active {
    fn of(snapshot: &Snapshot) -> Self {
        let Snapshot { policy, tallies, here, .. } = snapshot;
        Self { policy: Arc::clone(policy), tallies: Arc::clone(tallies), region: here.region }
    }

    fn is_of(&self, snapshot: &Snapshot) -> bool {
        Arc::ptr_eq(&self.policy, &snapshot.policy) && Arc::ptr_eq(&self.tallies, &snapshot.tallies)
    }
}

/// The snapshot as one worker holds it: counted by the worker alone, so that workers do not contend for one counter.
type Current = Rc<Arc<Snapshot>>;

struct Chance(Box<dyn RngCore + Send>);

impl std::fmt::Debug for Chance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chance")
    }
}

impl Gateway {
    /// The gateway of one worker.
    pub fn new(
        shared: Arc<Shared>,
        world: World,
        (backends, tunnels): (Connections, Rc<Tunnels>),
        settings: GatewaySettings,
        (in_flight, recorders): (InFlight, Recorders),
    ) -> Self {
        let chance = RefCell::new(Chance(world.chance.generator()));
        let snapshot = shared.snapshot();
        let active = RefCell::new(Rc::new(Active::of(&snapshot)));
        let current = RefCell::new(Rc::new(snapshot));
        Self { shared, world, backends, tunnels, settings, in_flight, recorders, chance, current, active }
    }

    /// Whether requests are written to an access log.
    pub fn is_logging(&self) -> bool {
        self.recorders.access_log.is_some()
    }

    /// Hands over what waits for the access log.
    pub fn flush(&self) {
        if let Some(lane) = &self.recorders.access_log {
            lane.flush();
        }
    }

    fn count(&self, active: &Active, tenant: Option<TenantIndex>, outcome: &Outcome) {
        active.tallies.count(tenant, self.settings.worker, outcome);
    }

    /// The newest snapshot; costs no shared write while nothing has changed.
    fn snapshot(&self) -> Current {
        let mut current = self.current.borrow_mut();
        if let Some(newer) = self.shared.snapshot_if_newer(&current) {
            *current = Rc::new(newer);
        }
        Rc::clone(&current)
    }

    /// What of a snapshot is needed until a request is over.
    fn active(&self, snapshot: &Snapshot) -> Rc<Active> {
        let mut active = self.active.borrow_mut();
        if !active.is_of(snapshot) {
            *active = Rc::new(Active::of(snapshot));
        }
        Rc::clone(&active)
    }

    /// A pool of this region, for a request with these headers as they go to backends.
    fn asked<'s>(
        &self,
        snapshot: &'s Snapshot,
        (tenant, index): (TenantIndex, PoolIndex),
        headers: &HeaderMap,
    ) -> Option<Asked<'s>> {
        let pool = snapshot.policy.tenant(tenant)?.pool_at(snapshot.here.region, index)?;
        let pools = snapshot.pools.of(tenant)?;
        let by_address = pool.balance == Balance::Maglev(HashKey::Address);
        let rule = &self.settings.client_address;
        let client = by_address.then(|| headers::carried_client_address(headers, rule)).flatten();
        let (state, budget) = (pools.pool(index)?, &*pools.budget);
        Some(Asked { tenant, index, pool, state, budget, client, trail: None })
    }

    fn chance(&self) -> u32 {
        self.chance.borrow_mut().0.next_u32()
    }

    /// Whether a request without a trace begins one.
    fn begins_trace(&self) -> bool {
        self.recorders.traces.as_ref().is_some_and(|traces| traces.samples(self.chance()))
    }

    fn chance_bits(&self) -> u128 {
        let chance = &mut self.chance.borrow_mut().0;
        u128::from(chance.next_u64()) << 64 | u128::from(chance.next_u64())
    }
}

impl Handler for Gateway {
    fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        client: &Client,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> + use<> {
        let mut begun = self.begin(request, client);
        // Boxed: the HTTP library moves it several times, and it is a few thousand bytes.
        Box::pin(async move {
            Ok(match &mut begun {
                Begun::Pending(pending) => {
                    let mut response = pending.route().await;
                    pending.give_account(&mut response);
                    response
                }
                Begun::Refused { reason, manner, account } => {
                    let mut response = answer::unread(&self.settings, *manner, *reason);
                    if let Some(mut account) = account.take() {
                        account.refused(*reason);
                        account.answers(&mut response);
                    }
                    response
                }
            })
        })
    }

    fn refused(&self, version: Version, reason: Reason) {
        account::refused_at_once(self, Protocol::of(version), |_| None, reason);
    }

    fn flooded(&self, flood: Flood) {
        self.shared.floods.count(flood);
    }

    fn rejected(&self, rejection: Rejection) {
        self.shared.rejections.count(rejection);
    }
}

/// A request as its handling begins.
#[expect(clippy::large_enum_variant, reason = "one value for each request, never moved")]
enum Begun {
    Pending(Pending),
    /// With its account, unless the node is too full for one.
    Refused {
        reason: Reason,
        manner: Manner,
        account: Option<Box<Account>>,
    },
}

impl Gateway {
    /// Counts the request in and reads its facts.
    fn begin(self: &Rc<Self>, request: Request<Incoming>, client: &Client) -> Begun {
        let manner = Manner::of(request.headers());
        let Some(guard) = self.in_flight.try_enter(self.settings.requests_in_flight_max) else {
            self.refused(request.version(), Reason::Overloaded);
            return Begun::Refused { reason: Reason::Overloaded, manner, account: None };
        };
        let account = Account::begin(self, Protocol::of(request.version()), guard);
        let (parts, body) = request.into_parts();
        match facts::read(self, parts, body.is_end_stream(), client) {
            Ok(facts) => Begun::Pending(Pending::new(Rc::clone(self), (facts, manner), body, account)),
            Err(reason) => Begun::Refused { reason, manner, account: Some(account) },
        }
    }
}

#[cfg(test)]
mod tests;
