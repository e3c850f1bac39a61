//! `[[fault]]`: what goes wrong, when, and whom it meets.

use std::time::Duration;

use graticule_node_core::document::reading::{
    Key, Node, Page, Table, boolean, duration, integer, key, list, number, one_of, text,
};

use super::fleet::Cast;
use super::{foreign_keys, load, moment, rules, select};
use crate::scenario::{BackendFault, Checks, DiskFate, Fault, GeoFault, TimedFault, Weather};

/// Reads one fault.
pub(super) fn read(page: &Page, node: &Node, cast: &Cast) -> Option<TimedFault> {
    let table = Table::open(page, node, KEYS)?;
    let kind = table.required("kind", text)?;
    let at = table.required("at", moment);
    let lasts = table.optional("for", some_time);
    let every = table.optional("every", some_time);
    let until = table.optional("until", moment);
    let again = match (every, until) {
        (Some(every), Some(until)) => {
            if lasts.as_ref().is_none_or(|lasts| lasts.value >= every.value) {
                page.error_with(
                    every.spot,
                    "it begins again before it has ended",
                    "make `for` shorter than `every`",
                );
            }
            Some((every.value, until.value))
        }
        (None, None) => None,
        (Some(at), None) | (None, Some(at)) => {
            page.error_with(at.spot, "`every` and `until` go together", "add the other");
            None
        }
    };
    let Some((name, keys, read)) = KINDS.iter().find(|(name, ..)| *name == kind.value) else {
        page.unknown(kind.spot, "kind of fault", &kind.value, KINDS.iter().map(|(name, ..)| *name));
        return None;
    };
    foreign_keys(page, node, name, &[&COMMON, keys]);
    let fault = read(&table, cast)?;
    let spot = kind.spot;
    Some(TimedFault { spot, at: at?.value, lasts: lasts.map(|at| at.value), again, fault })
}

