//! Policies, pools and checks for the tests of this module.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use graticule_geo::Coordinates;

use super::{Condition, Member, MemberId, PoolState, PoolStates, TenantPools};
use crate::policy::{
    Claims, Digest, DocumentVersion, Fleet, HealthCheck, Permission, Pool, Receive, Region, RequestLimits,
    Residency, Tenant, UnknownLocation,
};
use crate::{Moment, Policy, RegionIndex, RegionSet};

pub(super) fn address(last: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), 8080))
}

pub(super) fn region(position: usize) -> RegionIndex {
    RegionIndex::new(position).unwrap()
}

pub(super) fn check(path: &str) -> HealthCheck {
    HealthCheck { interval: Duration::from_secs(5), ..HealthCheck::http(path, "backend") }
}

pub(super) fn pool(backends: &[u8], check: Option<HealthCheck>) -> Pool {
    Pool { check, ..Pool::of(backends.iter().copied().map(address)) }
}

/// Tenants with these pools in region 0 of two.
pub(super) fn policy(pools: Vec<Option<Pool>>) -> Policy {
    let regions = ["eu", "us"].map(|name| Region {
        name: name.parse().unwrap(),
        country: "DE".parse().unwrap(),
        coordinates: Coordinates::new(50.0, 8.0).unwrap(),
        labels: BTreeSet::new(),
    });
    Policy {
        fleet: Fleet {
            version: DocumentVersion(1),
            mesh: "test".parse().unwrap(),
            regions: regions.into(),
            revoked: BTreeSet::new(),
        },
        tenants: pools.into_iter().enumerate().map(|(at, pool)| Arc::new(tenant(at, pool))).collect(),
        claims: Claims::default(),
        digest: Digest([0; 32]),
    }
}

fn tenant(number: usize, pool: Option<Pool>) -> Tenant {
    let here = RegionSet::from_iter([region(0)]);
    Tenant {
        claims: Vec::new(),
        id: format!("tenant-{number:05}").parse().unwrap(),
        version: DocumentVersion(1),
        residency: Residency {
            permission: Permission { tiers: vec![here], all: here },
            by_client: Vec::new(),
            unknown: UnknownLocation::Refuse,
            receive: Receive::Any,
        },
        routes: Vec::new(),
        pool_regions: if pool.is_some() { here } else { RegionSet::EMPTY },
        pools: pool.into_iter().map(|pool| (region(0), pool)).collect(),
        named: Vec::new(),
        content: Vec::new(),
        expose_region: false,
        redirect_http: false,
        informational: false,
        limits: RequestLimits::default(),
        addresses: crate::policy::AddressMask::Network,
    }
}

/// Unnamed pools of these backends, all usable, by tenant; `None` for tenants without one here.
pub(crate) fn states(pools: impl IntoIterator<Item = Option<Vec<SocketAddr>>>) -> PoolStates {
    let state = |backends: Vec<SocketAddr>| {
        let members = backends.into_iter().enumerate().map(|(at, address)| member(at, address)).collect();
        Arc::new(PoolState::new(&Pool::of([]), members, false, Arc::default(), Moment::default()))
    };
    let tenant = |pool: Option<Vec<SocketAddr>>| TenantPools {
        pools: pool.map(|backends| Some(state(backends))).into_iter().collect(),
        ..TenantPools::default()
    };
    PoolStates::new(pools.into_iter().map(tenant).collect())
}

pub(super) fn member(at: usize, address: SocketAddr) -> Member {
    Member {
        address,
        weight: 1,
        condition: Condition::Usable,
        since: None,
        id: MemberId(at as u64),
        streak: Arc::default(),
    }
}
