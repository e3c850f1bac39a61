//! Checks against backends of memory, with paused time.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use graticule_geo::Coordinates;
use graticule_node_core::policy::{
    Claims, Digest, DocumentVersion, Fleet, HealthCheck, Permission, Pool, PoolIndex, Receive, Region,
    RequestLimits, Residency, Tenant, TenantIndex, UnknownLocation,
};
use graticule_node_core::{RegionIndex, RegionSet};
use http::Response;

use super::*;
use crate::pool::testing::{Backend, MemoryNet, full};
use crate::task::Task;

const INTERVAL: Duration = Duration::from_secs(5);

fn check() -> HealthCheck {
    HealthCheck { interval: INTERVAL, ..HealthCheck::http("/healthz", "shop.example") }
}

fn tenant(number: usize, at: RegionIndex, backends: &[SocketAddr]) -> Tenant {
    let here = RegionSet::from_iter([at]);
    let pool = Pool { check: Some(check()), ..Pool::of(backends.iter().copied()) };
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
        named: Vec::new(),
        content: Vec::new(),
        expose_region: false,
        redirect_http: false,
        informational: false,
        limits: RequestLimits::default(),
        addresses: graticule_node_core::policy::AddressMask::Network,
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
    failing: mpsc::Sender<(MemberId, Row)>,
    _task: Task,
}

impl Running {
    fn start(net: &Arc<MemoryNet>, policy: Arc<Policy>) -> Self {
        let region: RegionName = "eu".parse().unwrap();
        let first = CheckedPolicy::unchecked(Arc::clone(&policy), &region, Moment::default());
        let (checked, receiver) = watch::channel(first);
        let (policy, policies) = watch::channel(policy);
        let (failing, has_failed) = mpsc::channel(16);
        let checking = Checking {
            world: net.world(),
            region,
            documents: PathBuf::from("."),
            trust: Trust::default(),
            events: Arc::default(),
        };
        let task = task::spawn("checks", run(checking, has_failed, policies, checked));
        Self { policy, checked: receiver, failing, _task: task }
    }

    fn healthy(&self) -> Vec<SocketAddr> {
        usable(&self.checked.borrow().pools, 0)
    }
}

fn usable(pools: &PoolStates, tenant: u32) -> Vec<SocketAddr> {
    let pool = pools.pool(TenantIndex(tenant), PoolIndex::UNNAMED).unwrap();
    let members = pool.members().iter().enumerate();
    members.filter(|(at, _)| pool.is_usable(*at)).map(|(_, member)| member.address).collect()
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
    assert_eq!(usable(&checked.pools, 0), [added.address]);
    assert!(usable(&checked.pools, 1).is_empty());
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
        let asked = HealthCheck::http(&format!("/{number}"), "shop.example");
        let slow = HealthCheck { interval: INTERVAL, timeout: Duration::from_secs(3), ..asked };
        Arc::make_mut(tenant).pools[0].1.check = Some(slow);
    }
    let running = Running::start(&net, Arc::new(policy));
    tokio::time::sleep(Duration::from_millis(2_900)).await;
    assert!(net.attempts.lock().unwrap().len() <= CHECKS_UNDER_WAY_MAX + 1);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let checked = running.checked.borrow();
    assert!((0..=1_500).all(|tenant| usable(&checked.pools, tenant).is_empty()));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn it_ends_with_the_policy() {
    let net = Arc::new(MemoryNet::default());
    let running = Running::start(&net, policy(&["eu"], &[]));
    drop(running.policy);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(running.checked.has_changed().is_err());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_backend_at_which_requests_fail_is_out_for_its_time_although_its_checks_pass() {
    let net = Arc::new(MemoryNet::default());
    let ((failing, _), (good, _)) = (backend(&net), backend(&net));
    let running = Running::start(&net, policy(&["eu"], &[&[failing.address, good.address]]));
    first_checks().await;
    let pools = Arc::clone(&running.checked.borrow().pools);
    let id = pools.pool(TenantIndex(0), PoolIndex::UNNAMED).unwrap().members()[0].id;
    running.failing.try_send((id, Row::Full)).unwrap();
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(running.healthy(), [good.address]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(running.healthy(), [failing.address, good.address]);
}

mod names {
    use std::io;
    use std::net::IpAddr;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use graticule_node_core::policy::{Backend as Named, BackendHost};

    use super::*;
    use crate::world::Names as Resolution;

    /// One name, and how often it was looked up.
    #[derive(Debug, Default)]
    struct OneName {
        addresses: Mutex<Option<Vec<IpAddr>>>,
        lookups: Mutex<u32>,
    }

    #[async_trait]
    impl Resolution for OneName {
        async fn resolve(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        async fn lookup(&self, name: &str) -> io::Result<Resolved> {
            assert_eq!(name, "shop.internal");
            *self.lookups.lock().unwrap() += 1;
            let addresses = self.addresses.lock().unwrap().clone();
            let addresses = addresses.ok_or(io::ErrorKind::NotFound)?;
            Ok(Resolved { addresses, ttl: Duration::from_secs(10) })
        }
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn a_name_is_followed_by_its_time_to_live_and_its_last_addresses_outlive_dns() {
        let net = Arc::new(MemoryNet::default());
        let dns = Arc::new(OneName::default());
        let mut policy = Arc::unwrap_or_clone(policy(&["eu"], &[&[]]));
        let pool = &mut Arc::make_mut(&mut policy.tenants[0]).pools[0].1;
        pool.check = None;
        pool.backends = vec![Named { host: BackendHost::Name("shop.internal".into()), port: 80, weight: 1 }];
        let world = World { names: Arc::clone(&dns) as Arc<dyn Resolution>, ..net.world() };
        let (running, region) = (Arc::new(policy), "eu".parse::<RegionName>().unwrap());
        let first = CheckedPolicy::unchecked(Arc::clone(&running), &region, Moment::default());
        let (checked, seen) = watch::channel(first);
        let (_policy, policies) = watch::channel(running);
        let (_failing, has_failed) = mpsc::channel(16);
        let checking = Checking {
            world,
            region,
            documents: PathBuf::from("."),
            trust: Trust::default(),
            events: Arc::default(),
        };
        let _task = task::spawn("checks", run(checking, has_failed, policies, checked));
        let now = || usable(&seen.borrow().pools, 0).iter().map(ToString::to_string).collect::<Vec<_>>();
        let set = |addresses: Option<&[&str]>| {
            let parsed = addresses.map(|all| all.iter().map(|text| text.parse().unwrap()).collect());
            *dns.addresses.lock().unwrap() = parsed;
        };

        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(now().is_empty(), "never resolved");
        set(Some(&["10.0.0.1"]));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(now(), ["10.0.0.1:80"]);
        set(Some(&["10.0.0.3", "10.0.0.2"]));
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert_eq!(now(), ["10.0.0.1:80"], "the first answer still holds");
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(now(), ["10.0.0.2:80", "10.0.0.3:80"]);
        set(None);
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert_eq!(now(), ["10.0.0.2:80", "10.0.0.3:80"], "DNS has failed for ten minutes");
        // 1 + 2 + 4 + 8 + 16 s, then every 30 s.
        assert!((20..30).contains(&*dns.lookups.lock().unwrap()));
        set(Some(&["10.0.0.9"]));
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(now(), ["10.0.0.9:80"]);
    }
}
