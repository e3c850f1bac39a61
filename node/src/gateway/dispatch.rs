//! Where a decision is carried out: here, through a tunnel, or not at all; and what happens when that fails.

use std::rc::Rc;

use graticule_node_core::decide::{Decided, Decision, Request, decide, peers};
use graticule_node_core::framing::{BodyLength, RequestHeadRef};
use graticule_node_core::mesh::{PeerId, Sought};
use graticule_node_core::policy::{Policy, PoolIndex, RetryRule, Tenant, TenantIndex};
use graticule_node_core::pool::retry;
use graticule_node_core::shared::RetryBudget;
use graticule_node_core::{Reason, RegionIndex, RegionSet, Snapshot, headers};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use hyper::body::Incoming;
use smallvec::SmallVec;
use tokio::time::{Instant, timeout_at};

use super::account::{Account, Verdict};
use super::answer::Manner;
use super::facts::{Facts, Upgrade};
use super::{Current, Gateway, answer};
use crate::body::{self, RequestBody, ResponseBody, UpgradeInput};
use crate::early::{Early, Heard, Listener};
use crate::pool::{Asked, Outgoing, SendFailure};
use crate::relay::{self, Failure, Relayed, Tunnel, Upload};

/// One request until it is answered.
pub(super) struct Pending {
    gateway: Rc<Gateway>,
    facts: Facts,
    /// How its client is told of a refusal.
    manner: Manner,
    upload: Upload,
    /// Where what the client sends is to go if the connection is upgraded.
    input: Option<UpgradeInput>,
    /// When the request must have its answer.
    deadline: Option<Instant>,
    /// Whether the tenant's limits have been seen to.
    is_limited: bool,
    tried: RegionSet,
    tried_peers: SmallVec<[PeerId; 4]>,
    /// Whether something of what was tried was at a limit, and would have served it otherwise.
    was_full: bool,
    /// How the last of the pools that were asked has failed.
    backends_failed: Option<Reason>,
    /// Whether a retry was paid for that has not ended.
    paid: bool,
    chance: u32,
    /// Until the answer has it.
    account: Option<Box<Account>>,
}

/// What a tenant wants of one attempt beside an answer.
#[derive(Default)]
struct Asking {
    deadline: Option<Instant>,
    /// Where the backend's informational responses arrive, if they are passed on.
    heard: Option<Heard>,
}

/// What became of one attempt.
#[expect(clippy::large_enum_variant, reason = "one value for each request, moved once")]
enum Attempt {
    Answered(Response<ResponseBody>),
    /// It failed, and decides anew where the request may go.
    Again,
    /// So it does, but where backends fail, clients that failed together should not come back together.
    AfterPause,
    /// It failed in a way that forbids another.
    Over(Reason),
}

impl Pending {
    /// Nothing decided yet.
    pub(super) fn new(
        gateway: Rc<Gateway>,
        (facts, manner): (Facts, Manner),
        body: Incoming,
        mut account: Box<Account>,
    ) -> Self {
        let (input, body) = if facts.upgrade.is_some() {
            let (input, body) = body::upgrade();
            (Some(input), RequestBody::upgrade(body))
        } else {
            (None, RequestBody::client(body, gateway.settings.body_timeout))
        };
        let (body, read) = body.counted();
        account.reads(read);
        account.describe(|| facts.for_account());
        let upload = Upload::new(body, facts.method.is_idempotent());
        let chance = gateway.chance();
        Self {
            gateway,
            facts,
            manner,
            upload,
            input,
            deadline: None,
            is_limited: false,
            tried: RegionSet::EMPTY,
            tried_peers: SmallVec::new(),
            was_full: false,
            backends_failed: None,
            paid: false,
            chance,
            account: Some(account),
        }
    }

    /// The answer to the request is this: what remains to be told, its body tells.
    pub(super) fn give_account(&mut self, response: &mut Response<ResponseBody>) {
        if let Some(account) = self.account.take() {
            account.answers(response);
        }
    }

