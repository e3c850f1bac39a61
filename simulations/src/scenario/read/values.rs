//! What values of a scenario must be: times, shares, and names of what is in it.

use std::time::Duration;

use graticule_geo::Place;
use graticule_node_core::document::reading::{
    Node, Page, Spot, Table, duration, meant_country, mismatch_with, parsed, shortened,
};

use crate::scenario::Scenario;

/// A time of the scenario.
pub(super) fn moment(page: &Page, node: &Node) -> Option<Duration> {
    duration(Duration::ZERO..=Scenario::DURATION_MAX)(page, node)
}

/// How long something lasts.
pub(super) fn some_time(page: &Page, node: &Node) -> Option<Duration> {
    duration(Duration::from_millis(1)..=HOUR)(page, node)
}

/// `from` and `until` of a table, in a scenario that ends at `whole`: a time that is not empty.
pub(super) fn window(table: &Table<'_>, whole: Duration) -> (Duration, Duration) {
    let from = table.optional("from", moment);
    let until = table.optional("until", moment);
    let page = table.page();
    let (begins, ends) = (from.as_ref().map_or(Duration::ZERO, |at| at.value), until.as_ref());
    if let Some(from) = from.as_ref().filter(|at| at.value >= whole) {
        page.error_with(from.spot, never(whole), LENGTHEN);
    } else if let Some(until) = ends.filter(|at| at.value <= begins) {
        page.error_with(
            until.spot,
            format!("it ends at {:?}, and begins at {begins:?}", until.value),
            "let `until` be after `from`",
        );
    }
    (begins, ends.map_or(whole, |at| at.value.min(whole)))
}

/// Reports what would begin when the scenario has ended.
pub(super) fn check_begins(page: &Page, spot: Spot, (at, whole): (Duration, Duration)) {
    if at >= whole {
        page.error_with(spot, never(whole), LENGTHEN);
    }
}

fn never(whole: Duration) -> String {
    format!("it never begins: the scenario ends at {whole:?}")
}

/// A share of a whole, 0 to 1.
pub(super) fn share(page: &Page, node: &Node) -> Option<f64> {
    let value = node.as_number();
    let fitting = value.filter(|value| (0.0..=1.0).contains(value));
    if fitting.is_none() {
        let percent = value.filter(|value| (1.0..=100.0).contains(value));
        // People write few digits; dividing by a hundred would show more.
        let help = percent.map(|percent| format!("write {}", (percent * 1e4).round() / 1e6));
        mismatch_with(page, node, "a number from 0 to 1", help);
    }
    fitting
}

/// A place that rules and selectors speak of, in a country that there is.
pub(super) fn place(page: &Page, node: &Node) -> Option<Place> {
    let code = node.as_text().and_then(|text| text.strip_prefix("country:"));
    if let Some(meant) = code.and_then(meant_country) {
        let message = format!("`{}` is no country code of ISO 3166-1", shortened(code.unwrap_or_default()));
        page.error_with(node.spot, message, format!("did you mean `country:{meant}`?"));
        return None;
    }
    let place = parsed(page, node)?;
    if let Place::Country(country) = place
        && !country.is_assigned()
    {
        let message = format!("no country has the code `{country}`");
        page.error_with(node.spot, message, "see ISO 3166-1 for the codes of countries");
        return None;
    }
    Some(place)
}

/// Reports a name that nothing in the scenario has, with the nearest of those that something has.
pub(super) fn unknown<'n>(
    page: &Page,
    spot: Spot,
    (what, written): (&str, &str),
    known: impl Iterator<Item = &'n str> + Clone,
) {
    if known.clone().next().is_some() {
        page.unknown(spot, what, written, known);
    } else {
        let message = format!("unknown {what} `{}`", shortened(written));
        page.error_with(spot, message, format!("the scenario has no {what} yet: add one"));
    }
}

const HOUR: Duration = Duration::from_hours(1);
const LENGTHEN: &str = "let it begin earlier, or lengthen `duration`";
