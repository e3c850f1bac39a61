//! `[[route]]`: rules for a part of a tenant's paths.

use std::collections::BTreeSet;

use super::{Rules, TenantDocument, path_prefix, rules};
use crate::document::canonical::Canonical;
use crate::document::page::{At, Page};
use crate::document::table::{Key, Table, key, tables};
use crate::document::tree::Node;
use crate::policy::PathPrefix;

/// Rules for the paths under a prefix.
#[derive(Debug, Clone)]
pub(in crate::document) struct RouteRules {
    /// The prefix.
    pub(in crate::document) path_prefix: At<PathPrefix>,
    /// The rules: they stand for themselves, nothing of the tenant's own is added to them.
    pub(in crate::document) rules: Rules,
}

/// Reads every `[[route]]`.
pub(super) fn read(page: &Page, table: &Table<'_>) -> Vec<RouteRules> {
    let nodes = table.or("route", Vec::new(), |page, node| tables(page, node, TenantDocument::ROUTES_MAX));
    let mut seen = BTreeSet::new();
    let mut routes = Vec::new();
    for route in nodes.into_iter().filter_map(|node| route(page, node)) {
        if !seen.insert(route.path_prefix.value.clone()) {
            let prefix = match route.path_prefix.value.as_str() {
                "" => "/",
                prefix => prefix,
            };
            page.error(route.path_prefix.spot, format!("a second route for `{prefix}`"));
        }
        routes.push(route);
    }
    routes
}

fn route(page: &Page, node: &Node) -> Option<RouteRules> {
    let table = Table::open(page, node, KEYS)?;
    let path_prefix = table.required("path_prefix", path_prefix);
    let residency = table.required("residency", rules::read);
    Some(RouteRules { path_prefix: path_prefix?, rules: residency?.value })
}

impl RouteRules {
    /// What it means, in bytes.
    pub(super) fn canonical(&self) -> Canonical {
        Canonical::default().text(self.path_prefix.value.as_str()).list([self.rules.canonical()])
    }
}

const KEYS: &[Key] = &[key("path_prefix", "\"/eu\""), key("residency", "{ allow = [\"set:EU\"] }")];