type Read = fn(&Table<'_>, &Cast) -> Option<Fault>;

/// Every kind with the keys it has besides its time.
const KINDS: &[(&str, &[&str], Read)] = &[
    ("backends", &["regions", "tenant", "latency", "errors", "down", "checks"], backends),
    ("clock", &["nodes", "drift_ppm"], clock),
    ("crash", &["nodes", "disk"], crash),
    ("cut", &["from", "to"], cut),
    ("document", &["nodes", "tenant", "residency"], document),
    ("drain", &["nodes"], |table, cast| Some(Fault::Drain { nodes: nodes(table, cast)? })),
    ("geo", &["nodes", "how"], geo),
    (
        "link",
        &["from", "to", "latency", "jitter", "loss", "duplicates", "reordered", "bytes_per_second"],
        link,
    ),
    ("names", &["nodes", "to"], names),
    ("partition", &["groups"], partition),
    ("stall", &["nodes"], |table, cast| Some(Fault::Stall { nodes: nodes(table, cast)? })),
    ("upgrade", &["nodes", "drained", "stopped", "pause"], upgrade),
];

fn crash(table: &Table<'_>, cast: &Cast) -> Option<Fault> {
    Some(Fault::Crash { nodes: nodes(table, cast)?, disk: table.or("disk", DiskFate::Kept, one_of(DISKS)) })
}

fn cut(table: &Table<'_>, cast: &Cast) -> Option<Fault> {
    let (from, to) = ends(table, cast)?;
    Some(Fault::Cut { from, to })
}

fn geo(table: &Table<'_>, cast: &Cast) -> Option<Fault> {
    Some(Fault::Geo { nodes: nodes(table, cast)?, how: table.required("how", one_of(GEO))?.value })
}

fn nodes(table: &Table<'_>, cast: &Cast) -> Option<Vec<String>> {
    select::required(table, "nodes", &cast.fleet)
}

/// Both ends of a link.
fn ends(table: &Table<'_>, cast: &Cast) -> Option<(Vec<String>, Vec<String>)> {
    let from = select::required(table, "from", &cast.fleet);
    let to = select::required(table, "to", &cast.fleet);
    from.zip(to)
}

fn partition(table: &Table<'_>, cast: &Cast) -> Option<Fault> {
    let groups = table.required("groups", list(GROUPS_MAX, select::nodes(&cast.fleet)))?;
    let mut seen = Vec::new();
    for group in &groups.value {
        if let Some(twice) = group.value.iter().find(|name| seen.contains(*name)) {
            table.page().error(group.spot, format!("`{twice}` is in two groups"));
        }
        seen.extend(group.value.iter().cloned());
    }
    if groups.value.len() < 2 {
        table.page().error(groups.spot, "a partition has at least two groups");
    }
    Some(Fault::Partition { groups: groups.value.into_iter().map(|at| at.value).collect() })
}

fn link(table: &Table<'_>, cast: &Cast) -> Option<Fault> {
    let ends = ends(table, cast);
    let time = |key| table.or(key, Duration::ZERO, some_time);
    let share = |key| table.or(key, 0.0, number(0.0..=1.0));
    let bytes_per_second = table.optional("bytes_per_second", integer(1_000..=1_000_000_000_000));
    let weather = Weather {
        latency: time("latency"),
        jitter: time("jitter"),
        loss: share("loss"),
        duplicates: share("duplicates"),
        reordered: share("reordered"),
        bytes_per_second: bytes_per_second.map(|at| at.value.unsigned_abs()),
    };
    if weather == Weather::default() {
        table.page().error_with(
            table.spot,
            "a link without a fault",
            "add `loss = 0.2`, or another of its keys",
        );
    }
    let (from, to) = ends?;
    Some(Fault::Link { from, to, weather })
}

fn upgrade(table: &Table<'_>, cast: &Cast) -> Option<Fault> {
    let time = |key, seconds| table.or(key, Duration::from_secs(seconds), some_time);
    let (drained, stopped, pause) = (time("drained", 8), time("stopped", 1), time("pause", 5));
    Some(Fault::Upgrade { nodes: nodes(table, cast)?, drained, stopped, pause })
}

fn clock(table: &Table<'_>, cast: &Cast) -> Option<Fault> {
    let drift = table.required("drift_ppm", integer(-500_000..=1_000_000));
    Some(Fault::Clock { nodes: nodes(table, cast)?, drift_ppm: drift?.value as i32 })
}

fn backends(table: &Table<'_>, cast: &Cast) -> Option<Fault> {
    let regions = table.required("regions", select::regions(&cast.fleet));
    let tenant = table.optional("tenant", |page, node| load::tenant(page, node, cast));
    let how = BackendFault {
        latency: table.or("latency", Duration::ZERO, some_time),
        errors: table.or("errors", 0.0, number(0.0..=1.0)),
        down: table.or("down", false, boolean),
        checks: table.or("checks", Checks::AsRequests, one_of(CHECKS)),
    };
    if how.down && how.checks == Checks::Healthy {
        table.page().error(table.spot, "backends that refuse every connection refuse those of checks too");
    }
    Some(Fault::Backends { regions: regions?.value, tenant: tenant.map(|at| at.value), how })
}

fn names(table: &Table<'_>, cast: &Cast) -> Option<Fault> {
    let to = table.or("to", Vec::new(), select::nodes(&cast.fleet));
    Some(Fault::Names { nodes: nodes(table, cast)?, to })
}

fn document(table: &Table<'_>, cast: &Cast) -> Option<Fault> {
    let nodes = nodes(table, cast);
    let tenant = table.required("tenant", |page, node| load::tenant(page, node, cast));
    let rules = table.required("residency", |page, node| rules::read(page, node, &cast.fleet));
    Some(Fault::Document { nodes: nodes?, tenant: tenant?.value, rules: rules?.value })
}

fn some_time(page: &Page, node: &Node) -> Option<Duration> {
    duration(Duration::from_millis(1)..=Duration::from_hours(1))(page, node)
}

const COMMON: [&str; 5] = ["kind", "at", "for", "every", "until"];

const KEYS: &[Key] = &[
    key("kind", "\"crash\""),
    key("at", "\"10s\""),
    key("for", "\"20s\""),
    key("every", "\"5s\""),
    key("until", "\"40s\""),
    key("nodes", "[\"region:eu-central\"]"),
    key("disk", "\"kept\""),
    key("from", "[\"region:eu-central\"]"),
    key("to", "[\"region:us-east\"]"),
    key("groups", "[[\"label:europe\"], [\"label:america\"]]"),
    key("latency", "\"50ms\""),
    key("jitter", "\"20ms\""),
    key("loss", "0.2"),
    key("duplicates", "0.1"),
    key("reordered", "0.1"),
    key("bytes_per_second", "1000000"),
    key("drained", "\"8s\""),
    key("stopped", "\"1s\""),
    key("down", "true"),
    key("pause", "\"5s\""),
    key("drift_ppm", "500"),
    key("regions", "[\"region:eu-central\"]"),
    key("tenant", "\"berlin\""),
    key("errors", "0.5"),
    key("checks", "\"healthy\""),
    key("how", "\"garbage\""),
    key("residency", "{ allow = [\"set:EU\"] }"),
];

const DISKS: &[(&str, DiskFate)] = &[("kept", DiskFate::Kept), ("lost", DiskFate::Lost)];
const CHECKS: &[(&str, Checks)] = &[("healthy", Checks::Healthy), ("as-requests", Checks::AsRequests)];
const GEO: &[(&str, GeoFault)] = &[
    ("garbage", GeoFault::Garbage),
    ("truncated", GeoFault::Truncated),
    ("blank", GeoFault::Blank),
    ("missing", GeoFault::Missing),
];
const GROUPS_MAX: usize = 16;
