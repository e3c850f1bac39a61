//! The page as Prometheus reads it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use graticule_node_core::outcome::Outcome;
use graticule_node_core::shared::{Breaker, Tallies};
use graticule_node_core::{Moment, Reason};

use super::*;
use crate::testing::{pair, policy, run, snapshot, tenant};
use crate::world::{Clock, World};

async fn metrics(tenants_max: usize) -> Metrics {
    metrics_at(tenants_max, World::system().clock).await
}

async fn metrics_at(tenants_max: usize, clock: Arc<dyn Clock>) -> Metrics {
    let address = "127.0.0.1:9".parse().unwrap();
    let policy = policy(&["acme", "beta"].map(|id| tenant(id, &["DE"], &[("eu", address)])));
    let mut snapshot = snapshot(policy, ("node-1", "eu"), &[]);
    snapshot.tallies = Arc::new(Tallies::new(&snapshot.policy, 1));
    let (shared, _) = Shared::new(snapshot, 1);
    Metrics::new(MetricsSources {
        shared: Arc::new(shared),
        view: watch::channel(Arc::default()).1,
        tunnels: watch::channel(Arc::default()).1,
        identity: pair().await.node.identity.clone(),
        certificates: None,
        access_log: Some(Arc::default()),
        spans: Some(Arc::default()),
        clock,
        tenants_max,
    })
}

/// Every sample by its name with labels; fails on two of one name.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let twice = samples.insert(name.to_owned(), value.parse().unwrap());
        assert_eq!(twice, None, "twice: {name}");
    }
    samples
}

fn count(metrics: &Metrics, tenant: Option<u32>, outcome: &Outcome) {
    metrics.sources.shared.snapshot().tallies.count(tenant.map(TenantIndex), 0, outcome);
}

#[test]
fn requests_are_told_by_tenant_role_and_class_and_refusals_by_reason() {
    run(async {
        let metrics = metrics(10).await;
        let refused = Outcome::refused(Role::Edge, Reason::NoCompliantRegion);
        let answered =
            Outcome { status: Some(200), reason: None, total: Duration::from_millis(30), ..refused };
        count(&metrics, Some(0), &answered);
        count(&metrics, Some(0), &refused);
        count(&metrics, Some(1), &Outcome { role: Role::Serving, ..answered });
        count(&metrics, None, &Outcome::refused(Role::Edge, Reason::UnknownTenant));
        let page = samples(&metrics.now().text());
        for (name, value) in [
            (r#"graticule_requests_total{tenant="acme",role="edge",class="2xx"}"#, 1.0),
            (r#"graticule_requests_total{tenant="acme",role="edge",class="5xx"}"#, 1.0),
            (r#"graticule_requests_total{tenant="beta",role="serving",class="2xx"}"#, 1.0),
            (r#"graticule_refusals_total{tenant="acme",role="edge",reason="no-compliant-region"}"#, 1.0),
            (r#"graticule_refusals_total{tenant="(none)",role="edge",reason="unknown-tenant"}"#, 1.0),
            (r#"graticule_request_duration_seconds_bucket{tenant="acme",role="edge",le="0.025"}"#, 1.0),
            (r#"graticule_request_duration_seconds_bucket{tenant="acme",role="edge",le="0.05"}"#, 2.0),
            (r#"graticule_pool_backends{tenant="acme",pool="default",condition="usable"}"#, 1.0),
            ("graticule_tenants", 2.0),
        ] {
            assert_eq!(page.get(name), Some(&value), "{name} in {page:#?}");
        }
    });
}

#[test]
fn tenants_over_the_limit_share_labels_in_every_family() {
    run(async {
        let metrics = metrics(1).await;
        let outcome = Outcome::refused(Role::Edge, Reason::Overloaded);
        (0..3).for_each(|_| count(&metrics, Some(1), &outcome));
        count(&metrics, Some(0), &outcome);
        let page = metrics.now().text();
        assert!(!page.contains("acme"), "{page}");
        let page = samples(&page);
        for (name, value) in [
            (r#"graticule_requests_total{tenant="(other)",role="edge",class="5xx"}"#, 1.0),
            (r#"graticule_pool_backends{tenant="(other)",pool="(other)",condition="usable"}"#, 1.0),
            (r#"graticule_requests_total{tenant="beta",role="edge",class="5xx"}"#, 3.0),
        ] {
            assert_eq!(page.get(name), Some(&value), "{name}");
        }
    });
}

/// A clock that a test sets.
#[derive(Debug, Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Moment {
        Moment::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn cpu_time(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn no_counter_falls_when_a_tenant_loses_its_label() {
    run(async {
        let hands = Arc::new(Hands::default());
        let metrics = metrics_at(1, Arc::clone(&hands) as Arc<dyn Clock>).await;
        let outcome = Outcome::refused(Role::Edge, Reason::Overloaded);
        let snapshot = metrics.sources.shared.snapshot();
        let retry = |tenant: u32, retries: usize| {
            let budget = &snapshot.pools.of(TenantIndex(tenant)).unwrap().budget;
            (0..retries).for_each(|_| assert!(budget.take() || budget.saved() == 0));
        };
        let refuse = |tenant: u32, refusals: usize| {
            let pool = snapshot.pools.of(TenantIndex(tenant)).unwrap().pools[0].as_ref().unwrap();
            (0..refusals).for_each(|_| assert!(Breaker::enter(&pool.counts().requests, 0).is_none()));
        };
        let names = [
            r#"graticule_retries_total{tenant="(other)"}"#,
            r#"graticule_retries_denied_total{tenant="(other)"}"#,
            r#"graticule_pool_limit_refusals_total{tenant="(other)",pool="(other)"}"#,
        ];
        let rest = || {
            let page = samples(&metrics.now().text());
            names.map(|name| page.get(name).unwrap_or_else(|| panic!("{name} in {page:#?}")).to_string())
        };
        // Of each tenant's 13 retries ten are saved for. `acme` is the busiest at first, and `beta` an hour later.
        count(&metrics, Some(0), &outcome);
        retry(1, 13);
        refuse(1, 2);
        assert_eq!(rest(), ["10", "3", "2"]);
        hands.0.store(3_600_000, Ordering::Relaxed);
        (0..5).for_each(|_| count(&metrics, Some(1), &outcome));
        retry(0, 13);
        refuse(0, 1);
        assert_eq!(rest(), ["20", "6", "3"], "what each had under it stays");
    });
}
