//! A scenario's text: which keys there are, and what they must be. Everything that is wrong is reported in one go.

use std::collections::BTreeMap;
use std::time::Duration;

use graticule_node_core::document::reading::{
    At, Entry, Key, Node, Page, Spot, Table, duration, entries, integer, key, listed, shortened, tables, text,
};

use super::{Load, Scenario, TimedFault};
use fleet::Cast;

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
    let convergence = table.or("convergence", CONVERGENCE, time_to_agree);
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
    let loads_spot = table.entry("load").map_or(node.spot, |entry| entry.spot);
    refuse_too_much(page, (&loads, loads_spot), (&faults, whole))?;
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

/// A scenario must fit into a machine and into somebody's patience.
fn refuse_too_much(
    page: &Page,
    (loads, spot): (&[Load], Spot),
    (faults, whole): (&[TimedFault], Duration),
) -> Option<()> {
    let mut begun = 0_u64;
    for fault in faults {
        begun = begun.saturating_add(fault.count(whole));
        if begun > OCCURRENCES_MAX {
            let message = format!("with this one, faults begin more than {OCCURRENCES_MAX} times");
            page.error_with(fault.spot, message, "let it begin less often, or end sooner");
            return None;
        }
    }
    let requests: f64 = loads.iter().map(Load::requests_max).sum();
    if requests > REQUESTS_MAX {
        let message = format!("its loads have {requests:.0} requests, and there may be {REQUESTS_MAX:.0}");
        page.error_with(spot, message, "shorten `duration`, or lower `per_second`");
        return None;
    }
    if loads.iter().map(Load::draws_max).sum::<f64>() > DRAWS_MAX {
        let message = "a surge so high in loads so long takes too long to draw";
        page.error_with(spot, message, "let `from` and `until` of its load lie close to the surge");
        return None;
    }
    let bytes: f64 = loads.iter().map(|load| load.arrivals.rate_max() * f64::from(load.body_bytes)).sum();
    if bytes > BODY_BYTES_PER_SECOND_MAX {
        let most = BODY_BYTES_PER_SECOND_MAX;
        let message =
            format!("its loads send {bytes:.0} bytes of bodies a second, and there may be {most:.0}");
        page.error_with(spot, message, "lower `body_bytes` or `per_second`");
        return None;
    }
    Some(())
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

/// No shorter than nodes need at best: they look for documents as often.
fn time_to_agree(page: &Page, node: &Node) -> Option<Duration> {
    duration(SECOND..=Duration::from_hours(1))(page, node)
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
/// Of all loads together: an hour's work.
const REQUESTS_MAX: f64 = 10_000_000.0;
/// What arrivals of all loads together take of chance, a second of CPU or so.
const DRAWS_MAX: f64 = 100_000_000.0;
/// Of all loads together, at their highest: all of it is kept in memory while it is under way.
const BODY_BYTES_PER_SECOND_MAX: f64 = 67_108_864.0;
/// Of all faults together, repeated ones included.
const OCCURRENCES_MAX: u64 = 10_000;
/// Loads, faults and objectives of one scenario, each.
const ITEMS_MAX: usize = 1_000;
