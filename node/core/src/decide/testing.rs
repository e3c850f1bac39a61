//! Small policies and meshes for tests: tenant `x` is claimed by host `x.example`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use graticule_geo::{Coordinates, Country, Locator};
use http::{HeaderMap, Method};

use super::{Arrival, Here, Request, Snapshot};
use crate::mesh::{
    Condition, Cost, Excepted, Exceptions, MeshState, PeerId, PeerState, Preference, RegionState,
};
use crate::policy::{
    AddressMask, Claim, Claims, Digest, DocumentVersion, Fleet, HostPattern, Permission, Policy, Pool,
    Receive, Region, RequestLimits, Residency, Tenant, TenantId, TenantIndex, UnknownLocation,
};
use crate::pool::testing::states;
use crate::{RegionIndex, RegionSet};

pub(crate) fn region(position: usize) -> RegionIndex {
    RegionIndex::new(position).unwrap()
}

pub(crate) fn set(positions: &[usize]) -> RegionSet {
    positions.iter().copied().map(region).collect()
}

pub(crate) fn country(code: &str) -> Country {
    code.parse().unwrap()
}

pub(crate) fn tenant_id(id: &str) -> TenantId {
    id.parse().unwrap()
}

pub(crate) fn permission(tiers: &[&[usize]]) -> Permission {
    let tiers: Vec<_> = tiers.iter().map(|tier| set(tier)).collect();
    let all = tiers.iter().copied().fold(RegionSet::EMPTY, RegionSet::union);
    Permission { tiers, all }
}

/// A tenant that may be served in these tiers, with a pool in every region of them.
pub(crate) fn document(id: &str, tiers: &[&[usize]]) -> Tenant {
    let permission = permission(tiers);
    let pool_regions = permission.all;
    Tenant {
        claims: Vec::new(),
        id: tenant_id(id),
        version: DocumentVersion(1),
        residency: Residency {
            permission,
            by_client: Vec::new(),
            unknown: UnknownLocation::Refuse,
            receive: Receive::Any,
        },
        routes: Vec::new(),
        pools: pool_regions.iter().map(|region| (region, pool())).collect(),
        pool_regions,
        named: Vec::new(),
        content: Vec::new(),
        expose_region: false,
        redirect_http: false,
        informational: false,
        limits: RequestLimits::default(),
        addresses: AddressMask::Network,
    }
}

fn pool() -> Pool {
    Pool::of([backend()])
}

pub(crate) fn backend() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 8_080))
}

/// A fleet of so many regions on the equator, a degree apart.
pub(crate) fn fleet(regions: usize) -> Fleet {
    let region = |at: usize| Region {
        name: format!("r{at:03}").parse().unwrap(),
        country: country("DE"),
        coordinates: Coordinates::new(0.0, at as f64 - 100.0).unwrap(),
        labels: BTreeSet::new(),
    };
    Fleet {
        version: DocumentVersion(1),
        mesh: "test".parse().unwrap(),
        regions: (0..regions).map(region).collect(),
        revoked: BTreeSet::new(),
    }
}

/// These tenants in a fleet of so many regions.
pub(crate) fn policy(regions: usize, mut tenants: Vec<Tenant>) -> Policy {
    tenants.sort_by(|a, b| a.id.cmp(&b.id));
    let claim = |tenant: &Tenant| Claim {
        host: Some(HostPattern::Exact(format!("{}.example", tenant.id))),
        path_prefix: None,
        header: None,
    };
    let claims = tenants.iter().enumerate().map(|(at, tenant)| (TenantIndex(at as u32), vec![claim(tenant)]));
    Policy {
        fleet: fleet(regions),
        claims: Claims::build(claims).unwrap(),
        tenants: tenants.into_iter().map(Arc::new).collect(),
        digest: Digest([0; 32]),
    }
}

pub(crate) fn exceptions(ids: &[&str]) -> Arc<Excepted> {
    Arc::new(Exceptions::new(ids.iter().map(|id| tenant_id(id))).into())
}

pub(crate) fn peer(id: u32, condition: Condition) -> PeerState {
    PeerState {
        id: PeerId(id),
        node: format!("node-{id}").parse().unwrap(),
        condition,
        exceptions: Arc::default(),
        load: None,
        rtt: None,
        patience: Duration::from_millis(150),
    }
}

pub(crate) fn region_state(cost_ms: u32, load: f32, peers: Vec<PeerState>) -> RegionState {
    RegionState { cost: Cost(cost_ms * 1_000), load, peers }
}

/// A snapshot of the node in region `here` in which every pool is healthy and every other region has one usable node;
/// region n costs n times 10 ms.
pub(crate) fn snapshot(policy: Policy, here: usize) -> Snapshot {
    let regions = (0..policy.fleet.regions.len()).map(|at| {
        let cost = if at == here { 0 } else { at as u32 * 10 };
        region_state(cost, 0.0, vec![peer(at as u32, Condition::Usable)])
    });
    let mesh = MeshState { regions: regions.collect(), preference: Preference::default() };
    let here = region(here);
    let backends = policy.tenants.iter().map(|tenant| tenant.pool(here).map(|_| vec![backend()]));
    Snapshot {
        pools: Arc::new(states(backends)),
        policy: Arc::new(policy),
        locator: Arc::new(Locator::default()),
        mesh: Arc::new(mesh),
        tallies: Arc::default(),
        here: Here { node: "here".parse().unwrap(), region: here },
    }
}

/// A request to a host, from nowhere.
pub(crate) fn request<'a>(host: &'a str, headers: &'a HeaderMap) -> Request<'a> {
    Request {
        host,
        method: &Method::GET,
        path: "/",
        query: "",
        headers,
        arrival: Arrival::Cleartext,
        client: None,
        tried: RegionSet::EMPTY,
        chance: 0,
    }
}
