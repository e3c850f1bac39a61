//! What became of a request, from its head to the end of its answer: told once, when it is over.

use std::fmt::Debug;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use graticule_node_core::access_log::{Asked, Entry, Personal};
use graticule_node_core::decide::{self, ClientCountry, Decided};
use graticule_node_core::headers::{TraceContext, TraceId};
use graticule_node_core::outcome::{Outcome, Protocol, Role};
use graticule_node_core::policy::{AddressMask, PoolName, Tenant, TenantIndex};
use graticule_node_core::shared::InFlightGuard;
use graticule_node_core::{Moment, Reason, RegionIndex, Snapshot, path};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, Response};

use super::{Active, Gateway, Recorders};
use crate::body::{ByteCount, ResponseBody, Witness};
use crate::pool::{Trail, Visit};
use crate::shared::{Span, place};

/// The account of one request. It is given when this is dropped, wherever that happens: with the answer's body, or
/// before there was one.
pub(super) struct Account {
    gateway: Rc<Gateway>,
    /// In flight until the account is given.
    _guard: InFlightGuard,
    protocol: Protocol,
    begun: Moment,
    accepted: Option<Moment>,
    /// Known where it is told.
    first_byte: Option<Moment>,
    /// What it was decided by, with what was decided.
    decided: Option<(Rc<Active>, Verdict)>,
    read: Option<ByteCount>,
    outcome: Outcome,
    /// Which backend was asked.
    trail: Trail,
    /// Known only where somebody wants to know.
    head: Option<Head>,
    /// Whether it gets a span, once that was asked.
    spans: Option<bool>,
}

/// What was decided last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict {
    pub(super) label: &'static str,
    pub(super) tenant: Option<TenantIndex>,
    /// Where the request goes, unless it is refused.
    pub(super) region: Option<RegionIndex>,
    /// Whether this node may keep what is personal.
    pub(super) record: bool,
    /// Where the client is, for rules that ask.
    pub(super) client: ClientCountry,
}

/// What of a request logs and traces tell.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    pub(super) authority: Authority,
    pub(super) client: Option<IpAddr>,
    pub(super) request_id: Option<HeaderValue>,
    /// Where it stands in its trace.
    pub(super) trace: Option<TraceContext>,
    /// Drawn for this node's span.
    pub(super) span: u64,
}

impl Verdict {
    /// What `decided` says at a node of `here`.
    pub(super) fn of(decided: &Decided, here: RegionIndex) -> Self {
        use graticule_node_core::decide::Decision;
        let region = match decided.decision {
            Decision::Local { .. } => Some(here),
            Decision::Relay { region, .. } => Some(region),
            Decision::Redirect { .. } | Decision::Refuse(_) => None,
        };
        let rationale = &decided.rationale;
        let (tenant, record) = (rationale.tenant, rationale.record_here);
        Self { label: decided.decision.label(), tenant, region, record, client: rationale.client }
    }

    /// The same for a request that is refused after all, before anybody was asked.
    pub(super) fn refused(self) -> Self {
        Self { label: REFUSED, region: None, ..self }
    }
}

impl Account {
    /// Begins now, for a request that counts as in flight by `guard`.
    pub(super) fn begin(gateway: &Rc<Gateway>, protocol: Protocol, guard: InFlightGuard) -> Box<Self> {
        let outcome = Outcome {
            role: protocol.role(),
            status: None,
            reason: None,
            attempts: 0,
            bytes_up: 0,
            bytes_down: 0,
            complete: false,
            total: std::time::Duration::ZERO,
        };
        let begun = gateway.world.clock.now();
        let (decided, read, head) = (None, None, None);
        let gateway = Rc::clone(gateway);
        Box::new(Self {
            gateway,
            _guard: guard,
            protocol,
            begun,
            accepted: None,
            first_byte: None,
            decided,
            read,
            outcome,
            trail: Trail::default(),
            head,
            spans: None,
        })
    }

    /// Keeps what logs tell, if there are any.
    pub(super) fn describe(&mut self, head: impl FnOnce() -> Head) {
        let Recorders { access_log, traces } = &self.gateway.recorders;
        if access_log.is_some() || traces.is_some() {
            self.head = Some(head());
        }
    }

