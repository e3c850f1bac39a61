//! Where a request goes, and why: one readable function over the stages.

use std::net::IpAddr;
use std::sync::Arc;

use graticule_geo::Locator;
use graticule_gossip_core::NodeName;
use http::{HeaderMap, Method};

use crate::mesh::{MeshState, Sought};
use crate::policy::{AddressMask, Content, Policy, PoolIndex, Tenant, TenantId, TenantIndex};
use crate::pool::{Ability, PoolStates};
use crate::shared::Tallies;
use crate::{Reason, RegionIndex, RegionSet};

mod location;
pub mod peers;
mod rationale;
mod residency;
mod routing;
mod tenant;
mod two_choices;

pub use rationale::{Candidate, ClientCountry, Rationale, Verdict};

/// Decides where `request` goes.
///
/// Waits for nothing, and allocates the list of candidates only. Ask again with the failed region in
/// [`Request::tried`] to retry: every retry passes through residency again.
pub fn decide(snapshot: &Snapshot, request: &Request<'_>) -> Decided {
    let mut rationale = Rationale::default();
    let decision = pass_stages(snapshot, request, &mut rationale).unwrap_or_else(Decision::Refuse);
    Decided { decision, rationale }
}

fn pass_stages(
    snapshot: &Snapshot,
    request: &Request<'_>,
    rationale: &mut Rationale,
) -> Result<Decision, Reason> {
    // Who is asking?
    let (tenant, document) =
        tenant::recognise(&snapshot.policy, request.host, request.path, request.headers)?;
    rationale.tenant = Some(tenant);
    place(snapshot, request, (tenant, document), rationale)
}

/// The stages that follow when it is known who is asking.
fn place(
    snapshot: &Snapshot,
    request: &Request<'_>,
    (tenant, document): (TenantIndex, &Tenant),
    rationale: &mut Rationale,
) -> Result<Decision, Reason> {
    let here = snapshot.here.region;
    let rules = document.residency_for(request.path);

    // Where are they?
    rationale.client = location::client(rules, request.client, |address| snapshot.locator.locate(address));

    // Where may it be served, recorded and received?
    let permission = residency::permission(rules, rationale.client);
    rationale.record_here = permission.as_ref().is_ok_and(|permission| permission.all.contains(here));
    // Is it to come another way? Before rules refuse it, but after it is known whether that may be recorded.
    tenant::named_alike(&snapshot.policy, tenant, request.host, request.arrival)?;
    if document.redirect_http && request.arrival == Arrival::Cleartext {
        return Ok(Decision::Redirect { tenant });
    }
    let permission = permission?;
    residency::may_receive(rules, &permission, here)?;

    // Which region is nearest and able?
    let sought = Sought::new(&document.id);
    let split = document.split_for(&request.content());
    let question =
        routing::Question { snapshot, tenant, document, sought, split, permission: &permission, request };
    rationale.candidates = routing::candidates(&question);
    match rationale.chosen() {
        Some(region) if region == here => {
            // Which of its pools here?
            let pool = snapshot.pools.draw(tenant, split, request.chance).ok_or(Reason::NoCompliantRegion)?;
            Ok(Decision::Local { tenant, pool })
        }
        Some(region) => Ok(Decision::Relay { tenant, region }),
        None => Err(Reason::NoCompliantRegion),
    }
}

/// What would be decided for a GET of `tenant` if one came now; nothing is sent. `path` has the form of
/// [`path`](crate::path), `query` is what follows it.
pub fn explain(
    snapshot: &Snapshot,
    tenant: TenantIndex,
    (path, query): (&str, &str),
    client: Option<IpAddr>,
) -> Decided {
    let headers = HeaderMap::new();
    // Half of the shares prefer each side of an even split; the middle speaks for most.
    let chance = u32::MAX / 2;
    let request = Request {
        host: "",
        method: &Method::GET,
        path,
        query,
        headers: &headers,
        arrival: Arrival::Secured { server_name: None },
        client,
        tried: RegionSet::EMPTY,
        chance,
    };
    let mut rationale = Rationale { tenant: Some(tenant), ..Rationale::default() };
    let decision = match snapshot.policy.tenant(tenant) {
        None => Err(Reason::UnknownTenant),
        Some(document) => place(snapshot, &request, (tenant, document), &mut rationale),
    };
    Decided { decision: decision.unwrap_or_else(Decision::Refuse), rationale }
}

