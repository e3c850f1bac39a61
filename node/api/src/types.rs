//! What the admin API says, as JSON. Times are in milliseconds, distances in kilometres.

use std::net::{IpAddr, SocketAddr};

use graticule_gossip_core::{NodeName, RegionName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /v1/health`: the process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// The node that answers.
    #[schemars(with = "String")]
    pub node: NodeName,
    /// Its region, by its certificate.
    #[schemars(with = "String")]
    pub region: RegionName,
    /// The version of its software.
    pub software: String,
}

/// `GET /v1/ready`: whether the node wants requests; 200 if so, else 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ready {
    /// Whether it wants requests.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<String>,
}

/// One of `GET /v1/nodes`: a node of the mesh, as the answering node sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its name.
    #[schemars(with = "String")]
    pub name: NodeName,
    /// Its region.
    #[schemars(with = "String")]
    pub region: RegionName,
    /// `alive`, `draining`, `left` (it said that it was leaving, and is no longer heard) or `dead` (it is no longer heard).
    #[serde(default)]
    pub state: String,
    /// Whether gossip holds it for alive.
    pub alive: bool,
    /// Whether it is the answering node.
    pub this: bool,
    /// Whether it is leaving.
    pub draining: bool,
    /// Which start of it.
    pub generation: u64,
    /// Where clients come in; only of the answering node.
    #[schemars(with = "Option<String>")]
    pub http: Option<SocketAddr>,
    /// Where clients come in that want TLS; only of the answering node, and only if it has TLS.
    #[schemars(with = "Option<String>")]
    pub https: Option<SocketAddr>,
    /// Address and UDP port of its control endpoint.
    #[schemars(with = "String")]
    pub mesh: SocketAddr,
    /// How many workers it has.
    pub workers: u16,
    /// The version of its software.
    pub software: String,
    /// The version of the fleet document it has active.
    pub fleet_version: u64,
    /// The digest of its active documents, hexadecimal.
    pub policy_digest: String,
}

/// One of `GET /v1/regions`: a region as the answering node sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Region {
    /// Its name.
    #[schemars(with = "String")]
    pub name: RegionName,
    /// The country whose law it is under.
    pub country: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Great-circle distance from the answering node's region.
    pub distance_km: f64,
    /// What it costs to route there, in milliseconds.
    pub cost_ms: f64,
    /// The mean load of its live nodes: 0 idle, 1 at the limit.
    pub load: f32,
    /// Whether it is the answering node's own.
    pub this: bool,
    /// Peers there that can be given requests.
    pub peers_usable: usize,
    /// Peers there that this node has or wants tunnels to.
    pub peers: usize,
}

/// One of `GET /v1/tenants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tenant {
    /// Its id.
    pub id: String,
    /// The version of its document.
    pub version: u64,
    /// Whether a newer document is refused, and this one stays in force; `/v1/reloads` says why.
    #[serde(default)]
    pub kept: bool,
    /// What it is recognised by, one text for each claim.
    pub claims: Vec<String>,
    /// The regions where it may be served, one list for each tier.
    #[schemars(with = "Vec<Vec<String>>")]
    pub tiers: Vec<Vec<RegionName>>,
    /// Which nodes may receive its requests: `any` or `allowed`.
    pub receive: String,
    /// The regions it has a pool in.
    #[schemars(with = "Vec<String>")]
    pub pools: Vec<RegionName>,
}

/// One of `GET /v1/reloads`: files that the answering node reads again while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reload {
    /// `configuration`, `documents`, `identity` (the node's certificate), `certificates` (for clients) or `geo`.
    pub what: String,
    /// Whether they are in force as they are. If not, what was before them stays, but a node that is started with them may
    /// not start.
    pub successful: bool,
    /// For how long they have not been.
    pub refused_for_ms: Option<u64>,
    /// What is wrong with them, at most 20 lines of it.
    pub errors: Vec<String>,
    /// Tenants whose last good document stays in force.
    pub kept: Vec<String>,
    /// Tenants that are not served, because there was no good one before.
    pub absent: Vec<String>,
}