    /// Its body is counted there.
    pub(super) fn reads(&mut self, read: Option<ByteCount>) {
        self.read = read;
    }

    /// Where it is noted which backend is asked.
    pub(super) fn trail(&self) -> &Trail {
        &self.trail
    }

    /// It was decided, and what was decided is tried now.
    pub(super) fn tries(&mut self, snapshot: &Snapshot, verdict: Verdict) {
        self.trail.set(None);
        self.decided = Some((self.gateway.active(snapshot), verdict));
        if verdict.region.is_some() {
            self.outcome.attempts = self.outcome.attempts.saturating_add(1);
        }
    }

    /// The span that whatever comes of the request is part of, if this node records one.
    pub(super) fn span(&mut self) -> Option<u64> {
        let span = self.traced().map(|(head, ..)| head.span.max(1))?;
        let lane = self.gateway.recorders.traces.as_ref()?;
        self.spans.get_or_insert_with(|| lane.admits(self.begun)).then_some(span)
    }

    /// What a span of it would tell, if there is to be one: it is traced, and the tenant's rules allow that here.
    fn traced(&self) -> Option<(&Head, TraceContext, &Tenant, AddressMask)> {
        self.gateway.recorders.traces.as_ref()?;
        let head = self.head.as_ref()?;
        let context = head.trace.filter(|context| context.sampled)?;
        let (owner, addresses) = self.recorded()?;
        Some((head, context, owner, addresses))
    }

    /// Whose request it is, if what is personal may be kept of it here, and how much of its client's address: by what it
    /// was decided by, and by what is active now.
    fn recorded(&self) -> Option<(&Tenant, AddressMask)> {
        let (active, verdict) = self.decided.as_ref().filter(|(_, verdict)| verdict.record)?;
        let owner = active.policy.tenant(verdict.tenant?)?;
        let now = self.gateway.snapshot();
        if Arc::ptr_eq(&now.policy, &active.policy) {
            return Some((owner, owner.addresses));
        }
        let path = path::form(self.head.as_ref()?.target.path()).ok()?;
        let addresses = decide::recorded(&now, &owner.id, &path, verdict.client)?;
        Some((owner, addresses.max(owner.addresses)))
    }

    /// It is not forwarded, or got no answer.
    pub(super) fn refused(&mut self, reason: Reason) {
        self.outcome.reason = Some(reason);
        self.outcome.status = Some(reason.row().status);
        // What this node says itself is said whole.
        self.outcome.complete = true;
    }

    /// Its answer begins; the account is given when its body has ended.
    pub(super) fn answers(mut self: Box<Self>, response: &mut Response<ResponseBody>) {
        self.first_byte = self.head.as_ref().map(|_| self.gateway.world.clock.now());
        // What a client of gRPC gets for a refusal says less.
        if self.outcome.reason.is_none() {
            self.outcome.status = Some(response.status().as_u16());
        }
        self.accepted = response.body().accepted();
        response.body_mut().watch(self);
    }

    fn trace(&self, outcome: Outcome) {
        let (Some(lane), Some((head, context, owner, addresses))) =
            (&self.gateway.recorders.traces, self.traced())
        else {
            return;
        };
        // Nobody stands under a span that was not admitted.
        if self.spans != Some(true) {
            return;
        }
        let region = self.decided.as_ref().and_then(|(active, verdict)| {
            active.policy.fleet.region(verdict.region?).map(|region| region.name.clone())
        });
        lane.push(Span {
            trace: context.trace,
            parent: place(context, head.span),
            id: head.span.max(1),
            ended: self.gateway.world.clock.wall(),
            outcome,
            accepted: self.accepted.map(|accepted| accepted.since(self.begun)),
            protocol: self.protocol,
            tenant: owner.id.clone(),
            region,
            client: head.client.map(|client| (client, addresses)),
            method: head.method.to_string(),
            host: head.authority.host().to_owned(),
            path: head.target.path().to_owned(),
        });
    }

