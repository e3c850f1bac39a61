//! `check`: how the health of a pool's backends is checked.

use std::time::Duration;

use super::{HOUR, MINUTE, spot_of};
use crate::document::page::{At, Page, shortened};
use crate::document::table::{Key, Table, key};
use crate::document::tree::Node;
use crate::document::value::{duration, integer, one_of, parsed, text};
use crate::policy::{BackendTls, CheckKind, HealthCheck, HostPattern, Protocol};

/// What checks take from their pool.
pub(super) struct Asked<'a> {
    pub(super) protocol: Protocol,
    pub(super) tls: Option<&'a BackendTls>,
}

/// Reads it.
pub(super) fn read(page: &Page, node: &Node, asked: &Asked<'_>) -> Option<HealthCheck> {
    let table = Table::open(page, node, KEYS)?;
    let kind = kind(page, &table, asked);
    let interval = table.optional("interval", duration(INTERVAL_MIN..=HOUR));
    let timeout = table.optional("timeout", duration(TIMEOUT_MIN..=MINUTE));
    let times = |key, default| table.or(key, default, integer(1..=100)).unsigned_abs() as u32;
    let tls = if kind == CheckKind::Tcp { None } else { asked.tls.cloned() };
    let check = HealthCheck {
        kind,
        tls,
        interval: interval.as_ref().map_or(INTERVAL, |at| at.value),
        timeout: timeout.as_ref().map_or(TIMEOUT, |at| at.value),
        fall: times("fall", 3),
        rise: times("rise", 2),
    };
    if check.timeout > check.interval {
        page.error_with(
            spot_of(timeout.as_ref(), interval.as_ref(), node.spot),
            "a check may take longer than its interval",
            "shorten `timeout`, or lengthen `interval`",
        );
    }
    Some(check)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Tcp,
    Grpc,
}

fn kind(page: &Page, table: &Table<'_>, asked: &Asked<'_>) -> CheckKind {
    let written = table.optional("kind", one_of(KINDS)).map(|at| at.value);
    let kind = written.unwrap_or(Kind::Http);
    let path = table.or("path", "/".to_owned(), path);
    let named: Option<At<HostPattern>> = table.optional("host", exact_host);
    // All tenants that name nobody ask the same, so that one check is enough for them.
    let certified = asked.tls.map(|tls| tls.name.to_string());
    let host = named.map(|at| at.value.name().to_owned()).or(certified);
    let service = table.or("service", String::new(), service);
    let (wrong, name) = match kind {
        Kind::Http => (&["service"][..], "http"),
        Kind::Tcp => (&["path", "host", "service"][..], "tcp"),
        Kind::Grpc => (&["path"][..], "grpc"),
    };
    // Which kind was meant is not known if it is written wrong.
    let known = written.is_some() || table.entry("kind").is_none();
    for entry in wrong.iter().filter(|_| known).filter_map(|key| table.entry(key)) {
        page.error_with(entry.spot, format!("`{}` in a check of kind `{name}`", entry.key), "leave it out");
    }
    match kind {
        Kind::Http => CheckKind::Http { path, host, protocol: asked.protocol },
        Kind::Tcp => CheckKind::Tcp,
        Kind::Grpc => CheckKind::Grpc { service, host },
    }
}

fn path(page: &Page, node: &Node) -> Option<String> {
    let path = text(page, node)?;
    let legal = path.starts_with('/')
        && path.len() <= PATH_BYTES_MAX
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !legal {
        let expected =
            format!("a path that begins with `/`, of at most {PATH_BYTES_MAX} visible ASCII characters");
        page.error(node.spot, format!("expected {expected}, found `{}`", shortened(&path)));
    }
    legal.then_some(path)
}

fn service(page: &Page, node: &Node) -> Option<String> {
    let service = text(page, node)?;
    let legal = (1..=SERVICE_BYTES_MAX).contains(&service.len())
        && service.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    if !legal {
        let message = format!("expected the name of a gRPC service, found `{}`", shortened(&service));
        page.error_with(node.spot, message, "leave it out to ask about the server as a whole");
    }
    legal.then_some(service)
}

fn exact_host(page: &Page, node: &Node) -> Option<HostPattern> {
    let pattern = parsed(page, node)?;
    if let HostPattern::Wildcard(_) = pattern {
        page.error(node.spot, "expected one host, found a wildcard");
    }
    Some(pattern)
}

const KEYS: &[Key] = &[
    key("kind", "\"http\""),
    key("path", "\"/healthz\""),
    key("host", "\"acme.example\""),
    key("service", "\"acme.Shop\""),
    key("interval", "\"2s\""),
    key("timeout", "\"1s\""),
    key("fall", "3"),
    key("rise", "2"),
];

const KINDS: &[(&str, Kind)] = &[("http", Kind::Http), ("tcp", Kind::Tcp), ("grpc", Kind::Grpc)];

const INTERVAL: Duration = Duration::from_secs(2);
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
const PATH_BYTES_MAX: usize = 512;
const SERVICE_BYTES_MAX: usize = 255;
