//! What went wrong when, and what became of all requests meanwhile?

use super::Section;
use super::axis::{count, moment, seconds};
use super::chart::{legend, time_labels};
use super::markup::{Markup, html};
use super::requests::{self, FATES};
use super::run::Run;
use super::table::Table;
use crate::outcome::{FaultFacts, Verdict};

/// So many faults are told apart on one page; what comes again shares a lane.
const LANES_MAX: usize = 60;

/// So many rows of a table can still be read.
const ROWS_MAX: usize = 500;

pub(super) fn section(run: &Run<'_>) -> Section {
    let chart = requests::all(run);
    let body = html!(
        "{}{}{}{}",
        lanes(run),
        legend(&FATES),
        chart.figure(run),
        if run.outcome.faults.is_empty() {
            Markup::default()
        } else {
            table(run).folded("Faults as a table")
        }
    );
    Section { id: "timeline", heading: "Timeline", body, charts: chart.data().into_iter().collect() }
}

/// Faults that are the same but for their times.
struct Lane<'a> {
    fault: &'a FaultFacts,
    times: Vec<&'a FaultFacts>,
}

fn lanes(run: &Run<'_>) -> Markup {
    let mut lanes = Vec::<Lane<'_>>::new();
    for fault in &run.outcome.faults {
        let same = |lane: &Lane<'_>| {
            (&lane.fault.kind, &lane.fault.text, &lane.fault.nodes)
                == (&fault.kind, &fault.text, &fault.nodes)
        };
        match lanes.iter().position(same) {
            Some(position) => lanes[position].times.push(fault),
            None if lanes.len() < LANES_MAX => lanes.push(Lane { fault, times: vec![fault] }),
            None => {}
        }
    }
    if lanes.is_empty() && run.outcome.findings().is_empty() {
        return html!("<p class=\"none\">Nothing was made to go wrong.</p>\n");
    }
    let shown: usize = lanes.iter().map(|lane| lane.times.len()).sum();
    let rest = match run.outcome.faults.len() - shown {
        0 => Markup::default(),
        rest => html!(
            "<p class=\"more\">{} more faults are in the table and in report.json.</p>",
            count(rest as u64)
        ),
    };
    let lanes: Markup = lanes.iter().map(|lane| draw(run, lane)).collect();
    let marks = html!("{}{}", missed(run), violated(run));
    html!("<div class=\"lanes\">{}{}{}</div>{}\n", lanes, marks, time_labels(run.axis), rest)
}

fn draw(run: &Run<'_>, lane: &Lane<'_>) -> Markup {
    let bar = |fault: &&FaultFacts| {
        let (from, to) = run.span(fault);
        let class = if fault.ended_ms.is_some() { "bar" } else { "bar open" };
        html!(
            "<i class=\"{}\" style=\"left:{:.3}%;width:{:.3}%\"></i>",
            class,
            from * 100.0,
            (to - from) * 100.0
        )
    };
    let bars: Markup = lane.times.iter().map(bar).collect();
    let times = match lane.times.as_slice() {
        [once] => span_text(once),
        several => format!("{} times", several.len()),
    };
    html!(
        "<div class=\"lane\"><p><b>{}</b> {} <span class=\"when\">{}</span></p><div class=\"track\">{}</div></div>",
        lane.fault.kind,
        lane.fault.text,
        times,
        bars
    )
}

fn span_text(fault: &FaultFacts) -> String {
    match fault.ended_ms {
        Some(ended_ms) => format!("{} – {}", seconds(fault.at_ms), seconds(ended_ms)),
        None => format!("from {}", seconds(fault.at_ms)),
    }
}

fn violated(run: &Run<'_>) -> Markup {
    let violations = &run.outcome.violations;
    if violations.is_empty() {
        return Markup::default();
    }
    marked("violations", &count(violations.len() as u64), run.violation_shares())
}

/// When the first and the last requests were sent that kept an objective from being met.
fn missed(run: &Run<'_>) -> Markup {
    let missed = run.outcome.objectives.iter().filter(|verdict| verdict.misses.count > 0);
    let lane = |verdict: &Verdict| {
        let shares = verdict.misses.told().map(|miss| run.axis.share(miss.at_us / 1000));
        let times = format!("{}, the first and last marked", count(verdict.misses.count));
        marked(&format!("missed: {}", verdict.objective), &times, shares)
    };
    missed.take(LANES_MAX).map(lane).collect()
}

fn marked(what: &str, times: &str, shares: impl IntoIterator<Item = f64>) -> Markup {
    let mark = |share: f64| html!("<i class=\"mark\" style=\"left:{:.3}%\"></i>", share * 100.0);
    let marks: Markup = shares.into_iter().map(mark).collect();
    html!(
        "<div class=\"lane broken\"><p><b>{}</b> <span class=\"when\">{}</span></p>\
         <div class=\"track\">{}</div></div>",
        what,
        times,
        marks
    )
}

fn table(run: &Run<'_>) -> Table {
    let mut table = Table::new(html!("Faults"), &["kind", "what", "nodes"], &["from", "to"]);
    for fault in run.outcome.faults.iter().take(ROWS_MAX) {
        let ended = fault.ended_ms.map_or_else(|| "not ended".to_owned(), moment);
        table.row([
            html!("{}", fault.kind),
            html!("{}", fault.text),
            html!("{}", fault.nodes.join(", ")),
            html!("{}", moment(fault.at_ms)),
            html!("{}", ended),
        ]);
    }
    table
}
