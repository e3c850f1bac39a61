//! Which nodes or regions are meant: by name, or by the places that rules speak of.

use graticule_geo::Place;
use graticule_node_core::document::reading::{Node, Page, Table, list, parsed, text};

use crate::fleet::{FleetPlan, RegionPlan};
use crate::places;

/// A list of selectors that stands for the nodes of `fleet` in their order.
pub(super) fn nodes(fleet: &FleetPlan) -> impl Fn(&Page, &Node) -> Option<Vec<String>> {
    move |page, node| {
        let meant = list(SELECTORS_MAX, |page, node| select(page, node, fleet))(page, node)?;
        if node.as_list().is_some_and(|written| written.is_empty()) {
            page.error_with(node.spot, "nobody is meant", "write `[\"region:eu-central\"]`, or `[\"any\"]`");
        }
        if meant.is_empty() {
            return None;
        }
        let meant: Vec<_> = meant.into_iter().flat_map(|at| at.value).collect();
        Some(fleet.node_names().filter(|name| meant.contains(name)).collect())
    }
}

/// The same for regions.
pub(super) fn regions(fleet: &FleetPlan) -> impl Fn(&Page, &Node) -> Option<Vec<String>> {
    move |page, node| {
        let nodes = nodes(fleet)(page, node)?;
        let meant = |region: &&RegionPlan| region.node_names().any(|name| nodes.contains(&name));
        Some(fleet.regions.iter().filter(meant).map(|region| region.name.clone()).collect())
    }
}

/// A required list of nodes.
pub(super) fn required(table: &Table<'_>, key: &str, fleet: &FleetPlan) -> Option<Vec<String>> {
    table.required(key, nodes(fleet)).map(|at| at.value)
}

fn select(page: &Page, node: &Node, fleet: &FleetPlan) -> Option<Vec<String>> {
    let written = text(page, node)?;
    let of_regions = |meant: &dyn Fn(&RegionPlan) -> bool| -> Vec<String> {
        fleet.regions.iter().filter(|region| meant(region)).flat_map(RegionPlan::node_names).collect()
    };
    let found = match written.split_once(':') {
        None if written == "any" => of_regions(&|_| true),
        None => fleet.node_names().filter(|name| *name == written).collect(),
        Some(("region", name)) => of_regions(&|region| region.name == name),
        Some(_) => {
            let _: Place = parsed(page, node)?;
            of_regions(&|region| places::includes(&written, region))
        }
    };
    if found.is_empty() {
        let names: Vec<_> = fleet.node_names().collect();
        let regions: Vec<_> = fleet.regions.iter().map(|region| format!("region:{}", region.name)).collect();
        page.unknown(node.spot, "node or place", &written, names.iter().chain(&regions).map(String::as_str));
        return None;
    }
    Some(found)
}

/// Selectors of one list.
const SELECTORS_MAX: usize = 256;
