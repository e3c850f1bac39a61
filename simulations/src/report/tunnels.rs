//! Whom did nodes think usable? For each node, what the others thought of it.

use std::collections::{BTreeMap, BTreeSet};

use super::Section;
use super::axis::{count, moment};
use super::chart::{Chart, Form, Scale, Series, legend};
use super::markup::{Markup, html};
use super::run::Run;
use super::table::Table;
use crate::outcome::TunnelChange;

/// So many nodes have charts of their own; the table has the others too.
const CHARTS_MAX: usize = 24;

/// So many changes are listed; report.json has all.
const ROWS_MAX: usize = 500;

/// Conditions in which no new request is sent, the worst first. Who has just started knows nothing yet: that is no doubt.
/// Who does not run thinks nothing, and is not counted.
const BAD: [(&str, &str); 4] = [
    ("unreachable", "hold it for unreachable"),
    ("suspect", "hold it for suspect"),
    ("draining", "see it draining"),
    ("unknown", "know nothing of it"),
];

pub(super) fn section(run: &Run<'_>) -> Section {
    let doubted = doubted(run);
    if doubted.is_empty() {
        let body = html!("<p class=\"none\">No node doubted another while load was on.</p>\n");
        return Section { id: "tunnels", heading: "Tunnels", body, charts: Vec::new() };
    }
    let scale = Scale::linear(run.outcome.nodes.len().saturating_sub(1) as f64);
    let charts: Vec<_> = doubted.iter().take(CHARTS_MAX).map(|seen| chart(run, seen, scale)).collect();
    let figures: Markup = charts.iter().map(|chart| chart.figure(run)).collect();
    let intro = "How many of the other nodes would not send a new request to a node, by the worst that each thought of \
                 it in the piece of time. Nodes that nobody held for unreachable, suspect or draining are left out.";
    let body = html!(
        "<p>{}</p>{}<div class=\"grid-of\">{}</div>\n{}{}",
        intro,
        legend(&BAD),
        figures,
        table(&doubted).open(),
        changes(run)
    );
    Section {
        id: "tunnels",
        heading: "Tunnels",
        body,
        charts: charts.iter().filter_map(Chart::data).collect(),
    }
}

/// A node, and what each of the others thought of it, in the order of time.
struct Seen<'a> {
    node: &'a str,
    by: BTreeMap<&'a str, Vec<&'a TunnelChange>>,
}

/// The nodes of whom somebody thought badly after load began, in the fleet's order.
fn doubted<'a>(run: &Run<'a>) -> Vec<Seen<'a>> {
    let mut by_node = BTreeMap::<&str, BTreeMap<&str, Vec<&TunnelChange>>>::new();
    for change in &run.outcome.tunnels {
        let by = by_node.entry(&change.to).or_default();
        by.entry(&change.from).or_default().push(change);
    }
    let seen = |node: &'a str| Some(Seen { node, by: by_node.remove(node)? });
    let nodes = run.outcome.nodes.iter().map(|node| node.name.as_str());
    nodes.filter_map(seen).filter(|seen| seen.doubts().next().is_some()).collect()
}

impl<'a> Seen<'a> {
    /// The changes by which others came to think badly of it since load began.
    fn doubts(&self) -> impl Iterator<Item = &'a TunnelChange> {
        let badly = |change: &&TunnelChange| change.at_ms > 0 && is_doubt(&change.condition);
        self.by.values().flatten().copied().filter(badly)
    }
}

fn is_doubt(condition: &str) -> bool {
    BAD.iter().any(|(bad, _)| *bad == condition && *bad != "unknown")
}

fn chart(run: &Run<'_>, seen: &Seen<'_>, scale: Scale) -> Chart {
    let mut counts = vec![[0u64; BAD.len()]; run.axis.columns()];
    for changes in seen.by.values() {
        for (counts, worst) in counts.iter_mut().zip(worst_in_columns(run, changes)) {
            if let Some(worst) = worst {
                counts[worst] += 1;
            }
        }
    }
    let series = |(position, (class, name)): (usize, &(&'static str, &'static str))| Series {
        name,
        class,
        values: counts.iter().map(|column| Some(column[position] as f64)).collect(),
    };
    Chart {
        id: format!(
            "tunnels-{}",
            run.outcome.nodes.iter().position(|node| node.name == seen.node).unwrap_or(0)
        ),
        title: seen.node.to_owned(),
        summary: format!("doubted {} times", count(seen.doubts().count() as u64)),
        series: BAD.iter().enumerate().map(series).collect(),
        scale,
        form: Form::Stack,
    }
}

/// For each column the position in [`BAD`] of the worst that one node thought of another within it.
fn worst_in_columns(run: &Run<'_>, changes: &[&TunnelChange]) -> Vec<Option<usize>> {
    let mut worst = vec![None; run.axis.columns()];
    let mut begins = 0;
    let mut now = None;
    for change in changes {
        let column = if change.at_ms < 0 { 0 } else { run.axis.column(change.at_ms).unwrap_or(worst.len()) };
        hold(&mut worst, begins..column.saturating_add(usize::from(change.at_ms > 0)), now);
        begins = column;
        now = BAD.iter().position(|(condition, _)| *condition == change.condition);
    }
    hold(&mut worst, begins..usize::MAX, now);
    worst
}

/// Notes a condition in a range of columns unless a worse one is noted there.
fn hold(worst: &mut [Option<usize>], columns: std::ops::Range<usize>, condition: Option<usize>) {
    let end = columns.end.min(worst.len());
    for noted in worst.get_mut(columns.start..end).into_iter().flatten() {
        *noted = [*noted, condition].into_iter().flatten().min();
    }
}

fn table(doubted: &[Seen<'_>]) -> Table {
    let heads = ["times", "first", "last", "by so many nodes"];
    let mut table = Table::new(html!("Nodes that others doubted"), &["node"], &heads);
    for seen in doubted {
        let times = || seen.doubts().map(|change| change.at_ms);
        let by: BTreeSet<_> = seen.doubts().map(|change| &change.from).collect();
        table.row([
            html!("{}", seen.node),
            html!("{}", count(times().count() as u64)),
            html!("{}", moment(times().min().unwrap_or_default())),
            html!("{}", moment(times().max().unwrap_or_default())),
            html!("{}", by.len()),
        ]);
    }
    table
}

fn changes(run: &Run<'_>) -> Markup {
    let mut table = Table::new(html!("Changes of mind"), &["time", "who", "about", "is now held for"], &[]);
    let thought = |change: &&TunnelChange| change.at_ms > 0 && change.condition != TunnelChange::NONE;
    let changes: Vec<_> = run.outcome.tunnels.iter().filter(thought).collect();
    for change in changes.iter().take(ROWS_MAX) {
        table.row([
            html!("{}", moment(change.at_ms)),
            html!("{}", change.from),
            html!("{}", change.to),
            html!("{}", change.condition),
        ]);
    }
    let rest = match changes.len().saturating_sub(ROWS_MAX) {
        0 => Markup::default(),
        rest => html!("<p class=\"more\">{} more changes are in report.json.</p>", count(rest as u64)),
    };
    html!("{}{}", table.folded("Every change"), rest)
}
