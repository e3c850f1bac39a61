//! Checks against backends of memory, with paused time.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use graticule_geo::Coordinates;
use graticule_node_core::policy::{
    Claims, Digest, DocumentVersion, Fleet, HealthCheck, Permission, Pool, Receive, Region, Residency,
    Tenant, TenantIndex, UnknownLocation,
};
use graticule_node_core::{RegionIndex, RegionSet};
use http::Response;

use super::*;
use crate::pool::testing::{Backend, MemoryNet, full};
use crate::task::Task;

const INTERVAL: Duration = Duration::from_secs(5);

fn check() -> HealthCheck {
    HealthCheck {
        path: "/healthz".to_owned(),
        host: "shop.example".to_owned(),
        interval: INTERVAL,
        timeout: Duration::from_secs(1),
        fall: 3,
        rise: 2,
    }
}

fn tenant(number: usize, at: RegionIndex, backends: &[SocketAddr]) -> Tenant {
    let here = RegionSet::from_iter([at]);
    let pool = Pool {
        backends: backends.to_vec(),
        check: Some(check()),
        connect_timeout: Duration::from_secs(1),
        response_timeout: Duration::from_secs(10),
    };
    Tenant {
        claims: Vec::new(),
        id: format!("tenant-{number}").parse().unwrap(),
        version: DocumentVersion(1),
        residency: Residency {
            permission: Permission { tiers: vec![here], all: here },
            by_client: Vec::new(),
            unknown: UnknownLocation::Refuse,
            receive: Receive::Any,
        },
        routes: Vec::new(),
        pools: vec![(at, pool)],
        pool_regions: here,
        expose_region: false,
    }
}

/// A policy with these regions, by name, and a tenant with a pool in `eu` for each list of backends.
fn policy(regions: &[&str], tenants: &[&[SocketAddr]]) -> Arc<Policy> {
    let region = |name: &&str| Region {
        name: name.parse().unwrap(),
        country: "DE".parse().unwrap(),
        coordinates: Coordinates::new(50.0, 8.0).unwrap(),
        labels: BTreeSet::new(),
    };
    let at = regions.iter().position(|name| *name == "eu").and_then(RegionIndex::new).unwrap();
    let tenants = tenants.iter().enumerate();
    Arc::new(Policy {
        fleet: Fleet {
            version: DocumentVersion(1),
            mesh: "test".parse().unwrap(),
            regions: regions.iter().map(region).collect(),
            revoked: BTreeSet::new(),
        },
        tenants: tenants.map(|(number, backends)| Arc::new(tenant(number, at, backends))).collect(),
        claims: Claims::default(),
        digest: Digest([0; 32]),
    })
}

/// A backend that answers checks with a status that can be set.
fn backend(net: &MemoryNet) -> (Backend, Rc<Cell<u16>>) {
    let status = Rc::new(Cell::new(200));
    let answered = Rc::clone(&status);
    let backend = Backend::in_memory(net, move |request| {
        assert_eq!(request.uri(), "/healthz");
        assert_eq!(request.headers()["host"], "shop.example");
        let mut response = Response::new(full("fine"));
        *response.status_mut() = answered.get().try_into().unwrap();
        async { response }
    });
    (backend, status)
}

struct Running {
    policy: watch::Sender<Arc<Policy>>,
    checked: watch::Receiver<CheckedPolicy>,
    _task: Task,
}

impl Running {
    fn start(net: &Arc<MemoryNet>, policy: Arc<Policy>) -> Self {
        let region: RegionName = "eu".parse().unwrap();
        let first = CheckedPolicy::unchecked(Arc::clone(&policy), &region);
        let (checked, receiver) = watch::channel(first);
        let (policy, policies) = watch::channel(policy);
        let task = task::spawn("checks", run(net.world(), region, policies, checked));
        Self { policy, checked: receiver, _task: task }
    }

    fn healthy(&self) -> Vec<SocketAddr> {
        self.checked.borrow().pools.of(TenantIndex(0)).unwrap().to_vec()
    }
}

/// Until the checks of so many intervals have ended, however they are spread.
async fn intervals(count: u32) {
    tokio::time::sleep(INTERVAL * count).await;
}

