//! `[load.<name>]`: whose requests come where, and how often.

use std::ops::RangeInclusive;
use std::time::Duration;

use graticule_node_core::document::reading::{
    Entry, Key, Node, Page, Table, assigned_country, boolean, duration, integer, key, number, one_of,
    shortened, text,
};
use http::Method;

use super::fleet::Cast;
use super::values::{moment, unknown, window};
use super::{named, select};
use crate::scenario::{Arrivals, Load, MARK};

/// Reads every load, by name.
pub(super) fn read(page: &Page, node: &Node, (cast, whole): (&Cast, Duration)) -> Vec<Load> {
    let loads = named(page, node, |entry| load(page, entry, (cast, whole)));
    loads.into_values().collect()
}

fn load(page: &Page, entry: &Entry, (cast, whole): (&Cast, Duration)) -> Option<Load> {
    check_name(page, entry);
    let table = Table::open(page, &entry.node, KEYS)?;
    let tenant = table.required("tenant", |page, node| super::load::tenant(page, node, cast));
    let edges = select::required(&table, "edges", cast);
    let country = table.optional("country", assigned_country);
    let tries_others = table.or("tries_others", false, boolean);
    let method = table.or("method", &Method::GET, one_of(METHODS));
    let path = table.or("path", "/".to_owned(), path);
    let body_bytes = table.or("body_bytes", 0, integer(0..=BODY_BYTES_MAX));
    let timeout = table.or("timeout", TIMEOUT, duration(TIMEOUTS));
    let (from, until) = window(&table, whole);
    let arrivals = arrivals(&table, until);
    Some(Load {
        name: entry.key.clone(),
        tenant: tenant?.value,
        edges: edges?,
        country: country.map(|at| at.value),
        tries_others,
        method: method.clone(),
        path,
        body_bytes: body_bytes.unsigned_abs() as u32,
        arrivals: arrivals?,
        timeout,
        from,
        until,
    })
}

/// The id of a tenant of the scenario.
pub(super) fn tenant(page: &Page, node: &Node, cast: &Cast) -> Option<String> {
    let id = text(page, node)?;
    if !cast.tenants.contains(&id) {
        unknown(page, node.spot, ("tenant", &id), cast.tenants.iter().map(String::as_str));
        return None;
    }
    Some(id)
}

/// Names are part of every request's query, by which it is known again.
fn check_name(page: &Page, Entry { key: name, spot, .. }: &Entry) {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !name.bytes().all(legal) {
        let message = format!("a load cannot be called `{}`", shortened(name));
        page.error_with(*spot, message, "use letters, digits, `-` and `_`");
    }
}

fn path(page: &Page, node: &Node) -> Option<String> {
    let path = text(page, node)?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || URI_SIGNS.contains(&byte);
    if !path.starts_with('/') || !path.bytes().all(legal) {
        let message = "expected a path that begins with `/`, with a query or without, of what a URI may have";
        page.error_with(node.spot, message, "write other characters as `%` and two hexadecimal digits");
        return None;
    }
    if path.contains(MARK) {
        let message = format!("`{MARK}` is how requests of a rehearsal are known again");
        page.error_with(node.spot, message, "call the parameter something else");
        return None;
    }
    Some(path)
}

fn arrivals(table: &Table<'_>, until: Duration) -> Option<Arrivals> {
    let rate = table.required("per_second", rate)?.value;
    let surge = table.optional("surge", |page, node| surge(page, node, (rate, until))).map(|at| at.value);
    let is_constant = table.or("arrivals", false, one_of(ARRIVALS));
    if let Some(entry) = table.entry("arrivals").filter(|_| is_constant && surge.is_some()) {
        table.page().error_with(entry.spot, "a surge comes by chance", "leave `arrivals` or `surge` out");
    }
    let even = Arrivals::Constant { per_second: rate };
    let by_chance = Arrivals::Poisson { per_second: rate };
    Some(surge.unwrap_or(if is_constant { even } else { by_chance }))
}

fn surge(page: &Page, node: &Node, (per_second, until): (f64, Duration)) -> Option<Arrivals> {
    let table = Table::open(page, node, SURGE_KEYS)?;
    let peak = table.required("per_second", rate);
    let at = table.required("at", moment);
    let ramp = table.or("ramp", Duration::ZERO, moment);
    let hold = table.required("hold", moment);
    let at = at?;
    if at.value >= until {
        let message = format!("it never begins: the load ends at {until:?}");
        page.error_with(at.spot, message, "let it begin earlier, or the load end later");
    }
    let (at, hold) = (at.value, hold?.value);
    Some(Arrivals::Surge { per_second, peak_per_second: peak?.value, at, ramp, hold })
}

fn rate(page: &Page, node: &Node) -> Option<f64> {
    number(0.001..=100_000.0)(page, node)
}

const KEYS: &[Key] = &[
    key("tenant", "\"berlin\""),
    key("edges", "[\"region:eu-central\"]"),
    key("country", "\"DE\""),
    key("tries_others", "true"),
    key("method", "\"GET\""),
    key("path", "\"/\""),
    key("body_bytes", "0"),
    key("per_second", "10"),
    key("arrivals", "\"poisson\""),
    key("timeout", "\"10s\""),
    key("surge", "{ at = \"10s\", per_second = 200, ramp = \"5s\", hold = \"20s\" }"),
    key("from", "\"0s\""),
    key("until", "\"60s\""),
];
const SURGE_KEYS: &[Key] =
    &[key("at", "\"10s\""), key("per_second", "200"), key("ramp", "\"5s\""), key("hold", "\"20s\"")];

const METHODS: &[(&str, &Method)] = &[
    ("GET", &Method::GET),
    ("HEAD", &Method::HEAD),
    ("POST", &Method::POST),
    ("PUT", &Method::PUT),
    ("DELETE", &Method::DELETE),
    ("PATCH", &Method::PATCH),
];
/// Whether they come at equal distances.
const ARRIVALS: &[(&str, bool)] = &[("constant", true), ("poisson", false)];
/// What a path and a query may have besides letters and digits (RFC 3986).
const URI_SIGNS: &[u8] = b"-._~!$&'()*+,;=:@/?%";
const BODY_BYTES_MAX: i64 = 16 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_mins(5);
