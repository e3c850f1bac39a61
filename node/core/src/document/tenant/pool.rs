//! `[pools.<region>]`: a tenant's servers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use graticule_gossip_core::RegionName;

use crate::RegionSet;
use crate::document::canonical::Canonical;
use crate::document::page::{At, Page, Spot, shortened};
use crate::document::table::{Key, Table, entries, key, name};
use crate::document::tree::{Entry, Node};
use crate::document::value::{duration, expecting, integer, list, parsed, text};
use crate::policy::{Claim, HealthCheck, HostPattern, Pool};

/// Reads every pool; checks that name no host ask for `check_host`.
pub(super) fn read(page: &Page, table: &Table<'_>, check_host: &str) -> BTreeMap<RegionName, At<Pool>> {
    let written = table.required("pools", entries);
    if let Some(At { spot, value: [] }) = &written {
        page.error_with(
            *spot,
            "no pool, so nothing could ever answer",
            "add `[pools.<region>]` with `backends`",
        );
    }
    let written = written.map_or(&[][..], |at| at.value);
    if let Some(over) = written.get(RegionSet::REGIONS_MAX) {
        page.error(over.spot, format!("more than {} pools", RegionSet::REGIONS_MAX));
    }
    let pools = written.iter().take(RegionSet::REGIONS_MAX);
    pools.filter_map(|entry| pool(page, entry, check_host)).collect()
}

/// The `Host` for checks that name none: what clients ask for, if they ask for one name.
pub(super) fn check_host(claims: &[At<Claim>]) -> &str {
    let exact = claims.iter().find_map(|claim| match &claim.value.host {
        Some(HostPattern::Exact(name)) => Some(name.as_str()),
        _ => None,
    });
    exact.unwrap_or("localhost")
}

fn pool(page: &Page, entry: &Entry, check_host: &str) -> Option<(RegionName, At<Pool>)> {
    let name = name(page, entry);
    let table = Table::open(page, &entry.node, KEYS)?;
    let backends = table.required("backends", backends).map(|at| at.value);
    let check = table.optional("check", |page, node| check(page, node, check_host)).map(|at| at.value);
    let connect_timeout = table.or("connect_timeout", CONNECT_TIMEOUT, duration(MILLISECOND..=MINUTE));
    let response_timeout = table.or("response_timeout", RESPONSE_TIMEOUT, duration(MILLISECOND..=HOUR));
    let pool = Pool { backends: backends?, check, connect_timeout, response_timeout };
    Some((name?, At { value: pool, spot: entry.spot }))
}

fn backends(page: &Page, node: &Node) -> Option<Vec<SocketAddr>> {
    let address = expecting::<SocketAddr>("an address and port such as `10.0.0.7:8080` or `[fd00::7]:8080`");
    let written = list(Pool::BACKENDS_MAX, address)(page, node)?;
    if written.is_empty() && node.as_list().is_some_and(|items| items.is_empty()) {
        page.error_with(node.spot, "no backend", "add one, or remove the pool");
    }
    let mut seen = BTreeSet::new();
    for At { value, spot } in &written {
        if value.port() == 0 {
            page.error(*spot, format!("`{value}` has the port 0"));
        } else if !seen.insert(*value) {
            page.error(*spot, format!("`{value}` is written twice"));
        }
    }
    Some(written.into_iter().map(|at| at.value).collect())
}

fn check(page: &Page, node: &Node, host: &str) -> Option<HealthCheck> {
    let table = Table::open(page, node, CHECK_KEYS)?;
    let path = table.or("path", "/".to_owned(), check_path);
    let named: Option<At<HostPattern>> = table.optional("host", exact_host);
    let host = named.as_ref().map_or(host, |at| at.value.name()).to_owned();
    let interval = table.optional("interval", duration(INTERVAL_MIN..=HOUR));
    let timeout = table.optional("timeout", duration(TIMEOUT_MIN..=MINUTE));
    let times = |key, default| table.or(key, default, integer(1..=100)).unsigned_abs() as u32;
    let check = HealthCheck {
        path,
        host,
        interval: interval.as_ref().map_or(INTERVAL, |at| at.value),
        timeout: timeout.as_ref().map_or(TIMEOUT, |at| at.value),
        fall: times("fall", 3),
        rise: times("rise", 2),
    };
    let spot: Spot = timeout.or(interval).map_or(node.spot, |at| at.spot);
    if check.timeout > check.interval {
        page.error_with(
            spot,
            "a check may take longer than its interval",
            "shorten `timeout`, or lengthen `interval`",
        );
    }
    Some(check)
}

fn check_path(page: &Page, node: &Node) -> Option<String> {
    let path = text(page, node)?;
    let legal = path.starts_with('/')
        && path.len() <= CHECK_PATH_BYTES_MAX
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !legal {
        let expected = format!(
            "a path that begins with `/`, of at most {CHECK_PATH_BYTES_MAX} visible ASCII characters"
        );
        page.error(node.spot, format!("expected {expected}, found `{}`", shortened(&path)));
    }
    legal.then_some(path)
}

fn exact_host(page: &Page, node: &Node) -> Option<HostPattern> {
    let pattern = parsed(page, node)?;
    if let HostPattern::Wildcard(_) = pattern {
        page.error(node.spot, "expected one host, found a wildcard");
    }
    Some(pattern)
}

/// What a pool means, in bytes.
pub(super) fn canonical(pool: &Pool) -> Canonical {
    let micros = |duration: Duration| duration.as_micros() as u64;
    let check = |check: &HealthCheck| {
        Canonical::default()
            .text(&check.path)
            .text(&check.host)
            .number(micros(check.interval))
            .number(micros(check.timeout))
            .number(check.fall.into())
            .number(check.rise.into())
    };
    Canonical::default()
        .set(pool.backends.iter().map(|backend| Canonical::default().text(&backend.to_string())))
        .maybe(pool.check.as_ref().map(check))
        .number(micros(pool.connect_timeout))
        .number(micros(pool.response_timeout))
}

const KEYS: &[Key] = &[
    key("backends", "[\"127.0.0.1:9001\"]"),
    key("connect_timeout", "\"1s\""),
    key("response_timeout", "\"30s\""),
    key("check", "{ path = \"/healthz\" }"),
];

const CHECK_KEYS: &[Key] = &[
    key("path", "\"/healthz\""),
    key("host", "\"acme.example\""),
    key("interval", "\"2s\""),
    key("timeout", "\"1s\""),
    key("fall", "3"),
    key("rise", "2"),
];

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_secs(2);
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT_MIN: Duration = Duration::from_millis(10);

const CHECK_PATH_BYTES_MAX: usize = 512;
