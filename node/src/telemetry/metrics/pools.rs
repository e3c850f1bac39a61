//! The pools of this node's region, as metrics.

use std::collections::BTreeMap;

use graticule_node_core::Snapshot;
use graticule_node_core::metrics::{Exposition, Kind, TenantSeries};
use graticule_node_core::policy::TenantIndex;
use graticule_node_core::pool::{Condition, PoolState};

/// What is said of a pool, or of all pools of tenants without a label of their own.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    usable: u64,
    failed: u64,
    ejected: u64,
    requests: u64,
    connecting: u64,
    full: u64,
    panicking: u64,
}

/// What is said of a tenant's retries.
#[derive(Debug, Default, Clone, Copy)]
struct Retries {
    saved: u64,
    taken: u64,
    denied: u64,
}

/// Writes the families.
pub(super) fn write(snapshot: &Snapshot, tenants: &TenantSeries, page: &mut Exposition) {
    let (pools, retries) = sums(snapshot, tenants);
    backends(&pools, page);
    let gauges: [Row<Sum>; 4] = [
        ("graticule_pool_requests_in_flight", Kind::Gauge, "Requests under way at a pool.", |sum| {
            sum.requests
        }),
        (
            "graticule_pool_connecting",
            Kind::Gauge,
            "Requests that wait for a new connection to a pool.",
            |sum| sum.connecting,
        ),
        (
            "graticule_pool_limit_refusals_total",
            Kind::Counter,
            "How often a limit of a pool said no.",
            |sum| sum.full,
        ),
        (
            "graticule_pool_panic",
            Kind::Gauge,
            "Pools that ignore ejections, because too few backends are left.",
            |sum| sum.panicking,
        ),
    ];
    for (name, kind, help, value) in gauges {
        page.family(name, kind, help);
        for ((tenant, pool), sum) in &pools {
            page.sample(&[("tenant", tenant), ("pool", pool)], value(sum) as f64);
        }
    }
    let counters: [Row<Retries>; 3] = [
        (
            "graticule_retries_total",
            Kind::Counter,
            "Requests that were sent again and paid for.",
            |retries| retries.taken,
        ),
        ("graticule_retries_denied_total", Kind::Counter, "Retries that nothing was saved for.", |retries| {
            retries.denied
        }),
        ("graticule_retries_saved", Kind::Gauge, "Retries that are saved.", |retries| retries.saved),
    ];
    for (name, kind, help, value) in counters {
        page.family(name, kind, help);
        for (tenant, retries) in &retries {
            page.sample(&[("tenant", tenant)], value(retries) as f64);
        }
    }
}

fn backends(pools: &BTreeMap<(&str, String), Sum>, page: &mut Exposition) {
    page.family("graticule_pool_backends", Kind::Gauge, "Backends of a pool, by what is believed of them.");
    for ((tenant, pool), sum) in pools {
        for (condition, count) in [("usable", sum.usable), ("failed", sum.failed), ("ejected", sum.ejected)] {
            page.sample(&[("tenant", tenant), ("pool", pool), ("condition", condition)], count as f64);
        }
    }
}

/// A family: its name, its kind, what it means, and what it says of each.
type Row<T> = (&'static str, Kind, &'static str, fn(&T) -> u64);
type Sums<'s> = (BTreeMap<(&'s str, String), Sum>, BTreeMap<&'s str, Retries>);

fn sums<'s>(snapshot: &'s Snapshot, tenants: &TenantSeries) -> Sums<'s> {
    let (mut pools, mut retries) = (BTreeMap::<_, Sum>::new(), BTreeMap::<_, Retries>::new());
    for (at, tenant) in (0..).zip(&snapshot.policy.tenants) {
        let Some(known) = snapshot.pools.of(TenantIndex(at)) else { continue };
        let label = tenants.label(&tenant.id);
        let sum = retries.entry(label).or_default();
        sum.saved += u64::from(known.budget.saved());
        sum.taken += known.budget.taken();
        sum.denied += known.budget.denied();
        for index in tenant.pool_indexes() {
            let Some(state) = known.pool(index) else { continue };
            let name = match tenant.pool_name(index) {
                _ if label == TenantSeries::REST => TenantSeries::REST.to_owned(),
                Some(name) => name.to_string(),
                None => UNNAMED.to_owned(),
            };
            pools.entry((label, name)).or_default().add(state);
        }
    }
    (pools, retries)
}

impl Sum {
    fn add(&mut self, state: &PoolState) {
        for member in state.members() {
            *match member.condition {
                Condition::Usable => &mut self.usable,
                Condition::Failed => &mut self.failed,
                Condition::Ejected(_) => &mut self.ejected,
            } += 1;
        }
        let counts = state.counts();
        self.requests += u64::from(counts.requests.under_way());
        self.connecting += u64::from(counts.connecting.under_way());
        self.full += counts.requests.refused() + counts.connecting.refused();
        self.panicking += u64::from(state.is_panic());
    }
}

/// What documents call the pool without a name.
const UNNAMED: &str = "default";
