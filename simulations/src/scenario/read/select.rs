//! Which nodes or regions are meant: by name, or by the places that rules speak of.

use std::collections::BTreeSet;

use graticule_node_core::document::reading::{Node, Page, Spot, Table, list, listed, shortened, text};

use super::fleet::Cast;
use super::values::{place, unknown};
use crate::fleet::RegionPlan;
use crate::places;

/// A list of selectors that stands for nodes in the order of the fleet.
pub(super) fn nodes(cast: &Cast) -> impl Fn(&Page, &Node) -> Option<Vec<String>> {
    selected(cast, "node or place")
}

/// The same for regions.
pub(super) fn regions(cast: &Cast) -> impl Fn(&Page, &Node) -> Option<Vec<String>> {
    move |page, node| {
        let nodes = selected(cast, "region or place")(page, node)?;
        let meant = |region: &&RegionPlan| region.node_names().any(|name| nodes.contains(&name));
        Some(cast.fleet.regions.iter().filter(meant).map(|region| region.name.clone()).collect())
    }
}

/// A required list of nodes.
pub(super) fn required(table: &Table<'_>, key: &str, cast: &Cast) -> Option<Vec<String>> {
    table.required(key, nodes(cast)).map(|at| at.value)
}

fn selected(cast: &Cast, what: &'static str) -> impl Fn(&Page, &Node) -> Option<Vec<String>> {
    move |page, node| {
        let item = |page: &Page, node: &Node| select(page, node, (cast, what));
        let meant = list(SELECTORS_MAX, item)(page, node)?;
        if node.as_list().is_some_and(|written| written.is_empty()) {
            let region =
                cast.fleet.regions.first().map(|region| format!("`[\"region:{}\"]`, or ", region.name));
            let help = format!("write {}`[\"any\"]`", region.unwrap_or_default());
            page.error_with(node.spot, "nobody is meant", help);
        }
        if meant.is_empty() {
            return None;
        }
        let meant: Vec<_> = meant.into_iter().flat_map(|at| at.value).collect();
        Some(cast.fleet.node_names().filter(|name| meant.contains(name)).collect())
    }
}

fn select(page: &Page, node: &Node, (cast, what): (&Cast, &str)) -> Option<Vec<String>> {
    let written = text(page, node)?;
    let of_regions = |meant: &dyn Fn(&RegionPlan) -> bool| -> Vec<String> {
        cast.fleet.regions.iter().filter(|region| meant(region)).flat_map(RegionPlan::node_names).collect()
    };
    let found = match written.split_once(':') {
        None if written == places::ANY => of_regions(&|_| true),
        None => cast.fleet.node_names().filter(|name| *name == written).collect(),
        Some(("region", name)) => of_regions(&|region| region.name == name),
        Some(("country" | "set" | "label", _)) => {
            place(page, node)?;
            of_regions(&|region| places::includes(&written, region))
        }
        Some(_) => Vec::new(),
    };
    if found.is_empty() {
        if !perhaps_broken(cast, &written) {
            report(page, node, &written, (cast, what));
        }
        return None;
    }
    Some(found)
}

/// Whether a region that is wrong may be meant: what is wrong with it is said there.
fn perhaps_broken(cast: &Cast, written: &str) -> bool {
    match written.split_once(':') {
        _ if cast.fleet.regions.is_empty() => true,
        Some(("region", name)) => cast.broken.contains(name),
        Some(("country" | "label", _)) => !cast.broken.is_empty(),
        Some(("set", _)) => !cast.broken.is_empty() && places::is_defined(written),
        Some(_) => false,
        None if written == places::ANY => !cast.broken.is_empty(),
        None => written.rsplit_once('-').is_some_and(|(region, _)| cast.broken.contains(region)),
    }
}

/// Reports a selector that nothing in the fleet fits.
fn report(page: &Page, node: &Node, written: &str, (cast, what): (&Cast, &str)) {
    let regions = cast.fleet.regions.iter();
    let names = regions.clone().map(|region| &*region.name);
    match written.split_once(':') {
        Some(("region", name)) => page.unknown(node.spot, "region", name, names),
        Some(("set", name)) if !places::is_defined(written) => {
            page.unknown(node.spot, "set", name, places::sets());
        }
        Some(("label", name)) => _ = known_label(page, node.spot, (name, cast)),
        Some(("country" | "set", _)) => {
            let countries: BTreeSet<_> =
                regions.map(|region| format!("country:{}", region.country)).collect();
            let help = format!("regions are in {}", listed(countries.iter().map(String::as_str)));
            page.error_with(node.spot, format!("no region is in `{written}`"), help);
        }
        Some(_) => page.error_with(
            node.spot,
            format!("`{}` selects nothing", shortened(written)),
            "write a node's name, `region:x`, `country:DE`, `set:EU`, `label:x` or `any`",
        ),
        None if names.clone().any(|name| name == written) => page.error_with(
            node.spot,
            format!("unknown {what} `{written}`"),
            format!("did you mean `region:{written}`?"),
        ),
        None => {
            let (nodes, regions): (Vec<_>, Vec<_>) =
                (cast.fleet.node_names().collect(), names.map(|name| format!("region:{name}")).collect());
            page.unknown(node.spot, what, written, nodes.iter().chain(&regions).map(String::as_str));
        }
    }
}

/// Whether a region has this label, or may have; reported otherwise.
pub(super) fn known_label(page: &Page, spot: Spot, (name, cast): (&str, &Cast)) -> bool {
    let labels = cast.fleet.regions.iter().flat_map(|region| &region.labels);
    let labels: BTreeSet<_> = labels.map(String::as_str).collect();
    let known = labels.contains(name) || !cast.broken.is_empty();
    if !known {
        unknown(page, spot, ("label", name), labels.iter().copied());
    }
    known
}

/// Selectors of one list.
const SELECTORS_MAX: usize = 256;
