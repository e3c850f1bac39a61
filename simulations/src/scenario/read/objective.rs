//! `[[objective]]`: what must hold, of whose requests, of which time.

use std::time::Duration;

use graticule_node_core::Reason;
use graticule_node_core::document::reading::{
    At, Entry, Key, Node, Page, Table, key, list, nearest, shortened, text,
};

use super::fleet::Cast;
use super::values::{share, some_time, unknown, window};
use super::{foreign_keys, load, select};
use crate::scenario::{Demand, Load, Objective};

/// What objectives can speak of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'s> {
    pub(super) cast: &'s Cast,
    /// The loads that are right.
    pub(super) loads: &'s [Load],
    /// All loads, as they are written.
    pub(super) named_loads: &'s [Entry],
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
    foreign_keys(page, node, (name, &[&COMMON, keys]), KEYS);
    let demand = match *name {
        "availability" => table.required("least", share).map(|at| Demand::Availability { least: at.value }),
        "recovery" => recovery(&table),
        "refusals" => refusals(&table),
        "latency" => latency(&table),
        _ => served(&table, scene.cast),
    };
    let tenant = table.optional("tenant", |page, node| load::tenant(page, node, scene.cast));
    let load = table.optional("load", |page, node| known_load(page, node, scene.named_loads));
    check_whose(page, tenant.as_ref(), load.as_ref(), scene.loads);
    let (from, until) = window(&table, scene.whole);
    let (tenant, load) = (tenant.map(|at| at.value), load.map(|at| at.value));
    Some(Objective { tenant, load, from, until, demand: demand? })
}

fn recovery(table: &Table<'_>) -> Option<Demand> {
    let slower_than = table.optional("slower_than", some_time).map(|at| at.value);
    Some(Demand::Recovery { within: table.required("within", some_time)?.value, slower_than })
}

fn refusals(table: &Table<'_>) -> Option<Demand> {
    let only = table.required("only", list(REASONS_MAX, reason));
    let most = table.or("most", 1.0, share);
    Some(Demand::Refusals { only: only?.value.into_iter().map(|at| at.value).collect(), most })
}

fn latency(table: &Table<'_>) -> Option<Demand> {
    let quantile = table.or("quantile", 0.99, share);
    Some(Demand::Latency { quantile, most: table.required("most", some_time)?.value })
}

fn served(table: &Table<'_>, cast: &Cast) -> Option<Demand> {
    let by = table.required("by", select::regions(cast));
    let least = table.or("least", 1.0, share);
    Some(Demand::Served { by: by?.value, least })
}

fn known_load(page: &Page, node: &Node, loads: &[Entry]) -> Option<String> {
    let name = text(page, node)?;
    if !loads.iter().any(|load| load.key == name) {
        unknown(page, node.spot, ("load", &name), loads.iter().map(|load| &*load.key));
        return None;
    }
    Some(name)
}

/// Reports an objective about no request: of one tenant, and of a load that is another's.
fn check_whose(page: &Page, tenant: Option<&At<String>>, load: Option<&At<String>>, loads: &[Load]) {
    let (Some(tenant), Some(named)) = (tenant, load) else { return };
    let other = loads.iter().find(|load| load.name == named.value && load.tenant != tenant.value);
    if let Some(other) = other {
        let message = format!(
            "the load `{}` is of the tenant `{}`, not of `{}`",
            other.name, other.tenant, tenant.value
        );
        page.error_with(named.spot, message, "leave `tenant` out");
    }
}

/// A reason of docs/refusals.md, or that there was no answer.
fn reason(page: &Page, node: &Node) -> Option<String> {
    let written = text(page, node)?;
    let known = Reason::ALL.iter().map(|reason| reason.row().label).chain([NO_ANSWER]);
    if known.clone().any(|known| known == written) {
        return Some(written);
    }
    let help = match nearest(&written, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("docs/refusals.md lists them; besides, there is `{NO_ANSWER}`"),
    };
    page.error_with(node.spot, format!("unknown reason `{}`", shortened(&written)), help);
    None
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

/// What clients say that got no answer.
const NO_ANSWER: &str = "no-answer";
const REASONS_MAX: usize = 32;