    /// Decides, dispatches, and decides again where that fails and the request may go elsewhere.
    pub(super) async fn route(&mut self) -> Response<ResponseBody> {
        for _ in 0..ATTEMPTS_MAX {
            let snapshot = self.gateway.snapshot();
            let decided = self.decide(&snapshot);
            if decided.decision == NOBODY && self.backends_failed.is_some() {
                // The account is that of the attempt that failed.
                break;
            }
            let asking = self.asking(&snapshot, &decided);
            self.account_for(&snapshot, &decided, asking.is_ok());
            let attempt = match asking {
                Err(reason) => Attempt::Over(reason),
                Ok(Asking { deadline: None, heard: None }) => self.attempt(&snapshot, &decided, None).await,
                // Rare, so it may cost an allocation; every request would pay for its size otherwise.
                Ok(asking) => Box::pin(self.attempt_with(&snapshot, &decided, asking)).await,
            };
            match attempt {
                Attempt::Answered(response) => return self.answered(response),
                Attempt::Again => {}
                Attempt::AfterPause => self.pause().await,
                Attempt::Over(Reason::NoCompliantRegion) => break,
                Attempt::Over(reason) => return self.refuse(reason),
            }
        }
        // Nothing that is left can serve it. Whoever reads why can do something about a limit, or about backends that were
        // asked in vain; that there is no region is the whole truth only if none was.
        let of_backends = self.backends_failed.unwrap_or(Reason::NoCompliantRegion);
        self.refuse(if self.was_full { Reason::Overloaded } else { of_backends })
    }

    async fn attempt(
        &mut self,
        snapshot: &Snapshot,
        decided: &Decided,
        listener: Option<&Listener>,
    ) -> Attempt {
        match decided.decision {
            Decision::Refuse(reason) => Attempt::Over(reason),
            Decision::Redirect { .. } => Attempt::Answered(self.redirect()),
            Decision::Local { tenant, pool } => self.local(snapshot, (tenant, pool), listener).await,
            Decision::Relay { tenant, region } => {
                self.relay(snapshot, decided, (tenant, region), listener).await
            }
        }
    }

    /// The same for a tenant who wants more.
    async fn attempt_with(&mut self, snapshot: &Snapshot, decided: &Decided, asking: Asking) -> Attempt {
        let early = self.facts.early.clone();
        let attempt = async {
            let Some((mut heads, listener)) = asking.heard.map(Heard::split) else {
                return self.attempt(snapshot, decided, None).await;
            };
            let pass_on = |head: &Early| {
                if let Some((early, version)) = &early {
                    early.say(*version, head.status, &head.headers);
                }
            };
            heads.until(self.attempt(snapshot, decided, Some(&listener)), pass_on).await
        };
        match asking.deadline {
            None => attempt.await,
            Some(deadline) => {
                timeout_at(deadline, attempt).await.unwrap_or(Attempt::Over(Reason::DeadlineExceeded))
            }
        }
    }

    /// Sees to the tenant's limits and wishes.
    fn asking(&mut self, snapshot: &Snapshot, decided: &Decided) -> Result<Asking, Reason> {
        let tenant = decided.rationale.tenant.and_then(|tenant| snapshot.policy.tenant(tenant));
        let Some(tenant) = tenant else { return Ok(Asking::default()) };
        if !std::mem::replace(&mut self.is_limited, true) {
            self.deadline = tenant.limits.request_timeout.map(|timeout| Instant::now() + timeout);
            if let Some(bytes_max) = tenant.limits.body_bytes_max {
                if self.upload.length().is_some_and(|bytes| bytes > bytes_max) {
                    return Err(Reason::BodyTooLarge);
                }
                self.upload.limit(bytes_max);
            }
        }
        let listens = tenant.informational && self.facts.early.is_some();
        Ok(Asking { deadline: self.deadline, heard: listens.then(Heard::default) })
    }

    /// What an upgrade comes to.
    fn answered(&mut self, mut response: Response<ResponseBody>) -> Response<ResponseBody> {
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let is_believed = match &self.facts.upgrade {
            // A client of HTTP/2 gets no proof that the backend means it, so it is asked for here.
            Some(Upgrade::Connect { key: Some(key) }) if is_upgrade => {
                headers::proves_websocket(response.headers(), key)
            }
            // The client would take success for an upgrade that took place.
            Some(Upgrade::Connect { .. }) => is_upgrade || !response.status().is_success(),
            _ => true,
        };
        if !is_believed {
            return self.refuse(Reason::BackendFailed);
        }
        if is_upgrade {
            self.input.take().into_iter().for_each(|input| response.body_mut().set_input(input));
        }
        response
    }

