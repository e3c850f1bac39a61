//! `[[content]]`: which requests go to which pools.

use http::Method;

use super::pool::UNNAMED;
use super::{TenantDocument, claim, path_prefix};
use crate::document::canonical::Canonical;
use crate::document::page::{At, Page, Spot, shortened};
use crate::document::table::{Key, Table, entries, key, name, tables};
use crate::document::tree::{Entry, Node};
use crate::document::value::{integer, list, parsed, text};
use crate::policy::{HeaderClaim, PathPrefix, PoolName, QueryClaim};

/// One rule as it was written.
#[derive(Debug, Clone)]
pub(in crate::document) struct ContentRules {
    pub(in crate::document) path_prefix: Option<PathPrefix>,
    pub(in crate::document) methods: Vec<Method>,
    pub(in crate::document) header: Option<HeaderClaim>,
    pub(in crate::document) query: Option<QueryClaim>,
    /// Pools, or `None` for the one without a name, each with its weight.
    pub(in crate::document) shares: Vec<(Option<PoolName>, u32)>,
}

/// Reads every `[[content]]`. Pools must be among `known`.
pub(super) fn read(page: &Page, table: &Table<'_>, known: &[&PoolName]) -> Vec<ContentRules> {
    let nodes =
        table.or("content", Vec::new(), |page, node| tables(page, node, TenantDocument::CONTENT_RULES_MAX));
    let mut everything: Option<Spot> = None;
    let mut rules = Vec::new();
    for node in nodes {
        if let Some(before) = everything {
            let help = format!("the rule at {before} is about every request: move it to the end");
            page.error_with(node.spot, "no request gets as far as this rule", help);
        }
        let Some(rule) = rule(page, node, known) else { continue };
        if rule.is_about_everything() && everything.is_none() {
            everything = Some(node.spot);
        }
        rules.push(rule);
    }
    rules
}

fn rule(page: &Page, node: &Node, known: &[&PoolName]) -> Option<ContentRules> {
    let table = Table::open(page, node, KEYS)?;
    let path_prefix = table.optional("path_prefix", path_prefix).map(|at| at.value);
    let methods = table.optional("methods", list(METHODS_MAX, method));
    if let Some(entry) =
        table.entry("methods").filter(|entry| entry.node.as_list().is_some_and(|items| items.is_empty()))
    {
        page.error_with(
            entry.node.spot,
            "this rule is about no method",
            "add methods, or leave `methods` out",
        );
    }
    let header = table.optional("header", claim::header).map(|at| at.value);
    let query = table.optional("query", query).map(|at| at.value);
    let shares = shares(page, &table, known);
    // What could not be read must not become a rule about everything.
    let wrong = |key, read: bool| table.entry(key).is_some() && !read;
    if wrong("path_prefix", path_prefix.is_some())
        || wrong("header", header.is_some())
        || wrong("query", query.is_some())
        || wrong("methods", methods.as_ref().is_some_and(|at| !at.value.is_empty()))
    {
        return None;
    }
    let methods = methods.map_or_else(Vec::new, |at| at.value.into_iter().map(|at| at.value).collect());
    Some(ContentRules { path_prefix, methods, header, query, shares: shares? })
}

