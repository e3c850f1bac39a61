//! Policies, pools and checks for the tests of this module.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use graticule_geo::Coordinates;

use crate::policy::{
    Claims, Digest, DocumentVersion, Fleet, HealthCheck, Permission, Pool, Receive, Region, Residency,
    Tenant, UnknownLocation,
};
use crate::{Policy, RegionIndex, RegionSet};

pub(super) fn address(last: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), 8080))
}

pub(super) fn region(position: usize) -> RegionIndex {
    RegionIndex::new(position).unwrap()
}

pub(super) fn check(path: &str) -> HealthCheck {
    HealthCheck {
        path: path.to_owned(),
        host: "backend".to_owned(),
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        fall: 3,
        rise: 2,
    }
}

pub(super) fn pool(backends: &[u8], check: Option<HealthCheck>) -> Pool {
    Pool {
        backends: backends.iter().copied().map(address).collect(),
        check,
        connect_timeout: Duration::from_secs(1),
        response_timeout: Duration::from_secs(30),
    }
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
        expose_region: false,
    }
}