/// One of `GET /v1/pools`: a tenant's servers in the answering node's region, under one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pool {
    /// Whose.
    pub tenant: String,
    /// What it is called; none for the tenant's pool without a name.
    pub name: Option<String>,
    /// Whether ejections are ignored, because too few backends are left.
    pub panic: bool,
    /// Requests under way there from this node.
    pub requests: u32,
    /// How many there may be.
    pub requests_max: u32,
    /// Requests that wait for a new connection.
    pub connecting: u32,
    /// How many may.
    pub connecting_max: u32,
    /// The servers.
    pub backends: Vec<PoolBackend>,
}

/// One server of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolBackend {
    /// Where it is.
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// Its share, compared with others.
    pub weight: u32,
    /// Whether it is given requests.
    pub healthy: bool,
    /// `usable`, `failed` (by its check), `unchecked` (it has just come) or `ejected` (because requests failed there).
    pub condition: String,
    /// How long it is still out, if it is ejected.
    pub ejected_for_ms: Option<u64>,
    /// Requests that failed there since the last that succeeded.
    pub failures: u32,
    /// Why the last request failed that did.
    pub last_failure: Option<String>,
}

/// One of `GET /v1/tunnels`: a peer this node keeps a control tunnel to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tunnel {
    /// The peer.
    #[schemars(with = "String")]
    pub node: NodeName,
    /// Its region.
    #[schemars(with = "String")]
    pub region: RegionName,
    /// Where it is dialled.
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// `usable`, `suspect`, `draining` or `unreachable`.
    pub condition: String,
    /// Why there is no tunnel, if there is none.
    pub reason: Option<String>,
    /// The lowest round trip of the last 10 s.
    pub rtt_ms: Option<f64>,
    /// Its load by its own account.
    pub load: f32,
}

/// What `GET /v1/why` is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct WhyQuery {
    /// The tenant's id.
    pub tenant: String,
    /// The client's address; unknown without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The node that would hold the client's connection; the answering one without.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub edge: Option<NodeName>,
    /// The path; `/` without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// A decision that was not carried out, with every candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    /// The node that would decide.
    #[schemars(with = "String")]
    pub edge: NodeName,
    /// Its region.
    #[schemars(with = "String")]
    pub edge_region: RegionName,
    /// The tenant.
    pub tenant: String,
    /// The path asked about.
    pub path: String,
    /// The client's country: a code, `unknown`, or `not-asked` if no rule depends on it.
    pub client_country: String,
    /// `local`, `relay` or `refuse`.
    pub decision: String,
    /// The region that would serve it.
    #[schemars(with = "Option<String>")]
    pub region: Option<RegionName>,
    /// Why it would be refused.
    pub reason: Option<String>,
    /// The status it would be refused with.
    pub status: Option<u16>,
    /// Whether this edge may record the request.
    pub record_here: bool,
    /// Every region, by name.
    pub candidates: Vec<Candidate>,
}

/// One region in a [`Why`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Which.
    #[schemars(with = "String")]
    pub region: RegionName,
    /// 0 for the first choice; none if the rules forbid it.
    pub tier: Option<u8>,
    /// What it would cost, in milliseconds.
    pub cost_ms: f64,
    /// What became of it: `chosen`, or why it lost.
    pub verdict: String,
}

/// What `POST /v1/drain` and `POST /v1/undrain` are asked: at most one of both; the answering node without.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DrainQuery {
    /// The node that is to leave, or to stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub node: Option<NodeName>,
    /// The region whose live nodes are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub region: Option<RegionName>,
}

/// One of the answer to `POST /v1/drain` or `POST /v1/undrain`: a node that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drained {
    /// Which.
    #[schemars(with = "String")]
    pub node: NodeName,
    /// How far it has come: `serving`, `draining`, `closing` or `ended`; none if it could not be told.
    pub stage: Option<String>,
    /// Why it could not be told, or does not do it.
    pub error: Option<String>,
}

/// The data of one of `GET /v1/events`: something that is no longer as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// What kind of thing: `ready`, `documents`, `node`, `peer` or `backend`. The event has the same name.
    pub topic: String,
    /// Which one; a backend as `TENANT/POOL/ADDRESS`.
    pub subject: String,
    /// What it was; none if it was not there.
    pub was: Option<String>,
    /// What it is; none if it is gone.
    pub is: Option<String>,
}

/// An error answer (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A URN that names the kind of error.
    pub r#type: String,
    /// The same for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong in this case, and what to do.
    pub detail: String,
}
