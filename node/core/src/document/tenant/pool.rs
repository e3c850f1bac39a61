//! `[pools.<region>]` and `[named_pools.<name>.<region>]`: a tenant's servers.

use std::collections::BTreeMap;
use std::time::Duration;

use graticule_gossip_core::RegionName;

use crate::RegionSet;
use crate::document::page::{At, Page, Spot};
use crate::document::table::{Key, Table, entries, key, name};
use crate::document::tree::{Entry, Node};
use crate::document::value::{duration, one_of};
use crate::policy::{Pool, PoolName, Protocol, Tenant};

mod backend;
mod balance;
mod canonical;
mod care;
mod check;
mod tls;

pub(super) use canonical::canonical;

/// The pools of one name, by region.
pub(in crate::document) type ByRegion = BTreeMap<RegionName, At<Pool>>;

/// Reads the pools without a name.
pub(super) fn read(page: &Page, table: &Table<'_>) -> ByRegion {
    let written = table.required("pools", entries);
    if let Some(At { spot, value: [] }) = &written {
        page.error_with(
            *spot,
            "no pool, so nothing could ever answer",
            "add `[pools.<region>]` with `backends`",
        );
    }
    written.map_or_else(BTreeMap::new, |at| by_region(page, at.value))
}

/// Reads the pools with names.
pub(super) fn read_named(page: &Page, table: &Table<'_>) -> BTreeMap<PoolName, At<ByRegion>> {
    let written = table.optional("named_pools", entries).map_or(&[][..], |at| at.value);
    if let Some(over) = written.get(Tenant::NAMED_POOLS_MAX) {
        page.error(over.spot, format!("more than {} names of pools", Tenant::NAMED_POOLS_MAX));
    }
    let read = |entry: &Entry| {
        let name: PoolName = name(page, entry)?;
        if name.as_str() == UNNAMED {
            page.error_with(
                entry.spot,
                format!("a pool called `{UNNAMED}`"),
                "that is what content rules call `[pools]`: choose another name",
            );
            return None;
        }
        let pools = entries(page, &entry.node)?;
        if pools.is_empty() {
            page.error_with(entry.spot, "no pool of this name", "add `[named_pools.<name>.<region>]`");
        }
        Some((name, At { value: by_region(page, pools), spot: entry.spot }))
    };
    written.iter().take(Tenant::NAMED_POOLS_MAX).filter_map(read).collect()
}

fn by_region(page: &Page, written: &[Entry]) -> ByRegion {
    if let Some(over) = written.get(RegionSet::REGIONS_MAX) {
        page.error(over.spot, format!("more than {} pools", RegionSet::REGIONS_MAX));
    }
    let pools = written.iter().take(RegionSet::REGIONS_MAX);
    pools.filter_map(|entry| pool(page, entry)).collect()
}

fn pool(page: &Page, entry: &Entry) -> Option<(RegionName, At<Pool>)> {
    let name = name(page, entry);
    let table = Table::open(page, &entry.node, KEYS)?;
    let backends = table.required("backends", backend::list).map(|at| at.value);
    let protocol = table.or("protocol", Protocol::Http1, one_of(PROTOCOLS));
    let tls = table.optional("tls", tls::read).map(|at| at.value);
    let asked = check::Asked { protocol, tls: tls.as_ref() };
    let defaults = Pool::of([]);
    let pool = Pool {
        balance: balance::read(page, &table, backends.as_deref().unwrap_or_default()),
        check: table.optional("check", |page, node| check::read(page, node, &asked)).map(|at| at.value),
        ejection: care::ejection(&table),
        slow_start: slow_start(page, &table),
        limits: table.or("limits", defaults.limits, care::limits),
        retry: table.or("retry", defaults.retry, care::retry),
        connect_timeout: table.or(
            "connect_timeout",
            defaults.connect_timeout,
            duration(MILLISECOND..=MINUTE),
        ),
        response_timeout: table.or(
            "response_timeout",
            defaults.response_timeout,
            duration(MILLISECOND..=HOUR),
        ),
        backends: backends.unwrap_or_default().into_iter().map(|at| at.value).collect(),
        protocol,
        tls,
    };
    (!pool.backends.is_empty()).then_some(())?;
    Some((name?, At { value: pool, spot: entry.spot }))
}

fn slow_start(page: &Page, table: &Table<'_>) -> Duration {
    let written = table.optional("slow_start", duration(MILLISECOND..=HOUR));
    let keyed = table.entry("balance").and_then(|entry| entry.node.as_text()) == Some(balance::MAGLEV);
    if let Some(At { spot, .. }) = written.as_ref().filter(|_| keyed) {
        page.error_with(
            *spot,
            "`slow_start` where a key chooses the backend",
            "leave it out, or use another `balance`",
        );
    }
    written.map_or(Duration::ZERO, |at| at.value)
}

/// Reports what is no table of its own but a value of `node`; for sub-tables that can be switched off.
fn is_off(node: &Node) -> bool {
    node.as_boolean() == Some(false)
}

/// What content rules call the pools without a name.
pub(in crate::document) const UNNAMED: &str = "default";

const KEYS: &[Key] = &[
    key("backends", "[\"127.0.0.1:9001\"]"),
    key("balance", "\"peak-ewma\""),
    key("hash", "\"address\""),
    key("protocol", "\"http1\""),
    key("tls", "{ name = \"backend.example\" }"),
    key("connect_timeout", "\"1s\""),
    key("response_timeout", "\"30s\""),
    key("check", "{ path = \"/healthz\" }"),
    key("ejection", "{ failures = 5 }"),
    key("slow_start", "\"30s\""),
    key("limits", "{ requests_max = 1024 }"),
    key("retry", "{ retries_max = 2 }"),
];

const PROTOCOLS: &[(&str, Protocol)] = &[("http1", Protocol::Http1), ("http2", Protocol::Http2)];

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Where a value of two belongs: at the first that was written, else at the table.
fn spot_of<A, B>(first: Option<&At<A>>, second: Option<&At<B>>, table: Spot) -> Spot {
    first.map(|at| at.spot).or(second.map(|at| at.spot)).unwrap_or(table)
}

#[cfg(test)]
mod tests;