/// Decides whether this node serves a request that another node has relayed to it. It never relays again.
///
/// Residency is asked once more, for this node's own region, by the documents that are active here: what they forbid is
/// [`Reason::PolicySkew`], and the edge tries the next compliant region. That includes a tenant that is not known here,
/// and a client's country that the rules here ask for and the edge's did not. Without a healthy backend the answer is
/// [`Reason::NoCompliantRegion`]: the edge remembers it for a second and goes elsewhere. The edge alone judges tiers,
/// because it alone sees which regions are able. Which of the tenant's pools is for the request is asked here.
pub fn serve(snapshot: &Snapshot, relayed: &Relayed<'_>) -> Result<(TenantIndex, PoolIndex), Reason> {
    let permitted = permitted_here(snapshot, relayed.tenant, relayed.content.path, relayed.client);
    let (tenant, document) = permitted.ok_or(Reason::PolicySkew)?;
    let split = document.split_for(&relayed.content);
    let pool = snapshot.pools.draw(tenant, split, relayed.chance);
    Ok((tenant, pool.ok_or(Reason::NoCompliantRegion)?))
}

/// How much of a client's address this node may record of a request that earlier documents have decided, by those that are
/// active now; `None` if it may keep nothing personal any more.
pub fn recorded(
    snapshot: &Snapshot,
    tenant: &TenantId,
    path: &str,
    client: ClientCountry,
) -> Option<AddressMask> {
    permitted_here(snapshot, tenant, path, client).map(|(_, document)| document.addresses)
}

/// A tenant that is known here, if its rules permit this node's region for such a request.
fn permitted_here<'s>(
    snapshot: &'s Snapshot,
    tenant: &TenantId,
    path: &str,
    client: ClientCountry,
) -> Option<(TenantIndex, &'s Tenant)> {
    let index = snapshot.policy.tenant_by_id(tenant)?;
    let document = snapshot.policy.tenant(index)?;
    let permits = residency::permits_relayed(document.residency_for(path), client, snapshot.here.region);
    permits.then_some((index, document))
}

/// Everything a decision needs: immutable, replaced whole, loaded once for a request.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What the documents say.
    pub policy: Arc<Policy>,
    /// Where addresses are.
    pub locator: Arc<Locator>,
    /// What is known of other regions.
    pub mesh: Arc<MeshState>,
    /// What is known of this region's backends.
    pub pools: Arc<PoolStates>,
    /// What became of every tenant's requests so far; its positions are the policy's.
    pub tallies: Arc<Tallies>,
    /// Who decides.
    pub here: Here,
}

/// The node that decides.
#[derive(Debug, Clone)]
pub struct Here {
    /// Its name.
    pub node: NodeName,
    /// Its region in the snapshot's policy.
    pub region: RegionIndex,
}

/// The facts of one request, as the ingress found them. No body: a body is never read to decide.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The host asked for, in lower case and without port.
    pub host: &'a str,
    /// The method.
    pub method: &'a Method,
    /// The path, without query, in the form of [`path`](crate::path).
    pub path: &'a str,
    /// What follows `?`, as it came; empty if there is nothing.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// How it came to this node.
    pub arrival: Arrival<'a>,
    /// The client's address, `None` if it could not be told.
    pub client: Option<IpAddr>,
    /// Regions in which this request has failed already.
    pub tried: RegionSet,
    /// Chance, uniform over all values: decides which share of a spilling region, or of several pools, this request is in.
    pub chance: u32,
}

impl<'a> Request<'a> {
    fn content(&self) -> Content<'a> {
        Content { method: self.method, path: self.path, query: self.query, headers: self.headers }
    }
}

/// How a request came from its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival<'a> {
    /// For everybody on the way to read.
    Cleartext,
    /// Through TLS, ended here or by a trusted proxy.
    Secured {
        /// The host that the client asked for when it set up TLS, in lower case, if that is known here.
        server_name: Option<&'a str>,
    },
}

/// The facts of a request that another node relayed, as that node carried them.
#[derive(Debug, Clone, Copy)]
pub struct Relayed<'a> {
    /// Whose it is, as the edge recognised it.
    pub tenant: &'a TenantId,
    /// What it is.
    pub content: Content<'a>,
    /// Where the client is, as far as the edge's rules asked.
    pub client: ClientCountry,
    /// Chance, uniform over all values: decides which share of several pools this request is in.
    pub chance: u32,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// To one of the tenant's pools in this region.
    Local {
        /// Whose.
        tenant: TenantIndex,
        /// Which.
        pool: PoolIndex,
    },
    /// Through a tunnel to a node of another region.
    Relay {
        /// Whose.
        tenant: TenantIndex,
        /// Where.
        region: RegionIndex,
    },
    /// Back to the client, who is to ask again through TLS.
    Redirect {
        /// Who wants that.
        tenant: TenantIndex,
    },
    /// Nowhere.
    Refuse(Reason),
}

/// A decision with its reasons.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Where the request goes.
    pub decision: Decision,
    /// Why.
    pub rationale: Rationale,
}

impl Decision {
    /// The decision in one word, for the admin API, logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Local { .. } => "local",
            Self::Relay { .. } => "relay",
            Self::Redirect { .. } => "redirect",
            Self::Refuse(_) => "refuse",
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
