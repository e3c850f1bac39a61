//! How long did answers take, over time and spread over lengths?

use super::Section;
use super::axis::{count, decimals, seconds};
use super::chart::{Chart, Form, Scale, Series, legend};
use super::markup::{Markup, html};
use super::run::Run;
use super::table::Table;
use crate::outcome::{Latency, LatencyBin, LatencyPiece};

/// So many loads have charts of their own; the table has all.
const CHARTS_MAX: usize = 12;

const LINES: [(&str, &str); 4] =
    [("p50", "half within"), ("p90", "90 % within"), ("p99", "99 % within"), ("max", "slowest")];

pub(super) fn section(run: &Run<'_>) -> Section {
    let loads = &run.outcome.latencies;
    if loads.is_empty() {
        let body = html!("<p class=\"none\">No load was measured.</p>\n");
        return Section { id: "latency", heading: "Latency", body, charts: Vec::new() };
    }
    let lengths = || loads.iter().flat_map(|load| &load.over_time);
    let shortest = lengths().map(|piece| piece.p50_ms).fold(f64::INFINITY, f64::min);
    let scale = Scale::logarithmic(shortest, lengths().map(|piece| piece.max_ms).fold(1.0, f64::max));
    let (mut rows, mut data) = (Markup::default(), Vec::new());
    for (position, load) in loads.iter().take(CHARTS_MAX).enumerate() {
        let chart = over_time(run, position, load, scale);
        rows.push(&html!("<div class=\"pair\">{}{}</div>\n", chart.figure(run), histogram(load)));
        data.extend(chart.data());
    }
    let body = html!("{}{}{}{}", table(loads).open(), legend(&LINES), rows, note(run));
    Section { id: "latency", heading: "Latency", body, charts: data }
}

fn note(run: &Run<'_>) -> Markup {
    let column_ms = run.axis.column_ms();
    if column_ms <= run.outcome.bucket_ms.max(1) {
        return Markup::default();
    }
    let whole = seconds(column_ms.cast_signed());
    html!(
        "<p class=\"more\">Each step shows the worst piece of {}; report.json has every piece.</p>\n",
        whole
    )
}

fn over_time(run: &Run<'_>, position: usize, load: &Latency, scale: Scale) -> Chart {
    let read: [fn(&LatencyPiece) -> f64; 4] =
        [|piece| piece.p50_ms, |piece| piece.p90_ms, |piece| piece.p99_ms, |piece| piece.max_ms];
    let series = LINES.iter().zip(read).map(|((class, name), read)| {
        let mut values = vec![None; run.axis.columns()];
        for piece in &load.over_time {
            let Some(column) = run.axis.column(piece.at_ms) else { continue };
            values[column] = Some(values[column].unwrap_or(0.0_f64).max(read(piece)));
        }
        Series { name, class, values }
    });
    Chart {
        id: format!("latency-{position}"),
        title: format!("{}, ms", name(load)),
        summary: served(load),
        series: series.collect(),
        scale,
        form: Form::Lines,
    }
}

/// A load, with its tenant unless it is called the same.
fn name(load: &Latency) -> String {
    if load.load == load.tenant { load.load.clone() } else { format!("{} of {}", load.load, load.tenant) }
}

/// How many were served: who was refused has been answered, too.
fn served(load: &Latency) -> String {
    if load.answered == 0 { "none served".to_owned() } else { format!("{} served", count(load.answered)) }
}

/// A length in milliseconds, if there is one.
fn length(ms: Option<f64>) -> String {
    ms.map_or_else(|| "–".to_owned(), decimals)
}