async fn first_checks() {
    tokio::time::sleep(Duration::from_millis(2_100)).await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_backend_falls_after_three_failures_and_rises_after_two_successes() {
    let net = Arc::new(MemoryNet::default());
    let (backend, status) = backend(&net);
    let running = Running::start(&net, policy(&["eu"], &[&[backend.address]]));
    first_checks().await;
    assert_eq!(running.healthy(), [backend.address]);

    status.set(503);
    intervals(2).await;
    assert_eq!(running.healthy(), [backend.address]);
    intervals(1).await;
    assert!(running.healthy().is_empty());

    status.set(204);
    intervals(1).await;
    assert!(running.healthy().is_empty());
    intervals(1).await;
    assert_eq!(running.healthy(), [backend.address]);

    // One connection for each check, and none is left open.
    assert_eq!(backend.seen.connections.get(), backend.seen.requests.get());
    assert_eq!((backend.seen.requests.get(), backend.seen.open.get()), (6, 0));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn the_first_check_decides_whatever_is_wrong() {
    let net = Arc::new(MemoryNet::default());
    let silent = Backend::in_memory(&net, |_| std::future::pending());
    let (redirecting, status) = backend(&net);
    status.set(302);
    let (good, _) = backend(&net);
    let refused = SocketAddr::from(([10, 9, 9, 9], 80));
    let all = [MemoryNet::BLACK_HOLE, silent.address, redirecting.address, good.address, refused];
    let running = Running::start(&net, policy(&["eu"], &[&all]));
    assert_eq!(running.healthy(), all);
    first_checks().await;
    assert_eq!(running.healthy(), [good.address]);
    assert_eq!(silent.seen.open.get(), 0);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_backend_that_tenants_share_is_checked_once() {
    let net = Arc::new(MemoryNet::default());
    let (backend, _) = backend(&net);
    let _running = Running::start(&net, policy(&["eu"], &[std::slice::from_ref(&backend.address); 50]));
    intervals(4).await;
    assert_eq!(backend.seen.requests.get(), 4);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_new_policy_comes_with_its_own_states_and_keeps_what_is_known() {
    let net = Arc::new(MemoryNet::default());
    let ((kept, status), (added, _)) = (backend(&net), backend(&net));
    status.set(500);
    let running = Running::start(&net, policy(&["eu"], &[&[kept.address]]));
    first_checks().await;
    assert!(running.healthy().is_empty());

    // Another region moves ours to another index, and another tenant takes the first one's.
    let newer = policy(&["asia", "eu"], &[&[added.address], &[kept.address]]);
    running.policy.send_replace(Arc::clone(&newer));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let checked = running.checked.borrow().clone();
    assert!(Arc::ptr_eq(&checked.policy, &newer));
    assert_eq!(checked.pools.of(TenantIndex(0)), Some([added.address].as_slice()));
    assert_eq!(checked.pools.of(TenantIndex(1)), Some([].as_slice()));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn nothing_is_published_that_has_not_changed() {
    let net = Arc::new(MemoryNet::default());
    let (backend, status) = backend(&net);
    let mut running = Running::start(&net, policy(&["eu"], &[&[backend.address]]));
    first_checks().await;
    running.checked.borrow_and_update();
    intervals(10).await;
    assert!(!running.checked.has_changed().unwrap());
    status.set(500);
    intervals(3).await;
    assert!(running.checked.has_changed().unwrap());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn more_dead_backends_than_may_be_checked_at_once_hide_nobody() {
    let net = Arc::new(MemoryNet::default());
    let (backend, status) = backend(&net);
    status.set(500);
    // Their checks take three seconds each: at a thousand starts a second, all places are soon taken.
    let mut tenants: Vec<&[SocketAddr]> = vec![&[MemoryNet::BLACK_HOLE]; 1_500];
    tenants.push(std::slice::from_ref(&backend.address));
    let mut policy = Arc::unwrap_or_clone(policy(&["eu"], &tenants));
    for (number, tenant) in policy.tenants.iter_mut().enumerate().take(1_500) {
        let path = format!("/{number}");
        let slow = HealthCheck { path, timeout: Duration::from_secs(3), ..check() };
        Arc::make_mut(tenant).pools[0].1.check = Some(slow);
    }
    let running = Running::start(&net, Arc::new(policy));
    tokio::time::sleep(Duration::from_millis(2_900)).await;
    assert!(net.attempts.lock().unwrap().len() <= CHECKS_UNDER_WAY_MAX + 1);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let checked = running.checked.borrow();
    assert!(checked.pools.healthy.iter().all(|healthy| healthy.as_ref().is_some_and(Vec::is_empty)));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn it_ends_with_the_policy() {
    let net = Arc::new(MemoryNet::default());
    let running = Running::start(&net, policy(&["eu"], &[]));
    drop(running.policy);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(running.checked.has_changed().is_err());
}
