//! A scenario's text: which keys there are, and what they must be. Everything that is wrong is reported in one go.

use std::collections::BTreeMap;
use std::time::Duration;

use graticule_node_core::document::reading::{
    At, Entry, Key, Node, Page, Table, duration, entries, integer, key, listed, shortened, tables, text,
};

use super::Scenario;
use fleet::Cast;
use values::up_to_an_hour;

mod documents;
mod fault;
mod fleet;
mod load;
mod objective;
mod rules;
mod select;
mod values;

/// Reads a whole scenario.
pub(super) fn read(page: &Page, node: &Node, name: &str) -> Option<Scenario> {
    let table = Table::open(page, node, KEYS)?;
    let title = table.required("title", text);
    let about = table.or("about", String::new(), text);
    let seed = table.or("seed", 1, integer(0..=i64::MAX));
    let duration = table.required("duration", duration(SECOND..=Scenario::DURATION_MAX));
    let convergence = table.or("convergence", CONVERGENCE, up_to_an_hour);
    let cast = fleet::read(&table);
    let whole = duration.as_ref().map_or(Scenario::DURATION_MAX, |at| at.value);
    let loads =
        table.or("load", Vec::new(), |page, node| Some(load::read(page, node, (cast.as_ref()?, whole))));
    let faults = table.or("fault", Vec::new(), |page, node| {
        items(page, node, "fault", |node| fault::read(page, node, (cast.as_ref()?, whole)))
    });
    let named_loads = table.entry("load").and_then(|entry| entry.node.as_table()).unwrap_or_default();
    let objectives = table.or("objective", Vec::new(), |page, node| {
        let scene = objective::Scene { cast: cast.as_ref()?, loads: &loads, named_loads, whole };
        items(page, node, "objective", |node| objective::read(page, node, &scene))
    });
    let Cast { fleet, rules, spot, .. } = cast?;
    let mut faults = faults;
    faults.sort_by_key(|fault| fault.at);
    let scenario = Scenario {
        name: name.to_owned(),
        title: title?.value,
        about,
        seed: seed.unsigned_abs(),
        duration: duration.as_ref()?.value,
        convergence,
        fleet,
        regions_spot: spot,
        rules,
        loads,
        faults,
        objectives,
    };
    warn_of_late_faults(page, &scenario, &duration?);
    Some(scenario)
}

/// Whether all nodes agree again can be told only if there is time for it.
fn warn_of_late_faults(page: &Page, scenario: &Scenario, duration: &At<Duration>) {
    let last = scenario.last_change();
    if !scenario.faults.is_empty() && last + scenario.convergence > duration.value {
        let message = format!(
            "the last fault ends at {last:?}, and there is no time to see all nodes agree {:?} later",
            scenario.convergence
        );
        page.warn(duration.spot, message, "lengthen `duration`, or shorten `convergence`");
    }
}

/// The tables of the list of tables called `name`, each read by `read`; those that are wrong are left out.
fn items<T>(page: &Page, node: &Node, name: &str, read: impl Fn(&Node) -> Option<T>) -> Option<Vec<T>> {
    if node.as_table().is_some() {
        page.error_with(
            node.spot,
            format!("there may be several of `{name}`"),
            format!("write `[[{name}]]`"),
        );
        return None;
    }
    let nodes = tables(page, node, ITEMS_MAX)?;
    Some(nodes.into_iter().filter_map(read).collect())
}

/// Reports keys that tables of another kind have, and this kind does not. `known` are those of all kinds: others were
/// reported when the table was opened.
fn foreign_keys(page: &Page, node: &Node, (kind, own): (&str, &[&[&str]]), known: &[Key]) {
    for entry in node.as_table().unwrap_or_default() {
        let is_known = known.iter().any(|key| key.name == entry.key);
        if is_known && !own.iter().any(|keys| keys.contains(&&*entry.key)) {
            let keys = listed(own.iter().flat_map(|keys| keys.iter().copied()));
            page.error_with(
                entry.spot,
                format!("`{kind}` has no key `{}`", shortened(&entry.key)),
                format!("there is {keys}"),
            );
        }
    }
}

/// A table whose keys are names of the author's own, by name.
fn named<'d, T>(
    page: &Page,
    node: &'d Node,
    mut read: impl FnMut(&'d Entry) -> Option<T>,
) -> BTreeMap<String, T> {
    let written = entries(page, node).unwrap_or_default();
    if let Some(over) = written.get(ITEMS_MAX) {
        page.error(over.spot, format!("more than {ITEMS_MAX} of these"));
    }
    let written = written.iter().take(ITEMS_MAX);
    written.filter_map(|entry| Some((entry.key.clone(), read(entry)?))).collect()
}

const KEYS: &[Key] = &[
    key("title", "\"A region is lost\""),
    key("about", "\"What it shows.\""),
    key("seed", "1"),
    key("duration", "\"60s\""),
    key("convergence", "\"20s\""),
    key("fleet", "{ requests_in_flight_max = 10000 }"),
    key("regions", "{ eu-central = { country = \"DE\", latitude = 50.1, longitude = 8.7 } }"),
    key("tenants", "{ berlin = { pools = [\"eu-central\"], residency = { allow = [\"set:EU\"] } } }"),
    key("load", "{ berlin = { tenant = \"berlin\", edges = [\"region:eu-central\"], per_second = 10 } }"),
    key("fault", "[{ at = \"10s\", kind = \"crash\", nodes = [\"region:eu-central\"] }]"),
    key("objective", "[{ kind = \"availability\", least = 0.99 }]"),
];

const SECOND: Duration = Duration::from_secs(1);
/// Pauses between attempts at a peer grow to 10 s, an attempt takes 3 s, and gossip needs 2 s to tell everybody.
const CONVERGENCE: Duration = Duration::from_secs(20);
/// Loads, faults and objectives of one scenario, each.
const ITEMS_MAX: usize = 1_000;