    fn decide(&self, snapshot: &Snapshot) -> Decided {
        decide(snapshot, &self.request(self.tried))
    }

    fn request(&self, tried: RegionSet) -> Request<'_> {
        Request {
            host: self.facts.host.name(),
            method: &self.facts.method,
            path: self.facts.path(),
            query: self.facts.target.query().unwrap_or_default(),
            headers: &self.facts.headers,
            arrival: self.facts.arrival(),
            client: self.facts.client,
            tried,
            chance: self.chance,
        }
    }

    fn body_length(&self) -> BodyLength {
        if self.facts.upgrade.is_some() || self.upload.is_empty() {
            BodyLength::None
        } else {
            self.upload.length().map_or(BodyLength::Unknown, BodyLength::Known)
        }
    }

    /// Tells what was decided, and, if it is tried, whoever is asked next whose span it is in.
    fn account_for(&mut self, snapshot: &Current, decided: &Decided, is_tried: bool) {
        let Some(account) = &mut self.account else { return };
        let verdict = Verdict::of(decided, snapshot.here.region);
        account.tries(snapshot, if is_tried { verdict } else { verdict.refused() });
        if let Some(span) = account.span() {
            headers::set_trace_parent(&mut self.facts.headers, span);
        }
    }

    fn refuse(&mut self, reason: Reason) -> Response<ResponseBody> {
        if let Some(account) = &mut self.account {
            account.refused(reason);
        }
        answer::refusal(&self.gateway.settings, self.manner, reason, self.facts.request_id.as_ref())
    }

    /// The same again, through TLS.
    fn redirect(&self) -> Response<ResponseBody> {
        let Facts { host, target, request_id, .. } = &self.facts;
        answer::redirect(&self.gateway.settings, (host.name(), target), request_id.as_ref())
    }

    /// One of the tenant's pools in this region.
    async fn local(
        &mut self,
        snapshot: &Snapshot,
        (tenant, index): (TenantIndex, PoolIndex),
        listener: Option<&Listener>,
    ) -> Attempt {
        let here = snapshot.here.region;
        let asked = self.gateway.asked(snapshot, (tenant, index), &self.facts.headers);
        let (Some(owner), Some(asked)) = (snapshot.policy.tenant(tenant), asked) else {
            return Attempt::Over(Reason::NoCompliantRegion);
        };
        let Some(body) = self.upload.take_back() else { return Attempt::Over(Reason::NoCompliantRegion) };
        let budget = asked.budget;
        let asked = Asked { trail: self.account.as_deref().map(Account::trail), ..asked };
        let authority = self.facts.host.authority();
        let headers = std::mem::take(&mut self.facts.headers);
        let (method, target) = (self.facts.method.clone(), self.facts.target.clone());
        let request = backend_request(method, target, (headers, authority), body);
        let mut outgoing = outgoing(request, listener);
        let chance = self.gateway.chance();
        match self.gateway.backends.send(asked, chance, &mut outgoing).await {
            Ok(response) => {
                self.settle(response.status(), budget);
                let mut response = response.map(ResponseBody::backend);
                answer::from_backend(&mut response);
                answer::from_edge(
                    &self.gateway.settings,
                    &mut response,
                    owner,
                    region_name(&snapshot.policy, here),
                );
                Attempt::Answered(response)
            }
            Err(failure) => self.failed_here(*failure, here, budget),
        }
    }

    /// No backend here gave an answer: the request is sent elsewhere if there is somewhere else and it may be.
    fn failed_here(
        &mut self,
        failure: SendFailure<RequestBody>,
        here: RegionIndex,
        budget: &RetryBudget,
    ) -> Attempt {
        let SendFailure { reason, reached, request, sent } = failure;
        // Such a request is bad everywhere, and a retry would cost.
        let request = request.filter(|_| reason != Reason::BadRequest);
        let Some(request) = request else { return Attempt::Over(reason) };
        let (parts, mut body) = request.into_parts();
        body.put_back(sent.chunks.into_iter(), sent.trailers);
        self.facts.headers = parts.headers;
        // They spoke of the connection to a backend.
        self.facts.headers.remove(header::CONNECTION);
        self.facts.headers.remove(header::TRANSFER_ENCODING);
        self.upload = Upload::new(body, self.facts.method.is_idempotent());
        self.note(reason);
        self.tried.insert(here);
        if !reached {
            return Attempt::Again;
        }
        let elsewhere = !matches!(self.decide(&self.gateway.snapshot()).decision, Decision::Refuse(_));
        if elsewhere && self.pay(budget) { Attempt::AfterPause } else { Attempt::Over(reason) }
    }

    /// Remembers what is to be told if nothing else can serve the request.
    fn note(&mut self, reason: Reason) {
        self.was_full |= reason == Reason::Overloaded;
        if matches!(reason, Reason::BackendUnreachable | Reason::BackendFailed | Reason::BackendTimeout) {
            self.backends_failed = Some(reason);
        }
    }

    /// Takes a retry from the tenant's budget, if it has any.
    fn pay(&mut self, budget: &RetryBudget) -> bool {
        let paid = budget.take();
        self.paid |= paid;
        paid
    }

    /// An answer has come: one retry that led to it was none too many.
    fn settle(&mut self, status: StatusCode, budget: &RetryBudget) {
        if self.paid && !retry::is_failure(status.as_u16()) {
            budget.give_back();
        }
    }

    async fn pause(&self) {
        let pause = retry::pause(&RetryRule::default(), 0, self.gateway.chance());
        Box::pin(tokio::time::sleep(pause)).await;
    }

    /// A node of another region.
    async fn relay(
        &mut self,
        snapshot: &Snapshot,
        decided: &Decided,
        (tenant, region): (TenantIndex, RegionIndex),
        listener: Option<&Listener>,
    ) -> Attempt {
        let gateway = Rc::clone(&self.gateway);
        let Some(owner) = snapshot.policy.tenant(tenant) else { return Attempt::Over(Reason::UnknownTenant) };
        let Some(tunnel) = self.tunnel(snapshot, owner, region) else {
            self.tried.insert(region);
            return Attempt::Again;
        };
        let target = tunnel.target.id;
        let head = RequestHeadRef {
            tenant: &owner.id,
            tenant_version: owner.version.0,
            fleet_version: snapshot.policy.fleet.version.0,
            client: decided.rationale.client,
            method: &self.facts.method,
            authority: self.facts.host.authority(),
            target: &self.facts.target,
            headers: &self.facts.headers,
            body: self.body_length(),
            upgrade: self.facts.upgrade.is_some(),
        };
        let open_timeout = gateway.settings.open_timeout;
        let may_leave = || self.could_go_elsewhere(owner, region, target);
        let request = Relayed { head, upload: &self.upload, may_leave, open_timeout, listener };
        let budget = snapshot.pools.of(tenant).map(|pools| &*pools.budget);
        let sent =
            relay::send(&gateway.world, &tunnel, request, |at| gateway.shared.suspect(target, at)).await;
        match sent {
            Ok(response) => {
                if let Some(budget) = budget {
                    if !retry::is_failure(response.status().as_u16()) {
                        budget.succeeded();
                    }
                    self.settle(response.status(), budget);
                }
                let mut response = response.map(ResponseBody::tunnel);
                answer::from_edge(
                    &gateway.settings,
                    &mut response,
                    owner,
                    region_name(&snapshot.policy, region),
                );
                Attempt::Answered(response)
            }
            Err(failure) => {
                // It speaks of one pool: of a tenant with several, it says nothing about the others.
                if failure == Failure::Refused(Reason::NoCompliantRegion) && owner.content.is_empty() {
                    gateway.shared.refused(target, &owner.id);
                }
                let elsewhere = match failure {
                    Failure::Sent(Reason::BackendTimeout) => self.could_leave(region),
                    failure => !failure.is_of_backends() || self.could_go_elsewhere(owner, region, target),
                };
                self.failed(failure, (target, region, elsewhere), budget)
            }
        }
    }

    /// A tunnel to a node of `region` which this request has not tried.
    fn tunnel(&self, snapshot: &Snapshot, owner: &Tenant, region: RegionIndex) -> Option<Rc<Tunnel>> {
        let tunnels = &self.gateway.tunnels;
        let state = snapshot.mesh.regions.get(region.position())?;
        let in_flight = |peer| tunnels.in_flight(peer);
        let peer = peers::choose(state, &owner.id, &self.tried_peers, in_flight, self.gateway.chance())?;
        tunnels.get(peer.id)
    }

    /// Whether the request could be sent to another node than `peer` of `region`, as things are now.
    fn could_go_elsewhere(&self, owner: &Tenant, region: RegionIndex, peer: PeerId) -> bool {
        let snapshot = self.gateway.snapshot();
        let sought = Sought::new(&owner.id);
        let beside = snapshot.mesh.regions.get(region.position()).is_some_and(|state| {
            let mut peers = state.peers.iter().filter(|other| other.id != peer && other.can_serve(&sought));
            peers.any(|other| !self.tried_peers.contains(&other.id))
        });
        beside || self.could_leave(region)
    }

    /// Whether the request could be sent to another region than `region`, as things are now.
    fn could_leave(&self, region: RegionIndex) -> bool {
        let mut tried = self.tried;
        tried.insert(region);
        let decided = decide(&self.gateway.snapshot(), &self.request(tried));
        !matches!(decided.decision, Decision::Refuse(_))
    }

    /// Whether a request that failed at a peer may go elsewhere, if it can.
    fn failed(
        &mut self,
        failure: Failure,
        (peer, region, elsewhere): (PeerId, RegionIndex, bool),
        budget: Option<&RetryBudget>,
    ) -> Attempt {
        // Whatever the peer makes of a body that breaks off, it is the client that broke it off.
        if let Some(reason) = self.upload.fault() {
            return Attempt::Over(reason);
        }
        let (reason, repeatable) = match failure {
            Failure::Unsent(reason) | Failure::Refused(reason) => (reason, true),
            Failure::Never(reason) => (reason, false),
            Failure::Sent(reason) => (reason, self.facts.method.is_idempotent()),
        };
        self.note(reason);
        let costs = failure.is_of_backends();
        let Some(body) = self.upload.take_back().filter(|_| repeatable) else { return Attempt::Over(reason) };
        if costs && !(elsewhere && budget.is_some_and(|budget| self.pay(budget))) {
            return Attempt::Over(reason);
        }
        self.upload = Upload::new(body, self.facts.method.is_idempotent());
        match failure {
            // Its nodes share the pool that was too slow: asking another would wait as long again.
            Failure::Sent(Reason::BackendTimeout) => self.tried.insert(region),
            // Another node of the region may be well.
            Failure::Unsent(_)
            | Failure::Sent(_)
            | Failure::Refused(Reason::Overloaded | Reason::Draining) => self.tried_peers.push(peer),
            Failure::Refused(_) | Failure::Never(_) => self.tried.insert(region),
        }
        if costs { Attempt::AfterPause } else { Attempt::Again }
    }
}

/// The request, ready to be sent; `listener` hears what comes before its answer.
pub(super) fn outgoing(
    mut request: http::Request<RequestBody>,
    listener: Option<&Listener>,
) -> Outgoing<RequestBody> {
    if let Some(listener) = listener {
        listener.listen(&mut request);
    }
    Outgoing::new(request)
}

/// The request as a backend gets it: origin-form, with the headers moved in.
pub(super) fn backend_request(
    method: Method,
    target: PathAndQuery,
    (mut headers, authority): (HeaderMap, &Authority),
    body: RequestBody,
) -> http::Request<RequestBody> {
    let mut request = http::Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = http::Uri::from(target);
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        headers.insert(header::HOST, host);
    }
    if headers.contains_key(header::UPGRADE) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    *request.headers_mut() = headers;
    request
}

fn region_name(policy: &Policy, region: RegionIndex) -> Option<HeaderValue> {
    policy.fleet.region(region).and_then(|region| HeaderValue::from_str(region.name.as_str()).ok())
}

/// What is decided when nothing is left to try.
const NOBODY: Decision = Decision::Refuse(Reason::NoCompliantRegion);
/// Sendings of one request, the first included.
const ATTEMPTS_MAX: usize = 8;
