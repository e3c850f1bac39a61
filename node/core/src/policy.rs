//! What the operators' documents mean: the checked form that every decision uses.
//!
//! Built only by [`document`](crate::document) from what was written; nothing here can be out of its limits.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use graticule_geo::{Coordinates, Country, CountrySet, Label};
use graticule_gossip_core::{MeshName, NodeName, RegionName};

use crate::{RegionIndex, RegionSet};

mod address_mask;
mod claims;
mod content;
mod id;
mod limits;
mod pool;
mod receiving;

pub use address_mask::AddressMask;
pub use claims::{Claim, ClaimConflict, Claims, HeaderClaim, HostPattern, HostPatternError};
pub use content::{Content, ContentRule, PoolShare, QueryClaim, Split};
pub use id::{TenantId, TenantIdError};
pub use limits::RequestLimits;
pub use pool::{
    Backend, BackendHost, BackendTls, Balance, CheckKind, EjectionRule, HashKey, HealthCheck, Pool,
    PoolIndex, PoolLimits, PoolName, PoolNameError, Protocol, RetryRule,
};
pub use receiving::{CertificateFault, CertificateProblem, ShownCertificate, certificate_faults};

/// Everything the documents say, in the form decisions use.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The fleet document.
    pub fleet: Fleet,
    /// Every tenant, by id; a [`TenantIndex`] is a position here.
    pub tenants: Vec<Arc<Tenant>>,
    /// Which tenant claims which host, path and header.
    pub claims: Claims,
    /// Identifies the contents of all documents together.
    pub digest: Digest,
}

/// The version of one document; only rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentVersion(pub u64);

/// SHA-256 over all documents.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The checked fleet document.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Its version.
    pub version: DocumentVersion,
    /// The mesh it is about.
    pub mesh: MeshName,
    /// Every region, by name, at most [`RegionSet::REGIONS_MAX`]; a [`RegionIndex`] is a position here.
    pub regions: Vec<Region>,
    /// Nodes whose certificates are no longer accepted.
    pub revoked: BTreeSet<NodeName>,
}

/// One region of the fleet.
#[derive(Debug, Clone)]
pub struct Region {
    /// Its name.
    pub name: RegionName,
    /// The country whose law it is under.
    pub country: Country,
    /// Where it is.
    pub coordinates: Coordinates,
    /// What else rules can call it.
    pub labels: BTreeSet<Label>,
}

/// The position of a tenant in [`Policy::tenants`]; meaningful only with that policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantIndex(pub u32);

/// The checked document of one tenant.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// The document's version.
    pub version: DocumentVersion,
    /// What it is recognised by, as written.
    pub claims: Vec<Claim>,
    /// Where it may be served, for requests that no route is about.
    pub residency: Residency,
    /// Rules for parts of it, longest path prefix first.
    pub routes: Vec<Route>,
    /// Its servers, at most one pool for each region, by region: for requests that no content rule is about.
    pub pools: Vec<(RegionIndex, Pool)>,
    /// The regions it has such a pool in.
    pub pool_regions: RegionSet,
    /// Pools beside those, by name, at most [`Tenant::NAMED_POOLS_MAX`]: for content rules.
    pub named: Vec<NamedPools>,
    /// Which requests go to which pools, first match wins.
    pub content: Vec<ContentRule>,
    /// Whether answers may carry `x-graticule-region`.
    pub expose_region: bool,
    /// Whether clients that come in cleartext are sent to TLS.
    pub redirect_http: bool,
    /// Whether what backends say before their answers (1xx) is passed on.
    pub informational: bool,
    /// What each of its requests keeps to.
    pub limits: RequestLimits,
    /// How much of clients' addresses may be written where requests may be recorded at all.
    pub addresses: AddressMask,
}

impl Tenant {
    /// The rules for `path`: those of the longest matching route, else the tenant's own.
    pub fn residency_for(&self, path: &str) -> &Residency {
        let route = self.routes.iter().find(|route| route.path_prefix.matches(path));
        route.map_or(&self.residency, |route| &route.residency)
    }

    /// How many names of pools a tenant can have.
    pub const NAMED_POOLS_MAX: usize = 16;

    /// The tenant's servers in `region` for requests that no content rule is about.
    pub fn pool(&self, region: RegionIndex) -> Option<&Pool> {
        self.pools.iter().find_map(|(at, pool)| (*at == region).then_some(pool))
    }

    /// The pool at `index` in `region`.
    pub fn pool_at(&self, region: RegionIndex, index: PoolIndex) -> Option<&Pool> {
        let Some(named) = index.named() else { return self.pool(region) };
        let pools = &self.named.get(named)?.pools;
        pools.iter().find_map(|(at, pool)| (*at == region).then_some(pool))
    }

    /// Every pool index of this tenant, the unnamed one first.
    pub fn pool_indexes(&self) -> impl Iterator<Item = PoolIndex> {
        (0..=self.named.len()).map(|at| PoolIndex(at as u8))
    }

