//! What became of requests: where they were sent, where they were served, and why they were not?

use std::collections::BTreeMap;

use super::Section;
use super::axis::{count, thousands_apart};
use super::chart::{Chart, Form, Scale, Series, legend};
use super::markup::{Markup, html};
use super::run::Run;
use super::summary::percent;
use super::table::Table;
use crate::outcome::Bucket;

/// What can become of a request, as a class of colour and as words.
pub(super) const FATES: [(&str, &str); 5] = [
    ("here", "served in the edge's region"),
    ("away", "served in another region"),
    ("refused", "refused"),
    ("error", "backend error"),
    ("silent", "no answer"),
];

/// Where the requests came in that a region served.
const ORIGINS: [(&str, &str); 2] = [("here", "for its own edges"), ("away", "for edges of other regions")];

/// Every request of the run, by what became of it.
pub(super) fn all(run: &Run<'_>) -> Chart {
    let series = by_fate(run, |_| true);
    let scale = Scale::linear(highest(&series));
    chart("all-requests", "All requests by the time of sending", series, scale)
}

pub(super) fn section(run: &Run<'_>) -> Section {
    let sent = run.regions.iter().map(|region| by_fate(run, |bucket| bucket.edge == region.name));
    let served = run.regions.iter().map(|region| by_origin(run, region.name));
    let pairs: Vec<_> = sent.zip(served).collect();
    let highest =
        pairs.iter().flat_map(|(sent, served)| [highest(sent), highest(served)]).fold(0.0, f64::max);
    let scale = Scale::linear(highest);
    let (mut rows, mut data) = (Markup::default(), Vec::new());
    for (position, (region, (sent, served))) in run.regions.iter().zip(pairs).enumerate() {
        let title = format!("Sent to edges of {}", region.name);
        let sent = chart(&format!("sent-{position}"), &title, sent, scale);
        let title = format!("Served by {}", region.name);
        let served = chart(&format!("served-{position}"), &title, served, scale);
        rows.push(&html!("<div class=\"pair\">{}{}</div>\n", sent.figure(run), served.figure(run)));
        data.extend([sent.data(), served.data()].into_iter().flatten());
    }
    let body = html!("{}{}{}{}", fates(run).open(), legend(&FATES), rows, reasons(run).open());
    Section { id: "requests", heading: "Requests", body, charts: data }
}

fn chart(id: &str, title: &str, series: Vec<Series>, scale: Scale) -> Chart {
    let total: f64 = series.iter().flat_map(|series| &series.values).flatten().sum();
    let summary = format!("{} in all", thousands_apart(&total.to_string()));
    Chart { id: id.to_owned(), title: title.to_owned(), summary, series, scale, form: Form::Stack }
}

/// The position in [`FATES`] of what became of requests.
fn fate(bucket: &Bucket) -> usize {
    match bucket.fate.as_str() {
        "served" if bucket.served_by.as_ref() == Some(&bucket.edge) => 0,
        "served" => 1,
        "backend-error" => 3,
        "no-answer" => 4,
        _ => 2,
    }
}

fn by_fate(run: &Run<'_>, meant: impl Fn(&Bucket) -> bool) -> Vec<Series> {
    series(run, &FATES, |bucket| meant(bucket).then(|| fate(bucket)))
}

fn by_origin(run: &Run<'_>, region: &str) -> Vec<Series> {
    let served = |bucket: &Bucket| bucket.fate == "served" && bucket.served_by.as_deref() == Some(region);
    series(run, &ORIGINS, |bucket| served(bucket).then(|| fate(bucket)))
}

/// Counts for each column, of the kinds that `kind` tells apart.
fn series<const KINDS: usize>(
    run: &Run<'_>,
    kinds: &[(&'static str, &'static str); KINDS],
    kind: impl Fn(&Bucket) -> Option<usize>,
) -> Vec<Series> {
    let mut counts = vec![[0u64; KINDS]; run.axis.columns()];
    for bucket in &run.outcome.requests {
        let Some((column, kind)) = run.axis.column(bucket.at_ms).zip(kind(bucket)) else { continue };
        counts[column][kind] = counts[column][kind].saturating_add(bucket.count);
    }
    let series = |(position, (class, name)): (usize, &(&'static str, &'static str))| Series {
        name,
        class,
        values: counts.iter().map(|column| Some(column[position] as f64)).collect(),
    };
    kinds.iter().enumerate().map(series).collect()
}

/// The highest column of a stack.
fn highest(series: &[Series]) -> f64 {
    let columns = series.iter().map(|series| series.values.len()).max().unwrap_or_default();
    let height = |column: usize| series.iter().filter_map(|series| *series.values.get(column)?).sum();
    (0..columns).map(height).fold(0.0, f64::max)
}

/// What became of the requests of each edge.
fn fates(run: &Run<'_>) -> Table {
    let heads =
        ["sent", "served here", "served elsewhere", "refused", "backend error", "no answer", "served"];
    let mut table = Table::new(html!("Requests by the region they were sent to"), &["edge"], &heads);
    let mut all = [0; FATES.len()];
    for region in &run.regions {
        let mut counts = [0; FATES.len()];
        for bucket in run.outcome.requests.iter().filter(|bucket| bucket.edge == region.name) {
            counts[fate(bucket)] += bucket.count;
        }
        all.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
        table.row(fates_row(region.name, counts));
    }
    table.row(fates_row("all", all));
    table
}

fn fates_row(name: &str, counts: [u64; FATES.len()]) -> impl Iterator<Item = Markup> {
    let sent: u64 = counts.iter().sum();
    let share = if sent == 0 { "–".to_owned() } else { percent(counts[0] + counts[1], sent) };
    let numbers = std::iter::once(sent).chain(counts).map(|number| html!("{}", count(number)));
    std::iter::once(html!("{}", name)).chain(numbers).chain([html!("{}", share)])
}

/// Why requests of each tenant were not served.
fn reasons(run: &Run<'_>) -> Table {
    let mut counts = BTreeMap::<(&str, &str), (u64, u64)>::new();
    for bucket in &run.outcome.requests {
        let (number, slowest_ms) = counts.entry((&bucket.tenant, &bucket.fate)).or_default();
        *number += bucket.count;
        *slowest_ms = (*slowest_ms).max(bucket.slowest_ms);
    }
    let caption = html!("Outcomes by tenant");
    let mut table = Table::new(caption, &["tenant", "outcome"], &["requests", "slowest, ms"]);
    for ((tenant, fate), (number, slowest_ms)) in counts {
        table.row([
            html!("{}", tenant),
            html!("{}", fate),
            html!("{}", count(number)),
            html!("{}", count(slowest_ms)),
        ]);
    }
    table
}
