//! The pools of this node's region, as metrics.

use std::collections::BTreeMap;

use graticule_node_core::Snapshot;
use graticule_node_core::metrics::{Exposition, Kind, Rising, TenantSeries};
use graticule_node_core::policy::{PoolIndex, PoolName, Tenant, TenantId, TenantIndex};
use graticule_node_core::pool::{Condition, PoolState, TenantPools};

/// What is said of a pool, or of all pools of tenants without a label of their own.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    usable: u64,
    failed: u64,
    unchecked: u64,
    ejected: u64,
    requests: u64,
    connecting: u64,
    panicking: u64,
}

/// What pools and retries have counted, by label.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Retries that were paid for, and those that were not.
    retries: Rising<TenantId, String, 2>,
    /// How often a limit said no.
    refusals: Rising<(TenantId, String), Labels, 1>,
}

/// Tenant and pool.
type Labels = (String, String);

/// Writes the families.
pub(super) fn write(
    snapshot: &Snapshot,
    tenants: &TenantSeries,
    counters: &mut Counters,
    page: &mut Exposition,
) {
    let (pools, saved) = sums(snapshot, tenants);
    counters.collect(snapshot, tenants);
    backends(&pools, page);
    for (name, help, value) in GAUGES {
        page.family(name, Kind::Gauge, help);
        for ((tenant, pool), sum) in &pools {
            page.sample(&[("tenant", tenant), ("pool", pool)], value(sum) as f64);
        }
    }
    page.family("graticule_pool_limit_refusals_total", Kind::Counter, "How often a limit of a pool said no.");
    let mut refusals: BTreeMap<_, _> = pools.keys().map(|(tenant, pool)| ((*tenant, pool), 0)).collect();
    refusals
        .extend(counters.refusals.told().map(|((tenant, pool), [count])| ((tenant.as_str(), pool), *count)));
    for ((tenant, pool), count) in refusals {
        page.sample(&[("tenant", tenant), ("pool", pool)], count as f64);
    }
    retries(&saved, counters, page);
}

fn retries(saved: &BTreeMap<&str, u64>, counters: &Counters, page: &mut Exposition) {
    let mut retries: BTreeMap<_, _> = saved.keys().map(|tenant| (*tenant, [0; 2])).collect();
    retries.extend(counters.retries.told().map(|(tenant, counts)| (tenant.as_str(), *counts)));
    for (at, (name, help)) in RETRIES.into_iter().enumerate() {
        page.family(name, Kind::Counter, help);
        for (tenant, counts) in &retries {
            page.sample(&[("tenant", tenant)], counts[at] as f64);
        }
    }
    page.family("graticule_retries_saved", Kind::Gauge, "Retries that are saved.");
    for (tenant, saved) in saved {
        page.sample(&[("tenant", tenant)], *saved as f64);
    }
}

fn backends(pools: &BTreeMap<(&str, String), Sum>, page: &mut Exposition) {
    page.family("graticule_pool_backends", Kind::Gauge, "Backends of a pool, by what is believed of them.");
    for ((tenant, pool), sum) in pools {
        let Sum { usable, failed, unchecked, ejected, .. } = *sum;
        let conditions =
            [("usable", usable), ("failed", failed), ("unchecked", unchecked), ("ejected", ejected)];
        for (condition, count) in conditions {
            page.sample(&[("tenant", tenant), ("pool", pool), ("condition", condition)], count as f64);
        }
    }
}

/// A gauge of pools: its name, what it means, and what it says of each.
type Row = (&'static str, &'static str, fn(&Sum) -> u64);
type Sums<'s> = (BTreeMap<(&'s str, String), Sum>, BTreeMap<&'s str, u64>);

/// Pools as they are, and retries that are saved.
fn sums<'s>(snapshot: &'s Snapshot, tenants: &TenantSeries) -> Sums<'s> {
    let (mut pools, mut saved) = (BTreeMap::<_, Sum>::new(), BTreeMap::new());
    for (tenant, known) in known(snapshot) {
        let label = tenants.label(&tenant.id);
        *saved.entry(label).or_default() += u64::from(known.budget.saved());
        for (index, state) in states(tenant, known) {
            pools.entry((label, pool_label(label, tenant, index))).or_default().add(state);
        }
    }
    (pools, saved)
}

fn known(snapshot: &Snapshot) -> impl Iterator<Item = (&Tenant, &TenantPools)> {
    let tenants = (0..).zip(&snapshot.policy.tenants);
    tenants.filter_map(|(at, tenant)| Some((&**tenant, snapshot.pools.of(TenantIndex(at))?)))
}

fn states<'s>(tenant: &Tenant, known: &'s TenantPools) -> impl Iterator<Item = (PoolIndex, &'s PoolState)> {
    tenant.pool_indexes().filter_map(|index| Some((index, &**known.pool(index)?)))
}

fn pool_label(label: &str, tenant: &Tenant, index: PoolIndex) -> String {
    if label == TenantSeries::REST { label.to_owned() } else { own_name(tenant, index).to_owned() }
}

fn own_name(tenant: &Tenant, index: PoolIndex) -> &str {
    tenant.pool_name(index).map_or(UNNAMED, PoolName::as_str)
}

impl Counters {
    /// Takes what has been counted until now.
    fn collect(&mut self, snapshot: &Snapshot, tenants: &TenantSeries) {
        let retries = known(snapshot).map(|(tenant, known)| {
            let counts = [known.budget.taken(), known.budget.denied()];
            (tenant.id.clone(), tenants.label(&tenant.id).to_owned(), counts)
        });
        self.retries.collect(retries, |tenant| tenant == TenantSeries::REST);
        let refusals = known(snapshot).flat_map(|(tenant, known)| {
            states(tenant, known).map(|(index, state)| {
                let counts = state.counts();
                let label = tenants.label(&tenant.id);
                let source = (tenant.id.clone(), own_name(tenant, index).to_owned());
                let labels = (label.to_owned(), pool_label(label, tenant, index));
                (source, labels, [counts.requests.refused() + counts.connecting.refused()])
            })
        });
        self.refusals.collect(refusals, |(tenant, _)| tenant == TenantSeries::REST);
    }
}

impl Sum {
    fn add(&mut self, state: &PoolState) {
        for member in state.members() {
            *match member.condition {
                Condition::Usable => &mut self.usable,
                Condition::Failed => &mut self.failed,
                Condition::Unchecked => &mut self.unchecked,
                Condition::Ejected(_) => &mut self.ejected,
            } += 1;
        }
        let counts = state.counts();
        self.requests += u64::from(counts.requests.under_way());
        self.connecting += u64::from(counts.connecting.under_way());
        self.panicking += u64::from(state.is_panic());
    }
}

const GAUGES: [Row; 3] = [
    ("graticule_pool_requests_in_flight", "Requests under way at a pool.", |sum| sum.requests),
    ("graticule_pool_connecting", "Requests that wait for a new connection to a pool.", |sum| sum.connecting),
    ("graticule_pool_panic", "Pools that ignore ejections, because too few backends are left.", |sum| {
        sum.panicking
    }),
];
/// By what [`Counters::retries`] has.
const RETRIES: [(&str, &str); 2] = [
    ("graticule_retries_total", "Requests that were sent again and paid for."),
    ("graticule_retries_denied_total", "Retries that nothing was saved for."),
];
/// What documents call the pool without a name.
const UNNAMED: &str = "default";
