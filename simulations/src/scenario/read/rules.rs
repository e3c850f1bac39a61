//! A tenant's residency, read for the judge. What is wrong with it as a document, the node's own reader says too.

use graticule_geo::Place;
use graticule_node_core::document::reading::{
    Key, Node, Page, Table, key, list, one_of, shortened, tables, text,
};

use super::fleet::Cast;
use super::{select, values};
use crate::places;
use crate::scenario::{Permission, Reach, Receive, Rules, Unknown};

/// Reads a table of rules; nothing if anything is wrong with them, so that what they mean is not judged by halves.
pub(super) fn read(page: &Page, node: &Node, cast: &Cast) -> Option<Rules> {
    let table = Table::open(page, node, KEYS)?;
    let everybody = permission(&table, cast);
    let by_client = given(&table, "client", |page, node| clients(page, node, cast));
    let home = given(&table, "home", |page, node| home(page, node, cast).map(Some));
    let unknown = given(&table, "unknown", |page, node| one_of(UNKNOWN)(page, node).map(Some));
    let receive = given(&table, "receive", |page, node| one_of(RECEIVE)(page, node).map(Some));
    let unknown = unknown?.unwrap_or(Unknown::Refuse);
    if unknown == Unknown::Home && table.entry("home").is_none() {
        page.error_with(
            node.spot,
            "`unknown = \"home\"` without `home`",
            "add `home = \"..\"` with a region",
        );
        return None;
    }
    let receive = receive?.unwrap_or(Receive::Any);
    Some(Rules { everybody: everybody?, by_client: by_client?, unknown, home: home?, receive })
}

/// The value of a key, its default if it is not written, and nothing if it is wrong.
fn given<T: Default>(
    table: &Table<'_>,
    key: &str,
    form: impl FnOnce(&Page, &Node) -> Option<T>,
) -> Option<T> {
    match table.entry(key) {
        Some(_) => table.optional(key, form).map(|at| at.value),
        None => Some(T::default()),
    }
}

/// A region's name, and nothing that stands for regions elsewhere.
fn home(page: &Page, node: &Node, cast: &Cast) -> Option<String> {
    let written = text(page, node)?;
    let known = |name: &str| cast.fleet.region(name).is_some() || cast.broken.contains(name);
    if known(&written) || cast.fleet.regions.is_empty() {
        return Some(written);
    }
    let meant = written.strip_prefix("region:").filter(|name| known(name));
    let meant = meant.or_else(|| cast.fleet.region_of(&written).map(|region| &*region.name));
    if let Some(name) = meant {
        let message = format!("expected the name of a region, found `{written}`");
        page.error_with(node.spot, message, format!("write `{name}`"));
    } else {
        page.unknown(node.spot, "region", &written, cast.fleet.regions.iter().map(|region| &*region.name));
    }
    None
}

fn clients(page: &Page, node: &Node, cast: &Cast) -> Option<Vec<(Reach, Permission)>> {
    let nodes = tables(page, node, CLIENT_RULES_MAX)?;
    let clients: Vec<_> = nodes.into_iter().map(|node| client(page, node, cast)).collect();
    clients.into_iter().collect()
}

fn client(page: &Page, node: &Node, cast: &Cast) -> Option<(Reach, Permission)> {
    let table = Table::open(page, node, CLIENT_KEYS)?;
    let when = table.required("when", |page, node| reach(page, node, cast));
    let permission = permission(&table, cast);
    Some((when?.value, permission?))
}

fn permission(table: &Table<'_>, cast: &Cast) -> Option<Permission> {
    let reach = |page: &Page, node: &Node| reach(page, node, cast);
    let allow = table.required("allow", reach);
    let deny = given(table, "deny", reach);
    let fallback = given(table, "fallback", |page, node| all(page, node, (TIERS_MAX, reach)));
    Some(Permission { allow: allow?.value, deny: deny?, fallback: fallback? })
}

fn reach(page: &Page, node: &Node, cast: &Cast) -> Option<Reach> {
    let places = all(page, node, (PLACES_MAX, |page: &Page, node: &Node| place(page, node, cast)))?;
    Some(Reach(places.into_iter().collect()))
}

/// The items of a list, if nothing is wrong with any.
fn all<T>(
    page: &Page,
    node: &Node,
    (max, item): (usize, impl Fn(&Page, &Node) -> Option<T>),
) -> Option<Vec<T>> {
    let items = list(max, item)(page, node)?;
    let whole = node.as_list().is_some_and(|written| written.len() == items.len());
    whole.then(|| items.into_iter().map(|at| at.value).collect())
}

fn place(page: &Page, node: &Node, cast: &Cast) -> Option<String> {
    let written = text(page, node)?;
    if written == places::ANY {
        return Some(written);
    }
    if !["country:", "set:", "label:"].iter().any(|kind| written.starts_with(kind)) {
        let message =
            format!("`{}` is no place: rules speak of countries, sets and labels", shortened(&written));
        page.error_with(
            node.spot,
            message,
            "write `country:DE`, `set:EU`, or `label:x` after a label that you give to regions",
        );
        return None;
    }
    match values::place(page, node)? {
        Place::Set(name) if !places::is_defined(&written) => {
            page.unknown(node.spot, "set", name.as_str(), places::sets());
            None
        }
        Place::Label(label) => {
            select::known_label(page, node.spot, (label.as_str(), cast)).then_some(written)
        }
        _ => Some(written),
    }
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