    /// The backend that was asked last.
    fn asked<'a>(&self, owner: &'a Tenant) -> Option<Asked<'a>> {
        let Visit { pool, backend: address, attempts } = self.trail.get()?;
        let pool = owner.pool_name(pool).map_or("default", PoolName::as_str);
        Some(Asked { pool, address, attempts })
    }

    fn log(&self, ended: &Outcome) {
        let Some(lane) = &self.gateway.recorders.access_log else { return };
        let Some((active, verdict)) = &self.decided else {
            let active = self.gateway.active(&self.gateway.snapshot());
            return lane.write(&nobodys(&self.gateway, &active, self.protocol, ended));
        };
        let recorded = self.recorded();
        // Elsewhere only counters.
        if recorded.is_none() && verdict.tenant.is_some() {
            return;
        }
        let name = |region| active.policy.fleet.region(region).map(|region| region.name.as_str());
        let since = |moment: Option<Moment>| moment.map(|moment| moment.since(self.begun));
        let trace = self.head.as_ref().and_then(|head| head.trace);
        let trace_id = TraceId::of(trace);
        let nobodys = nobodys(&self.gateway, active, self.protocol, ended);
        let [edge, _] = nobodys.regions;
        lane.write(&Entry {
            tenant: recorded.map(|(owner, _)| owner.id.as_str()),
            regions: [edge, verdict.region.and_then(name)],
            decision: verdict.label,
            backend: recorded.and_then(|(owner, _)| self.asked(owner)),
            accepted: since(self.accepted),
            first_byte: since(self.first_byte),
            // Whose rules would allow it, if it is nobody's?
            personal: recorded
                .zip(self.head.as_ref())
                .map(|((_, mask), head)| head.personal(mask, &trace_id)),
            ..nobodys
        });
    }
}

/// Tells of a request that is refused before there is an account of it. Whose it is, if that is known, only counters say.
pub(super) fn refused_at_once(
    gateway: &Gateway,
    protocol: Protocol,
    tenant: impl FnOnce(&Snapshot) -> Option<TenantIndex>,
    reason: Reason,
) {
    let (snapshot, outcome) = (gateway.snapshot(), Outcome::refused(protocol.role(), reason));
    let active = gateway.active(&snapshot);
    gateway.count(&active, tenant(&snapshot), &outcome);
    if let Some(lane) = &gateway.recorders.access_log {
        lane.write(&nobodys(gateway, &active, protocol, &outcome));
    }
}

/// What is said of a refused request of which nothing more is known, or may be said.
fn nobodys<'a>(
    gateway: &'a Gateway,
    active: &'a Active,
    protocol: Protocol,
    outcome: &'a Outcome,
) -> Entry<'a> {
    let wall = gateway.world.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    let here = active.policy.fleet.region(active.region);
    let edge = here.filter(|_| outcome.role == Role::Edge).map(|region| region.name.as_str());
    Entry {
        ended_us: wall.as_micros() as u64,
        node: gateway.settings.name.as_str(),
        outcome,
        protocol,
        tenant: None,
        regions: [edge, None],
        decision: REFUSED,
        backend: None,
        accepted: None,
        first_byte: None,
        personal: None,
    }
}

impl Head {
    fn personal<'a>(&'a self, addresses: AddressMask, trace: &'a TraceId) -> Personal<'a> {
        Personal {
            client: self.client,
            addresses,
            method: self.method.as_str(),
            host: self.authority.host(),
            path: self.target.path(),
            request_id: self.request_id.as_ref().and_then(|id| id.to_str().ok()),
            trace_id: trace.as_str(),
        }
    }
}

impl Witness for Account {
    fn passed(&mut self, bytes: usize) {
        self.outcome.bytes_down += bytes as u64;
    }

    fn ended(&mut self) {
        self.outcome.complete = true;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let bytes_up = self.read.as_ref().map_or(0, |read| read.get());
        let total = self.gateway.world.clock.now().since(self.begun);
        let outcome = Outcome { bytes_up, total, ..self.outcome };
        // By the documents that it was decided by: the tenant's number means nothing in another.
        match &self.decided {
            Some((active, verdict)) => self.gateway.count(active, verdict.tenant, &outcome),
            None => self.gateway.count(&self.gateway.active(&self.gateway.snapshot()), None, &outcome),
        }
        self.log(&outcome);
        self.trace(outcome);
    }
}

impl Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

/// As [`graticule_node_core::decide::Decision::label`] has it.
const REFUSED: &str = "refuse";
