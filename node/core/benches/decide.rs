//! How long decisions take: 10,000 tenants, 50 regions of three nodes.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up has to stop")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use divan::{Bencher, black_box};
use graticule_geo::{Coordinates, Locator};
use graticule_node_core::decide::{Here, Request};
use graticule_node_core::mesh::{
    Condition, Cost, Exceptions, MeshState, PeerId, PeerState, PreferenceMachine, RegionState, Standing,
};
use graticule_node_core::policy::{
    Claim, Claims, Digest, DocumentVersion, Fleet, HostPattern, Permission, Pool, Receive, Region,
    RequestLimits, Residency, Tenant, TenantIndex, UnknownLocation,
};
use graticule_node_core::pool::{Names, Pools};
use graticule_node_core::{Moment, Policy, RegionIndex, RegionSet, Snapshot, decide};
use http::{HeaderMap, Method};

fn main() {
    divan::main();
}

/// A tenant that may be served anywhere and has pools everywhere: every region is a candidate.
#[divan::bench(args = [0, 20, 500])]
fn anywhere(bencher: Bencher<'_, '_>, exceptions: u32) {
    let everywhere = 0..REGIONS;
    let (snapshot, headers) = (snapshot(exceptions, &[everywhere]), HeaderMap::new());
    bencher.bench_local(|| decide(black_box(&snapshot), black_box(&request(&headers))));
}

/// A tenant with two tiers of ten regions, the first of them able.
#[divan::bench]
fn two_tiers(bencher: Bencher<'_, '_>) {
    let (snapshot, headers) = (snapshot(20, &[10..20, 30..40]), HeaderMap::new());
    bencher.bench_local(|| decide(black_box(&snapshot), black_box(&request(&headers))));
}

/// Every pair of 50 regions, as it is done ten times a second.
#[divan::bench]
fn update_preferences(bencher: Bencher<'_, '_>) {
    let mut machine = PreferenceMachine::default();
    let mut now = Moment::default();
    bencher.bench_local(|| {
        now = now + Duration::from_millis(100);
        let jitter = (now.as_micros() / 100_000 % 7) as u32 * 1_000;
        machine.update(black_box(&standings(jitter)), now);
    });
}

fn request(headers: &HeaderMap) -> Request<'_> {
    Request {
        host: "t5000.example",
        method: &Method::GET,
        path: "/orders/17",
        query: "",
        headers,
        client: Some([192, 0, 2, 1].into()),
        arrival: graticule_node_core::decide::Arrival::Cleartext,
        tried: RegionSet::EMPTY,
        chance: 0x7654_3210,
    }
}

fn snapshot(exceptions: u32, tiers: &[Range<usize>]) -> Snapshot {
    let tenants: Vec<_> = (0..TENANTS).map(|number| Arc::new(tenant(number, tiers))).collect();
    let claims = (0..TENANTS).map(|number| (TenantIndex(number), vec![claim(number)]));
    let policy =
        Policy { fleet: fleet(), claims: Claims::build(claims).unwrap(), tenants, digest: Digest([0; 32]) };
    let mut pools = Pools::default();
    pools.adopt(&policy, Some(region(0)), &Names::default(), Moment::default());
    Snapshot {
        policy: Arc::new(policy),
        locator: Arc::new(Locator::default()),
        mesh: Arc::new(mesh(exceptions)),
        pools: Arc::new(pools.states()),
        tallies: Arc::default(),
        here: Here { node: "here".parse().unwrap(), region: region(0) },
    }
}

fn tenant(number: u32, tiers: &[Range<usize>]) -> Tenant {
    let tiers: Vec<RegionSet> = tiers.iter().map(|tier| tier.clone().map(region).collect()).collect();
    let all = tiers.iter().copied().fold(RegionSet::EMPTY, RegionSet::union);
    Tenant {
        id: id(number).parse().unwrap(),
        version: DocumentVersion(1),
        claims: vec![claim(number)],
        residency: Residency {
            permission: Permission { tiers, all },
            by_client: Vec::new(),
            unknown: UnknownLocation::Refuse,
            receive: Receive::Any,
        },
        routes: Vec::new(),
        pools: all.iter().map(|region| (region, pool())).collect(),
        pool_regions: all,
        named: Vec::new(),
        content: Vec::new(),
        expose_region: false,
        redirect_http: false,
        informational: false,
        limits: RequestLimits::default(),
        addresses: graticule_node_core::policy::AddressMask::Network,
    }
}

/// Zero-padded, so that tenants are in the order of their ids.
fn id(number: u32) -> String {
    format!("t{number:04}")
}

fn claim(number: u32) -> Claim {
    let host = Some(HostPattern::Exact(format!("{}.example", id(number))));
    Claim { host, path_prefix: None, header: None }
}

fn pool() -> Pool {
    Pool::of([backend()])
}

fn backend() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 8_080))
}

fn region(position: usize) -> RegionIndex {
    RegionIndex::new(position).unwrap()
}

fn fleet() -> Fleet {
    let region = |at: usize| Region {
        name: format!("r{at:03}").parse().unwrap(),
        country: "DE".parse().unwrap(),
        coordinates: Coordinates::new(0.0, at as f64).unwrap(),
        labels: BTreeSet::new(),
    };
    Fleet {
        version: DocumentVersion(1),
        mesh: "bench".parse().unwrap(),
        regions: (0..REGIONS).map(region).collect(),
        revoked: BTreeSet::new(),
    }
}

fn mesh(exceptions: u32) -> MeshState {
    let mut machine = PreferenceMachine::default();
    let standings = standings(0);
    machine.update(&standings, Moment::default());
    // Every second tenant id around the one that is asked for, but not that one.
    let ids = (0..exceptions).map(|at| id(4_501 + 2 * at).parse().unwrap());
    let exceptions = Arc::new(Exceptions::new(ids).into());
    let peer = |id: usize| PeerState {
        id: PeerId(id as u32),
        node: format!("node-{id}").parse().unwrap(),
        condition: Condition::Usable,
        exceptions: Arc::clone(&exceptions),
        load: Some(0.5),
        rtt: Some(Duration::from_millis(20)),
        patience: Duration::from_millis(150),
    };
    let regions = standings.iter().enumerate().map(|(at, standing)| RegionState {
        cost: standing.cost,
        load: standing.load,
        peers: (0..3).map(|node| peer(at * 3 + node)).collect(),
    });
    MeshState { regions: regions.collect(), preference: machine.preference() }
}

fn standings(jitter: u32) -> Vec<Standing> {
    let cost = |at: usize| Cost((at * 7_919 % 200_000) as u32 + jitter * (at as u32 % 2));
    (0..REGIONS).map(|at| Standing { cost: cost(at), load: 0.5, measured: true }).collect()
}

const TENANTS: u32 = 10_000;
const REGIONS: usize = 50;