/// `pool` or `split`: one of them.
fn shares(page: &Page, table: &Table<'_>, known: &[&PoolName]) -> Option<Vec<(Option<PoolName>, u32)>> {
    let names = [UNNAMED].into_iter().chain(known.iter().map(|name| name.as_str()));
    let meant = |name: PoolName, spot: Spot| {
        if name.as_str() == UNNAMED {
            return Some(None);
        }
        if names.clone().any(|known| known == name.as_str()) {
            return Some(Some(name));
        }
        page.unknown(spot, "pool", name.as_str(), names.clone());
        None
    };
    match (table.entry("pool"), table.entry("split")) {
        (Some(_), Some(split)) => {
            page.error_with(split.spot, "`pool` and `split` in one rule", "put every pool in `split`");
            None
        }
        (None, None) => {
            page.error_with(
                table.spot,
                "this rule sends requests nowhere",
                "add `pool = \"..\"` or `split = { .. }`",
            );
            None
        }
        (Some(_), None) => {
            let At { value, spot } = table.optional("pool", parsed)?;
            Some(vec![(meant(value, spot)?, 1)])
        }
        (None, Some(_)) => {
            let At { value, spot } = table.optional("split", entries)?;
            let share = |entry: &Entry| {
                let weight = integer(0..=WEIGHT_MAX)(page, &entry.node);
                Some((meant(name(page, entry)?, entry.spot)?, weight?.unsigned_abs() as u32))
            };
            let shares: Vec<_> = value.iter().filter_map(share).collect();
            if !page.has_errors() && shares.iter().all(|(_, weight)| *weight == 0) {
                page.error_with(spot, "no pool has a share", "give one a weight above 0");
            }
            Some(shares)
        }
    }
}

fn method(page: &Page, node: &Node) -> Option<Method> {
    let written = text(page, node)?;
    let method = Method::from_bytes(written.as_bytes()).ok().filter(|_| written.len() <= METHOD_BYTES_MAX);
    let method = method.filter(|method| method.as_str().bytes().all(|byte| !byte.is_ascii_lowercase()));
    if method.is_none() {
        let message = format!("expected a method in capitals such as `GET`, found `{}`", shortened(&written));
        page.error(node.spot, message);
    }
    method
}

fn query(page: &Page, node: &Node) -> Option<QueryClaim> {
    let table = Table::open(page, node, QUERY_KEYS)?;
    let name = table.required("name", query_part);
    let value = table.required("value", query_part);
    Some(QueryClaim { name: name?.value, value: value?.value })
}

fn query_part(page: &Page, node: &Node) -> Option<Box<str>> {
    let written = text(page, node)?;
    let legal = (1..=QUERY_PART_BYTES_MAX).contains(&written.len())
        && written.bytes().all(|byte| byte.is_ascii_graphic() && !b"&=#".contains(&byte));
    if !legal {
        let expected = format!(
            "1 to {QUERY_PART_BYTES_MAX} visible ASCII characters as they are sent, without `&`, `=`, `#`"
        );
        page.error(node.spot, format!("expected {expected}, found `{}`", shortened(&written)));
    }
    legal.then(|| written.into())
}

impl ContentRules {
    fn is_about_everything(&self) -> bool {
        self.path_prefix.is_none() && self.methods.is_empty() && self.header.is_none() && self.query.is_none()
    }

    /// What it means, in bytes.
    pub(super) fn canonical(&self) -> Canonical {
        let text = |text: &str| Canonical::default().text(text);
        let header = |header: &HeaderClaim| text(header.name.as_str()).bytes(header.value.as_bytes());
        let share = |(pool, weight): &(Option<PoolName>, u32)| {
            text(pool.as_ref().map_or(UNNAMED, PoolName::as_str)).number((*weight).into())
        };
        Canonical::default()
            .maybe(self.path_prefix.as_ref().map(|prefix| text(prefix.as_str())))
            .set(self.methods.iter().map(|method| text(method.as_str())))
            .maybe(self.header.as_ref().map(header))
            .maybe(self.query.as_ref().map(|query| text(&query.name).text(&query.value)))
            .set(self.shares.iter().map(share))
    }
}

const KEYS: &[Key] = &[
    key("path_prefix", "\"/api\""),
    key("methods", "[\"GET\"]"),
    key("header", "{ name = \"x-canary\", value = \"1\" }"),
    key("query", "{ name = \"version\", value = \"2\" }"),
    key("pool", "\"api\""),
    key("split", "{ default = 95, canary = 5 }"),
];

const QUERY_KEYS: &[Key] = &[key("name", "\"version\""), key("value", "\"2\"")];

const METHODS_MAX: usize = 16;
const METHOD_BYTES_MAX: usize = 32;
const QUERY_PART_BYTES_MAX: usize = 128;
const WEIGHT_MAX: i64 = 1_000_000;

#[cfg(test)]
mod tests;