/// How many took how long: a bar for each bin from the shortest to the longest that came.
fn histogram(load: &Latency) -> Markup {
    let position = |bin: &LatencyBin| Latency::BOUNDS_MS.iter().position(|bound| *bound >= bin.over_ms);
    let bins: Vec<_> = load.histogram.iter().filter_map(|bin| Some((position(bin)?, bin))).collect();
    let (Some((first, _)), Some((last, _))) = (bins.first(), bins.last()) else {
        return html!(
            "<figure class=\"chart\"><figcaption>{}: none served</figcaption></figure>",
            name(load)
        );
    };
    // A few bars alone would be as broad as the page.
    let columns = (last - first + 3).max(BARS_MIN);
    let first = first.saturating_sub((columns - (last - first)) / 2);
    let scale = Scale::linear(bins.iter().map(|(_, bin)| bin.count as f64).fold(0.0, f64::max));
    let bar = |(position, bin): &(usize, &LatencyBin)| {
        let height = scale.height(bin.count as f64);
        html!("M{}.06 {:.1}h.88v{:.1}h-.88z", position - first, Scale::HEIGHT - height, height)
    };
    let bars: Markup = bins.iter().map(bar).collect();
    html!(
        "<figure class=\"chart\"><figcaption>{}, served by length<span class=\"sum\">half within {} ms, \
         99 % within {} ms</span></figcaption><div class=\"plot\"><div class=\"y\" aria-hidden=\"true\">{}</div>\
         <div class=\"area still\"><svg viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Served requests of {} by length\">{}<path class=\"fill here\" d=\"{}\"/></svg></div>\
         <div class=\"x\" aria-hidden=\"true\">{}</div></div>{}</figure>\n",
        name(load),
        length(load.p50_ms),
        length(load.p99_ms),
        counts(scale),
        columns,
        Scale::HEIGHT,
        name(load),
        grid(scale, columns),
        bars,
        lengths(first, columns),
        bins_table(load).folded("Table")
    )
}

fn counts(scale: Scale) -> Markup {
    let label = |value: f64| {
        let from_top = 100.0 - 100.0 * scale.height(value) / Scale::HEIGHT;
        html!("<span style=\"top:{:.2}%\">{}</span>", from_top, decimals(value))
    };
    scale.ticks().into_iter().map(label).collect()
}

fn grid(scale: Scale, columns: usize) -> Markup {
    let line = |value: f64| {
        html!("<path class=\"grid\" d=\"M0 {:.1}H{}\"/>", Scale::HEIGHT - scale.height(value), columns)
    };
    scale.ticks().into_iter().map(line).collect()
}

/// Labels at the lower bounds of bins, as many as there is room for.
fn lengths(first: usize, columns: usize) -> Markup {
    let every = columns.div_ceil(LENGTHS_MAX);
    let label = |column: usize| {
        let bound = Latency::BOUNDS_MS.get(first + column)?;
        let left = 100.0 * column as f64 / columns as f64;
        Some(html!("<span style=\"left:{:.3}%\">{} ms</span>", left, decimals(*bound)))
    };
    (0..columns).step_by(every).filter_map(label).collect()
}

fn bins_table(load: &Latency) -> Table {
    let caption = html!("{}, served by length", name(load));
    let mut table = Table::new(caption, &[], &["over, ms", "up to, ms", "served"]);
    for bin in &load.histogram {
        let upto = bin.upto_ms.map_or_else(|| "–".to_owned(), decimals);
        table.row([html!("{}", decimals(bin.over_ms)), html!("{}", upto), html!("{}", count(bin.count))]);
    }
    table
}

fn table(loads: &[Latency]) -> Table {
    let heads = ["sent", "served", "half, ms", "90 %, ms", "99 %, ms", "slowest, ms"];
    let mut table = Table::new(html!("How long served requests took, by load"), &["load", "tenant"], &heads);
    for load in loads {
        let lengths = [load.p50_ms, load.p90_ms, load.p99_ms, load.max_ms].map(|ms| html!("{}", length(ms)));
        let served = if load.answered == 0 { "none".to_owned() } else { count(load.answered) };
        let counts = [html!("{}", count(load.requests)), html!("{}", served)];
        let names = [html!("{}", load.load), html!("{}", load.tenant)];
        table.row(names.into_iter().chain(counts).chain(lengths));
    }
    table
}

const BARS_MIN: usize = 12;
const LENGTHS_MAX: usize = 6;
