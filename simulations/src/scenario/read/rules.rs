//! A tenant's residency, read for the judge. What is wrong with it as a document, the node's own reader says too.

use graticule_geo::Place;
use graticule_node_core::document::reading::{
    Key, Node, Page, Table, key, list, one_of, parsed, tables, text,
};

use crate::fleet::FleetPlan;
use crate::places;
use crate::scenario::{Permission, Reach, Receive, Rules, Unknown};

/// Reads a table of rules.
pub(super) fn read(page: &Page, node: &Node, fleet: &FleetPlan) -> Option<Rules> {
    let table = Table::open(page, node, KEYS)?;
    let everybody = permission(&table);
    let clients = table.or("client", Vec::new(), |page, node| tables(page, node, CLIENT_RULES_MAX));
    let by_client: Vec<_> = clients.into_iter().filter_map(|node| client(page, node)).collect();
    let home = table.optional("home", text);
    if let Some(home) = home.as_ref().filter(|home| fleet.region(&home.value).is_none()) {
        page.unknown(home.spot, "region", &home.value, fleet.regions.iter().map(|region| &*region.name));
    }
    let unknown = table.or("unknown", Unknown::Refuse, one_of(UNKNOWN));
    if unknown == Unknown::Home && home.is_none() {
        page.error_with(
            node.spot,
            "`unknown = \"home\"` without `home`",
            "add `home = \"..\"` with a region",
        );
    }
    let receive = table.or("receive", Receive::Any, one_of(RECEIVE));
    Some(Rules { everybody: everybody?, by_client, unknown, home: home.map(|at| at.value), receive })
}

fn client(page: &Page, node: &Node) -> Option<(Reach, Permission)> {
    let table = Table::open(page, node, CLIENT_KEYS)?;
    let when = table.required("when", reach);
    let permission = permission(&table);
    Some((when?.value, permission?))
}

fn permission(table: &Table<'_>) -> Option<Permission> {
    let allow = table.required("allow", reach);
    let deny = table.or("deny", Reach::default(), reach);
    let fallback = table.or("fallback", Vec::new(), list(TIERS_MAX, reach));
    Some(Permission {
        allow: allow?.value,
        deny,
        fallback: fallback.into_iter().map(|at| at.value).collect(),
    })
}

fn reach(page: &Page, node: &Node) -> Option<Reach> {
    let places = list(PLACES_MAX, place)(page, node)?;
    Some(Reach(places.into_iter().map(|at| at.value).collect()))
}

fn place(page: &Page, node: &Node) -> Option<String> {
    let written = text(page, node)?;
    if written == places::ANY {
        return Some(written);
    }
    let _: Place = parsed(page, node)?;
    if !places::is_defined(&written) {
        page.error(node.spot, format!("`{written}` is none of the sets that every simulated fleet has"));
    }
    Some(written)
}

const KEYS: &[Key] = &[
    key("allow", "[\"set:EU\"]"),
    key("deny", "[\"country:HU\"]"),
    key("fallback", "[[\"country:CH\"], [\"country:GB\"]]"),
    key("home", "\"eu-central\""),
    key("unknown", "\"refuse\""),
    key("receive", "\"any\""),
    key("client", "[{ when = [\"country:US\"], allow = [\"country:US\"] }]"),
];
const CLIENT_KEYS: &[Key] = &[
    key("when", "[\"country:US\"]"),
    key("allow", "[\"country:US\"]"),
    key("deny", "[\"label:test\"]"),
    key("fallback", "[[\"country:CA\"]]"),
];

const UNKNOWN: &[(&str, Unknown)] = &[("refuse", Unknown::Refuse), ("home", Unknown::Home)];
const RECEIVE: &[(&str, Receive)] = &[("any", Receive::Any), ("allowed", Receive::Allowed)];

const CLIENT_RULES_MAX: usize = 64;
const TIERS_MAX: usize = 8;
const PLACES_MAX: usize = 256;
