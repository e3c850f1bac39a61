//! `[[fault]]`: what goes wrong, when, and whom it meets.

use std::time::Duration;

use graticule_node_core::document::reading::{
    At, Key, Node, Page, Table, boolean, integer, key, list, one_of, text,
};

use super::documents::TenantSpots;
use super::fleet::Cast;
use super::values::{check_begins, moment, share, some_time};
use super::{foreign_keys, load, rules, select};
use crate::scenario::{BackendFault, Checks, DiskFate, Fault, GeoFault, TimedFault, Weather};

/// Reads one fault of a scenario that ends at `whole`.
pub(super) fn read(page: &Page, node: &Node, (cast, whole): (&Cast, Duration)) -> Option<TimedFault> {
    let table = Table::open(page, node, KEYS)?;
    let kind = table.required("kind", text)?;
    let at = table.required("at", moment);
    if let Some(at) = &at {
        check_begins(page, at.spot, (at.value, whole));
    }
    let lasts = table.optional("for", some_time);
    let again = repetition(&table, at.as_ref(), lasts.as_ref());
    let Some((name, keys, read)) = KINDS.iter().find(|(name, ..)| *name == kind.value) else {
        page.unknown(kind.spot, "kind of fault", &kind.value, KINDS.iter().map(|(name, ..)| *name));
        return None;
    };
    foreign_keys(page, node, (name, &[&COMMON, keys]), KEYS);
    let fault = read(&table, cast)?;
    let spot = kind.spot;
    Some(TimedFault { spot, at: at?.value, lasts: lasts.map(|at| at.value), again, fault })
}

/// `every` and `until`: how often it begins again.
fn repetition(
    table: &Table<'_>,
    at: Option<&At<Duration>>,
    lasts: Option<&At<Duration>>,
) -> Option<(Duration, Duration)> {
    let page = table.page();
    let every = table.optional("every", some_time);
    let until = table.optional("until", moment);
    let (every, until) = match (every, until) {
        (Some(every), Some(until)) => (every, until),
        (Some(alone), None) | (None, Some(alone)) => {
            // The other may be there, and wrong.
            if table.entry("every").is_none() || table.entry("until").is_none() {
                page.error_with(alone.spot, "`every` and `until` go together", "add the other");
            }
            return None;
        }
        (None, None) => return None,
    };
    if table.entry("for").is_none() || lasts.is_some_and(|lasts| lasts.value >= every.value) {
        page.error_with(every.spot, "it begins again before it has ended", "make `for` shorter than `every`");
    }
    if let Some(at) = at.filter(|at| at.value >= until.value) {
        page.error_with(
            until.spot,
            format!("it ends at {:?}, and begins at {:?}", until.value, at.value),
            "let `until` be after `at`",
        );
    }
    Some((every.value, until.value))
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
    select::required(table, "nodes", cast)
}

/// Both ends of a link.
fn ends(table: &Table<'_>, cast: &Cast) -> Option<(Vec<String>, Vec<String>)> {
    let from = select::required(table, "from", cast);
    let to = select::required(table, "to", cast);
    from.zip(to)
}

fn partition(table: &Table<'_>, cast: &Cast) -> Option<Fault> {
    let groups = table.required("groups", list(GROUPS_MAX, select::nodes(cast)))?;
    let mut seen = Vec::new();
    for group in &groups.value {
        if let Some(twice) = group.value.iter().find(|name| seen.contains(*name)) {
            table.page().error(group.spot, format!("`{twice}` is in two groups"));
        }
        seen.extend(group.value.iter().cloned());
    }
    // Those that are wrong are told of, and left out.
    let written =
        table.entry("groups").and_then(|entry| entry.node.as_list()).map_or(0, |groups| groups.len());
    if written < 2 {
        table.page().error(groups.spot, "a partition has at least two groups");
    }
    Some(Fault::Partition { groups: groups.value.into_iter().map(|at| at.value).collect() })
}

fn link(table: &Table<'_>, cast: &Cast) -> Option<Fault> {
    let ends = ends(table, cast);
    let time = |key| table.or(key, Duration::ZERO, some_time);
    let share = |key| table.or(key, 0.0, share);
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
    let regions = table.required("regions", select::regions(cast));
    let tenant = table.optional("tenant", |page, node| load::tenant(page, node, cast));
    let how = BackendFault {
        latency: table.or("latency", Duration::ZERO, some_time),
        errors: table.or("errors", 0.0, share),
        down: table.or("down", false, boolean),
        checks: table.or("checks", Checks::AsRequests, one_of(CHECKS)),
    };
    if how.down && how.checks == Checks::Healthy {
        table.page().error(table.spot, "backends that refuse every connection refuse those of checks too");
    }
    if let Some(tenant) = tenant.as_ref().filter(|_| how.down) {
        table.page().error_with(
            tenant.spot,
            "a backend refuses connections, and whose requests would come over them it cannot know",
            "leave out `tenant`, or use `errors` or `latency` in place of `down`",
        );
    }
    Some(Fault::Backends { regions: regions?.value, tenant: tenant.map(|at| at.value), how })
}

fn names(table: &Table<'_>, cast: &Cast) -> Option<Fault> {
    let to = table.or("to", Vec::new(), select::nodes(cast));
    Some(Fault::Names { nodes: nodes(table, cast)?, to })
}

fn document(table: &Table<'_>, cast: &Cast) -> Option<Fault> {
    let nodes = nodes(table, cast);
    let tenant = table.required("tenant", |page, node| load::tenant(page, node, cast));
    let rules = table.required("residency", |page, node| rules::read(page, node, cast));
    let (tenant, rules) = (tenant?.value, rules?);
    if let Some(plan) = cast.fleet.tenant(&tenant) {
        let spots = TenantSpots { whole: table.spot, residency: rules.spot };
        cast.check_tenant(table.page(), (plan, &rules.value.document()), spots);
    }
    Some(Fault::Document { nodes: nodes?, tenant, rules: rules.value })
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
