//! `[[objective]]`: what must hold, of whose requests, of which time.

use std::time::Duration;

use graticule_node_core::document::reading::{Key, Node, Page, Table, duration, key, list, number, text};

use super::fleet::Cast;
use super::{foreign_keys, load, moment, select};
use crate::scenario::{Demand, Load, Objective};

/// What objectives can speak of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'s> {
    pub(super) cast: &'s Cast,
    pub(super) loads: &'s [Load],
    pub(super) whole: Duration,
}

/// Reads one objective.
pub(super) fn read(page: &Page, node: &Node, scene: &Scene<'_>) -> Option<Objective> {
    let table = Table::open(page, node, KEYS)?;
    let kind = table.required("kind", text)?;
    let Some((name, keys)) = KINDS.iter().find(|(name, _)| *name == kind.value) else {
        page.unknown(kind.spot, "kind of objective", &kind.value, KINDS.iter().map(|(name, _)| *name));
        return None;
    };
    foreign_keys(page, node, name, &[&COMMON, keys]);
    let demand = match *name {
        "availability" => table.required("least", share).map(|at| Demand::Availability { least: at.value }),
        "recovery" => recovery(&table),
        "refusals" => refusals(&table),
        "latency" => latency(&table),
        _ => served(&table, scene.cast),
    };
    let tenant = table.optional("tenant", |page, node| load::tenant(page, node, scene.cast));
    let load = table.optional("load", |page, node| known_load(page, node, scene.loads));
    let from = table.or("from", Duration::ZERO, moment);
    let until = table.or("until", scene.whole, moment).min(scene.whole);
    let (tenant, load) = (tenant.map(|at| at.value), load.map(|at| at.value));
    Some(Objective { tenant, load, from, until, demand: demand? })
}

fn recovery(table: &Table<'_>) -> Option<Demand> {
    let slower_than = table.optional("slower_than", some_time).map(|at| at.value);
    Some(Demand::Recovery { within: table.required("within", some_time)?.value, slower_than })
}

fn refusals(table: &Table<'_>) -> Option<Demand> {
    let only = table.required("only", list(REASONS_MAX, text));
    let most = table.or("most", 1.0, share);
    Some(Demand::Refusals { only: only?.value.into_iter().map(|at| at.value).collect(), most })
}

fn latency(table: &Table<'_>) -> Option<Demand> {
    let quantile = table.or("quantile", 0.99, share);
    Some(Demand::Latency { quantile, most: table.required("most", some_time)?.value })
}

fn served(table: &Table<'_>, cast: &Cast) -> Option<Demand> {
    let by = table.required("by", select::regions(&cast.fleet));
    let least = table.or("least", 1.0, share);
    Some(Demand::Served { by: by?.value, least })
}

fn known_load(page: &Page, node: &Node, loads: &[Load]) -> Option<String> {
    let name = text(page, node)?;
    if !loads.iter().any(|load| load.name == name) {
        page.unknown(node.spot, "load", &name, loads.iter().map(|load| &*load.name));
        return None;
    }
    Some(name)
}

fn share(page: &Page, node: &Node) -> Option<f64> {
    number(0.0..=1.0)(page, node)
}

fn some_time(page: &Page, node: &Node) -> Option<Duration> {
    duration(Duration::from_millis(1)..=Duration::from_hours(1))(page, node)
}

/// Every kind with the keys it has besides whose requests it is about.
const KINDS: [(&str, &[&str]); 5] = [
    ("availability", &["least"]),
    ("recovery", &["within", "slower_than"]),
    ("refusals", &["only", "most"]),
    ("latency", &["quantile", "most"]),
    ("served", &["by", "least"]),
];
const COMMON: [&str; 5] = ["kind", "tenant", "load", "from", "until"];

const KEYS: &[Key] = &[
    key("kind", "\"availability\""),
    key("tenant", "\"berlin\""),
    key("load", "\"berlin\""),
    key("from", "\"10s\""),
    key("until", "\"60s\""),
    key("least", "0.999"),
    key("within", "\"1s\""),
    key("slower_than", "\"200ms\""),
    key("only", "[\"no-compliant-region\"]"),
    key("most", "0.01"),
    key("quantile", "0.99"),
    key("by", "[\"region:eu-central\"]"),
];

const REASONS_MAX: usize = 32;
