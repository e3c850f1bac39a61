//! Where a request goes, and why: one readable function over the stages.

use std::net::IpAddr;
use std::sync::Arc;

use graticule_geo::{Country, Locator};
use graticule_gossip_core::NodeName;
use http::HeaderMap;

use crate::mesh::{Cost, MeshState};
use crate::policy::{Policy, TenantIndex};
use crate::pool::PoolStates;
use crate::{Reason, RegionIndex, RegionSet};

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
    /// The path, without query.
    pub path: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The client's address, `None` if it could not be told.
    pub client: Option<IpAddr>,
    /// Regions in which this request has failed already.
    pub tried: RegionSet,
    /// Chance, uniform over all values: decides which share of a spilling region this request is in.
    pub chance: u32,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// To this region's pool of the tenant.
    Local {
        /// Whose.
        tenant: TenantIndex,
    },
    /// Through a tunnel to a node of another region.
    Relay {
        /// Whose.
        tenant: TenantIndex,
        /// Where.
        region: RegionIndex,
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

/// Why a request goes where it goes: every region with the reason it won or lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rationale {
    /// Whose request it is, if that is known.
    pub tenant: Option<TenantIndex>,
    /// Where the client is, as far as that was asked.
    pub client: ClientCountry,
    /// Whether this node may keep anything with an address or a path of this request.
    pub record_here: bool,
    /// Every region of the fleet in the fleet's order; empty if the request was refused before residency.
    pub candidates: Vec<Candidate>,
}

/// Where a client is, for rules that ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCountry {
    /// No rule asks.
    NotAsked,
    /// A rule asks, and nobody knows.
    Unknown,
    /// A rule asks.
    Known(Country),
}

/// One region in a rationale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub region: RegionIndex,
    /// Its tier, 0 first; `None` if residency forbids it.
    pub tier: Option<u8>,
    /// What it would cost; this node's own region costs nothing but its load.
    pub cost: Cost,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a candidate region, in the order in which it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The request goes here.
    Chosen,
    /// The tenant's rules do not allow it.
    Forbidden,
    /// The tenant has no pool there.
    NoPool,
    /// No node there has a healthy backend for the tenant.
    NoHealthyBackend,
    /// There is no tunnel to a node there.
    Unreachable,
    /// Its nodes have left something unanswered.
    Suspect,
    /// Its nodes are leaving.
    Draining,
    /// This request has failed there already.
    Tried,
    /// Able, but over its hard limit of load while another region was not.
    Overloaded,
    /// Able, but a region of an earlier tier is able too.
    LaterTier,
    /// Able, but another region of its tier costs less.
    CostsMore,
}

/// Decides where `request` goes.
pub fn decide(_snapshot: &Snapshot, _request: &Request<'_>) -> Decided {
    Decided {
        decision: Decision::Refuse(Reason::UnknownTenant),
        rationale: Rationale {
            tenant: None,
            client: ClientCountry::NotAsked,
            record_here: false,
            candidates: Vec::new(),
        },
    }
}

#[cfg(test)]
pub(crate) mod testing;
