//! What happened around each violation, one line for each event, and what kinds of events there are?

use super::Section;
use super::axis::{count, moment};
use super::markup::{Markup, html};
use super::run::Run;
use super::summary::VIOLATIONS_SHOWN_MAX;
use super::table::Table;
use crate::outcome::{Outcome, TRACE_LEGEND, TraceLine, Violation};

/// So many lines before the moment of a violation are shown.
const BEFORE_MAX: usize = 14;

/// So many of its moment and after it.
const AFTER_MAX: usize = 8;

/// So many in all.
const LINES_MAX: usize = 60;

/// So many violations show their trace at once.
const OPEN_MAX: usize = 3;

/// So many faults that began before these lines.
const FAULTS_BEFORE_MAX: usize = 3;

pub(super) fn section(run: &Run<'_>) -> Section {
    let violations = run.outcome.violations.iter().take(VIOLATIONS_SHOWN_MAX).enumerate();
    let excerpts: Markup =
        violations.map(|(position, violation)| excerpt(run.outcome, position + 1, violation)).collect();
    let body = html!("{}{}", excerpts, kinds(run).open());
    Section { id: "trace", heading: "Trace", body, charts: Vec::new() }
}

/// A violation with its trace; from the fourth on behind a line that opens it.
fn excerpt(outcome: &Outcome, number: usize, violation: &Violation) -> Markup {
    let head = html!("<span class=\"tag bad\">{}</span> {}", violation.invariant, moment(violation.at_ms));
    let body = html!(
        "<p>{}</p><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Trace around violation {}\">\
         <table class=\"trace\"><thead><tr><th scope=\"col\" class=\"n\">seconds</th><th scope=\"col\">event</th>\
         <th scope=\"col\">who</th><th scope=\"col\">what</th></tr></thead>\n<tbody>{}</tbody></table></div>",
        violation.what,
        number,
        lines(outcome, violation)
    );
    // A link to something within opens the line, which one to the line itself would not.
    if number <= OPEN_MAX {
        html!("<section class=\"excerpt\" id=\"violation-{}\"><h3>{}</h3>{}</section>\n", number, head, body)
    } else {
        html!(
            "<details class=\"excerpt\"><summary>{}</summary><div class=\"excerpt\" id=\"violation-{}\">{}</div></details>\n",
            head,
            number,
            body
        )
    }
}

/// The lines around a violation, after the faults that began before them.
fn lines(outcome: &Outcome, violation: &Violation) -> Markup {
    let trace = &outcome.trace;
    let moment = trace.partition_point(|line| line.at_us < violation.at_ms.saturating_mul(1000));
    let first = moment.saturating_sub(BEFORE_MAX);
    // Of one moment there can be many lines, and the violation's own must not be cut off.
    let own = |line: &TraceLine| line.kind == "violation" && line.what.contains(&violation.what);
    let same_moment =
        trace[moment..].iter().take_while(|line| line.at_us.div_euclid(1000) <= violation.at_ms);
    let own = same_moment.enumerate().filter(|(_, line)| own(line)).map(|(position, _)| position + 1).next();
    let end = (moment + own.unwrap_or_default() + AFTER_MAX).min(trace.len());
    // If very much happens at once, what is before the violation matters less than that it is there.
    let first = first.max(end.saturating_sub(LINES_MAX));
    let faults = trace[..first].iter().rev().filter(|line| line.kind == "fault").take(FAULTS_BEFORE_MAX);
    let mut earlier: Vec<_> = faults.map(|line| row(line, violation)).collect();
    if !earlier.is_empty() {
        earlier.insert(0, html!("<tr class=\"gap\"><td colspan=\"4\">⋯</td></tr>\n"));
    }
    earlier.into_iter().rev().chain(trace[first..end].iter().map(|line| row(line, violation))).collect()
}

fn row(line: &TraceLine, violation: &Violation) -> Markup {
    let concerned = violation.node.as_ref().is_some_and(|node| *node == line.who || names(&line.what, node));
    let class = match line.kind.as_str() {
        "violation" => "violation",
        "fault" => "fault",
        _ if concerned => "concerned",
        _ => "",
    };
    html!(
        "<tr class=\"{}\"><td class=\"n\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        class,
        to_the_microsecond(line.at_us),
        line.kind,
        line.who,
        line.what
    )
}

/// When, in seconds to the microsecond.
fn to_the_microsecond(at_us: i64) -> String {
    let sign = if at_us < 0 { "-" } else { "" };
    format!("{sign}{}.{:06}", at_us.unsigned_abs() / 1_000_000, at_us.unsigned_abs() % 1_000_000)
}

/// Whether a text names a node, and not only one whose name begins with it.
fn names(text: &str, node: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| word == node)
}

/// What the kinds of events mean, and how many there were.
fn kinds(run: &Run<'_>) -> Table {
    let mut table = Table::new(
        html!("Events of the whole trace, which report.json has"),
        &["event", "means"],
        &["lines"],
    );
    for (kind, meaning) in TRACE_LEGEND {
        let lines = run.outcome.trace.iter().filter(|line| line.kind == kind).count();
        table.row([html!("<code>{}</code>", kind), html!("{}", meaning), html!("{}", count(lines as u64))]);
    }
    table
}
