//! A request's way through this node: facts, decision, dispatch, answer.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use graticule_gossip_core::NodeName;
use graticule_node_core::headers::{self, ClientAddressRule};
use graticule_node_core::policy::{Balance, HashKey, PoolIndex, TenantIndex};
use graticule_node_core::shared::{InFlight, InFlightGuard};
use graticule_node_core::{Reason, Snapshot};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use rand::RngCore;

use crate::body::ResponseBody;
use crate::ingress::{Client, Handler};
use crate::pool::{Asked, Connections};
use crate::relay::Tunnels;
use crate::shared::Shared;
use crate::world::World;

mod answer;
mod dispatch;
mod facts;
mod serving;

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

/// One worker's gateway.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    world: World,
    backends: Connections,
    tunnels: Rc<Tunnels>,
    settings: GatewaySettings,
    in_flight: InFlight,
    chance: RefCell<Chance>,
    current: RefCell<Current>,
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
        in_flight: InFlight,
    ) -> Self {
        let chance = RefCell::new(Chance(world.chance.generator()));
        let current = RefCell::new(Rc::new(shared.snapshot()));
        Self { shared, world, backends, tunnels, settings, in_flight, chance, current }
    }

    /// The newest snapshot; costs no shared write while nothing has changed.
    fn snapshot(&self) -> Current {
        let mut current = self.current.borrow_mut();
        if let Some(newer) = self.shared.snapshot_if_newer(&current) {
            *current = Rc::new(newer);
        }
        Rc::clone(&current)
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
        Some(Asked { tenant, index, pool, state: pools.pool(index)?, budget: &pools.budget, client })
    }

    fn chance(&self) -> u32 {
        self.chance.borrow_mut().0.next_u32()
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
        async move {
            Ok(match &mut begun {
                Ok((pending, guard)) => {
                    let mut response = pending.route().await;
                    guard.take().into_iter().for_each(|guard| response.body_mut().hold(guard));
                    response
                }
                Err(reason) => answer::unread(&self.settings, *reason),
            })
        }
    }
}

impl Gateway {
    /// Counts the request in and reads its facts.
    fn begin(
        self: &Rc<Self>,
        request: Request<Incoming>,
        client: &Client,
    ) -> Result<(Pending, Option<InFlightGuard>), Reason> {
        let guard = self.in_flight.try_enter(self.settings.requests_in_flight_max);
        let guard = guard.ok_or(Reason::Overloaded)?;
        let (parts, body) = request.into_parts();
        let facts = facts::read(self, parts, body.is_end_stream(), client)?;
        Ok((Pending::new(Rc::clone(self), facts, body), Some(guard)))
    }
}

#[cfg(test)]
mod tests;