    /// The regions that have a pool at `index`.
    pub fn regions_of(&self, index: PoolIndex) -> RegionSet {
        match index.named() {
            None => self.pool_regions,
            Some(named) => self.named.get(named).map_or(RegionSet::EMPTY, |named| named.regions),
        }
    }

    /// What the pool at `index` is called; `None` for the one without a name.
    pub fn pool_name(&self, index: PoolIndex) -> Option<&PoolName> {
        self.named.get(index.named()?).map(|named| &named.name)
    }

    /// The pools that a request may go to, with their shares: those of the first content rule that is about it, else
    /// the unnamed pool.
    pub fn split_for(&self, content: &Content<'_>) -> &Split {
        let rule = self.content.iter().find(|rule| rule.matches(content));
        rule.map_or(Split::UNNAMED, |rule| &rule.split)
    }
}

/// The pools of one name.
#[derive(Debug, Clone)]
pub struct NamedPools {
    /// The name.
    pub name: PoolName,
    /// At most one for each region, by region.
    pub pools: Vec<(RegionIndex, Pool)>,
    /// The regions with one.
    pub regions: RegionSet,
}

/// Rules for a part of a tenant.
#[derive(Debug, Clone)]
pub struct Route {
    /// The paths it is about.
    pub path_prefix: PathPrefix,
    /// Where they may be served.
    pub residency: Residency,
}

/// The beginning of a path, matched at segment borders: `/a` matches `/a` and `/a/b`, not `/ab`.
///
/// Prefixes and the paths that are matched by them have the form of [`path`](crate::path).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPrefix(String);

/// Where a tenant's requests may be served, recorded and received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Residency {
    /// For every client that no rule in `by_client` is about.
    pub permission: Permission,
    /// By the client's country, first match wins. Empty if the client's country does not matter.
    pub by_client: Vec<(CountrySet, Permission)>,
    /// What to do with a client whose country is unknown; asked only if `by_client` is not empty.
    pub unknown: UnknownLocation,
    /// Which nodes may receive the tenant's requests.
    pub receive: Receive,
}

/// The regions in which something may be done, in order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Disjoint sets, first choice first; a later one is used only when every region before it is unable.
    pub tiers: Vec<RegionSet>,
    /// All tiers together.
    pub all: RegionSet,
}

impl Permission {
    /// These tiers, first choice first. A region that is in several counts in the first of them.
    pub fn new(tiers: impl IntoIterator<Item = RegionSet>) -> Self {
        let mut all = RegionSet::EMPTY;
        let disjoint = |tier: RegionSet| {
            let rest = tier.difference(all);
            all = all.union(tier);
            rest
        };
        let tiers = tiers.into_iter().map(disjoint).collect();
        Self { tiers, all }
    }
}

impl Residency {
    /// Every region that is permitted for some client.
    pub fn reach(&self) -> RegionSet {
        let by_client = self.by_client.iter().map(|(_, permission)| permission.all);
        by_client.fold(self.permission.all, RegionSet::union)
    }
}

/// What a tenant wants for clients whose country is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownLocation {
    /// Refuse them.
    Refuse,
    /// Serve them in the home region only.
    Home(RegionIndex),
}

/// Which nodes may receive a tenant's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receive {
    /// Every node; one outside the tenant's places relays in memory and keeps only counters.
    Any,
    /// Only nodes in the tenant's places; others answer 421 before they read a body.
    Allowed,
}

impl PathPrefix {
    /// A prefix, if `text` begins with `/`; a `/` at the end does not count.
    pub fn new(text: &str) -> Option<Self> {
        text.starts_with('/').then(|| Self(text.trim_end_matches('/').to_owned()))
    }

    /// Whether `path` is in it.
    pub fn matches(&self, path: &str) -> bool {
        path.strip_prefix(self.0.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The prefix, without `/` at the end (the root is empty).
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Policy {
    /// The tenant at `index`; `None` if the index was taken from another policy.
    pub fn tenant(&self, index: TenantIndex) -> Option<&Arc<Tenant>> {
        self.tenants.get(index.0 as usize)
    }

    /// The tenant with this id.
    pub fn tenant_by_id(&self, id: &TenantId) -> Option<TenantIndex> {
        self.tenants.binary_search_by(|tenant| tenant.id.cmp(id)).ok().map(|at| TenantIndex(at as u32))
    }
}

impl Fleet {
    /// The region at `index`; `None` if the index was taken from another policy.
    pub fn region(&self, index: RegionIndex) -> Option<&Region> {
        self.regions.get(index.position())
    }

    /// The region of this name.
    pub fn region_by_name(&self, name: &RegionName) -> Option<RegionIndex> {
        let found = self.regions.binary_search_by(|region| region.name.cmp(name)).ok();
        found.and_then(RegionIndex::new)
    }
}
