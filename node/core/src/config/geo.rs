//! `[geo]`: where addresses are looked up.

use std::collections::BTreeMap;
use std::path::PathBuf;

use graticule_geo::Country;
use ipnet::IpNet;

use super::ingress::{no_network, parse_network};
use super::path;
use crate::document::page::Page;
use crate::document::table::{Key, Table, entries, key};
use crate::document::tree::Node;
use crate::document::value::{boolean, country, list};

/// Where addresses are looked up: first here, then in the databases in their order, then in the embedded one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeoConfig {
    /// Files of the `MaxMind` format.
    pub databases: Vec<PathBuf>,
    /// Whether the embedded database is asked at the end.
    pub embedded: bool,
    /// Networks whose country the operator knows better; `None` for one that nobody knows.
    pub overrides: BTreeMap<IpNet, Option<Country>>,
}

/// Reads the table.
pub(super) fn read(page: &Page, node: &Node) -> Option<GeoConfig> {
    let table = Table::open(page, node, KEYS)?;
    let databases = table.or("databases", Vec::new(), list(DATABASES_MAX, path));
    let embedded = table.or("embedded", true, boolean);
    let overrides = table.or("overrides", BTreeMap::new(), overrides);
    Some(GeoConfig { databases: databases.into_iter().map(|at| at.value).collect(), embedded, overrides })
}

fn overrides(page: &Page, node: &Node) -> Option<BTreeMap<IpNet, Option<Country>>> {
    let written = entries(page, node)?;
    if let Some(over) = written.get(OVERRIDES_MAX) {
        page.error(over.spot, format!("more than {OVERRIDES_MAX} networks"));
    }
    let mut overrides = BTreeMap::new();
    for entry in written.iter().take(OVERRIDES_MAX) {
        let network =
            parse_network(&entry.key).map_err(|meant| no_network(page, entry.spot, &entry.key, meant));
        let known = entry.node.as_text() != Some(UNKNOWN);
        let country = known.then(|| country(page, &entry.node)).flatten();
        if let Ok(network) = network
            && overrides.insert(network, country).is_some()
        {
            page.error(entry.spot, format!("`{network}` is written twice"));
        }
    }
    Some(overrides)
}

const KEYS: &[Key] = &[
    key("databases", "[\"GeoLite2-City.mmdb\"]"),
    key("embedded", "true"),
    key("overrides", "{ \"203.0.113.0/24\" = \"DE\" }"),
];

/// What stands for no country.
const UNKNOWN: &str = "unknown";
const DATABASES_MAX: usize = 16;
const OVERRIDES_MAX: usize = 10_000;
